"""What is at a path, and how to read it: the one place that asks for an input by its name.

Where an output may go is looked at in `preflight`; outputs themselves are reached by
descriptor, so that no name is looked up twice (`own_files`, `staging`, `outputs`).
"""

from __future__ import annotations

import glob
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from io import BufferedReader, FileIO


@dataclass(frozen=True)
class FileState:
    """What the system says of a file: equal as long as nobody writes to it or renames it.

    Attributes:
        mode: its kind and permissions.
        identity: of the device and of the file on it.
        size: in bytes.
        times: of the last changes of its content, and of that or its names, in nanoseconds.
        links: how many names it has.
    """

    mode: int
    identity: tuple[int, int]
    size: int
    times: tuple[int, int]
    links: int

    @property
    def is_regular(self) -> bool:
        """Whether it is a file that holds bytes: no folder, pipe or device."""
        return stat.S_ISREG(self.mode)

    @property
    def is_pipe(self) -> bool:
        """Whether it is a pipe or socket, which gives each byte once."""
        return stat.S_ISFIFO(self.mode) or stat.S_ISSOCK(self.mode)


def state_of(file: str | int) -> FileState:
    """Return the state of a path, links followed, or of an open descriptor.

    Raises:
        OSError: nothing is there, or it cannot be looked at.
    """
    found = os.stat(file)
    return FileState(
        found.st_mode,
        (found.st_dev, found.st_ino),
        found.st_size,
        (found.st_mtime_ns, found.st_ctime_ns),
        found.st_nlink,
    )


def exists(path: str) -> bool:
    """Tell whether the name is taken, be it by a link that leads nowhere."""
    return os.path.lexists(path)


def is_folder(path: str) -> bool:
    """Tell whether a folder is there."""
    return os.path.isdir(path)


def files_within(folder: str) -> list[str]:
    """Return the paths of all regular files in a folder and in its folders, sorted."""
    paths = (os.path.join(place, name) for place, _, names in os.walk(folder) for name in names)
    return sorted(filter(os.path.isfile, paths))


def matching(pattern: str) -> list[str] | None:
    """Return the paths that a pattern matches, sorted; None if it is no pattern."""
    return sorted(glob.glob(pattern, recursive=True)) if glob.has_magic(pattern) else None


def open_to_read(path: str, *, wait: bool = True) -> FileIO:
    """Open a file for reading, without a buffer; a pipe waits for its writer, if it may.

    Raises:
        OSError: it cannot be opened.
    """
    return open(path, "rb", buffering=0, opener=None if wait else _without_waiting)


def open_buffered(path: str) -> BufferedReader:
    """Open a file for reading, a few bytes at a time, from any place.

    Raises:
        OSError: it cannot be opened.
    """
    return open(path, "rb")


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def first_bytes(path: str, count: int) -> bytes:
    """Return the first bytes of a regular file; none if there is no such file to read."""
    try:
        if not state_of(path).is_regular:
            return b""
        with open_to_read(path) as file:
            return file.read(count)
    except OSError:
        return b""
