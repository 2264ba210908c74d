"""Small files that others may have put there: opened without waiting, judged by what is open.

Where others can write, a name may stand for a pipe that never ends, a link to somewhere
else, or a file of another user. What a file is, its descriptor tells, not its name: that
may stand for another one by now.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_BYTES = 1 << 27
"""Of a file of JSON: 99,999 shards with names of any length, twice what is usual of inputs."""


def is_own(found: os.stat_result) -> bool:
    """Tell whether this is a regular file of the user that runs the program."""
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()


@contextlib.contextmanager
def opened(
    path: str, folder: int | None = None, *, follow: bool = False
) -> Iterator[tuple[int, os.stat_result]]:
    """Open what may be anything, for reading.

    Args:
        path: its path, or its name in `folder`.
        folder: descriptor of the folder that it is in.
        follow: whether a symbolic link is followed; else it is an error.

    Yields:
        Its descriptor, and what is open there.

    Raises:
        OSError: it cannot be opened.
    """
    # Without O_NONBLOCK, a named pipe would be waited for.
    flags = os.O_RDONLY | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    descriptor = os.open(path, flags, dir_fd=folder)
    try:
        yield descriptor, os.fstat(descriptor)
    finally:
        os.close(descriptor)


def read_json(
    path: str, folder: int | None = None, *, follow: bool = False, own: bool = True
) -> Any:
    """Return what a file of JSON holds; `path`, `folder` and `follow` as for `opened`.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no regular file, not the user's `own`, too long, or no JSON.
    """
    with opened(path, folder, follow=follow) as (descriptor, found):
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("it is no regular file")
        if own and not is_own(found):
            raise ValueError(f"it belongs to user {found.st_uid}")
        if found.st_size > MOST_BYTES:
            raise ValueError(f"it has {found.st_size} bytes, expected at most {MOST_BYTES}")
        return _parsed(_read_all(descriptor, found.st_size))


def _read_all(descriptor: int, size: int) -> bytes:
    # A file that grows meanwhile is cut, and then no JSON.
    with open(descriptor, "rb", closefd=False) as file:
        return file.read(size)


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError:
        raise ValueError("it is no JSON") from None
