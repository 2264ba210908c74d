"""Safe access where other users can write: opening without waiting, following trusted links.

There, a name may stand for a pipe that never ends, a link to somewhere else, or a file of
another user. So what a file is, is asked of its open descriptor, not of its name: by now the
name may stand for another file.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from typing import TYPE_CHECKING, Any

from nsl_tools.files.stores.store import is_remote

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_BYTES = 1 << 27
"""Bytes of a file of JSON: enough for 99,999 shards, and twice the usual number of inputs."""


def is_own(found: os.stat_result) -> bool:
    """Tell whether this is a regular file of the user that runs the program."""
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()


def is_own_file(path: str) -> bool:
    """Tell whether a regular file of this user, and no link, is at a path."""
    try:
        return is_own(os.lstat(path))
    except OSError:
        return False


@contextlib.contextmanager
def opened(
    path: str, folder: int | None = None, *, follow: bool = False
) -> Iterator[tuple[int, os.stat_result]]:
    """Open something for reading, whatever it is.

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
        return parsed_json(_read_all(descriptor, found.st_size))


def _read_all(descriptor: int, size: int) -> bytes:
    # A file that grows meanwhile is cut, and then no JSON.
    with open(descriptor, "rb", closefd=False) as file:
        return file.read(size)


def parsed_json(data: bytes) -> Any:
    """Return what JSON from a place that others can write holds.

    Raises:
        ValueError: it is none, or too much.
    """
    if len(data) > MOST_BYTES:
        raise ValueError(f"it has {len(data)} bytes, expected at most {MOST_BYTES}")
    # Short values take up to a hundred times their bytes.
    most = 1 << 22  # twice what the most shards, made of three inputs of as many, take
    if sum(map(data.count, (b",", b"[", b"{"))) > most:
        raise ValueError(f"it has more than {most} values")
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError:
        raise ValueError("it is no JSON") from None


def destination(path: str) -> str:
    """Return the absolute path of what is at `path` or would be created there, links followed.

    A URL is as it is.

    A link is followed if root, this user, or the owner of its folder made it: the latter
    could put there what they like. Folders on the way are as the user named them.

    Raises:
        OSError: the last name is a link that somebody else made, or leads in a circle; or the
            working folder was removed.
    """
    if is_remote(path):
        return path
    for _ in range(40):  # as many links as Linux follows
        folder, name = os.path.split(path)
        if name in ("", ".", ".."):
            return os.path.realpath(path)
        path = os.path.join(os.path.realpath(folder), name)
        try:
            found = os.lstat(path)
        except OSError:
            return path
        if not stat.S_ISLNK(found.st_mode):
            return path
        target = _target(path, found)
        # A link of /proc leads to what may have no name, such as a pipe.
        if path.startswith("/proc/") and not os.path.lexists(target):
            return path
        path = target
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _target(path: str, found: os.stat_result) -> str:
    """Return where a link leads to; the link itself if it was replaced meanwhile."""
    require_trusted(path, found, "a link")
    target = os.readlink(path)
    after = os.lstat(path)
    if (found.st_ino, found.st_ctime_ns) != (after.st_ino, after.st_ctime_ns):
        return path
    return os.path.join(os.path.dirname(path), target)


def require_trusted(path: str, found: os.stat_result, what: str) -> None:
    """Refuse what neither root, this user nor the owner of its folder has put at `path`.

    Raises:
        OSError: it is another user's.
    """
    owner = found.st_uid
    if owner not in (0, os.geteuid(), os.stat(os.path.dirname(path)).st_uid):
        problem = f"it is {what} of user {owner}: remove it, or name another output"
        raise OSError(errno.EPERM, problem)
