"""What is at a path or URL, and how to read it: the one place that asks for an input by its name.

Where an output may go is looked at in `preflight`; outputs themselves are reached by
descriptor, so that no name is looked up twice (`own_files`, `staging`, `outputs`).
"""

from __future__ import annotations

import glob
import io
import os
from typing import TYPE_CHECKING, Any

from nsl_tools.errors import DataError
from nsl_tools.files.stores.file_state import FileState
from nsl_tools.files.stores.store import files_below, files_like, is_remote, state_at

if TYPE_CHECKING:
    from io import BufferedReader
    from typing import IO


def state_of(file: str | int) -> FileState:
    """Return the state of a path, links followed, of a URL, or of an open descriptor.

    Raises:
        OSError: nothing is there, or it cannot be looked at.
    """
    if isinstance(file, str) and is_remote(file):
        return state_at(file)
    found = os.stat(file)
    return FileState(
        found.st_mode,
        (found.st_dev, found.st_ino),
        found.st_size,
        (found.st_mtime_ns, found.st_ctime_ns),
        found.st_nlink,
    )


def state_of_open(file: IO[bytes]) -> FileState:
    """Return the state of what is open.

    Raises:
        OSError: it cannot be looked at, or is no file.
    """
    stored = getattr(file, "raw", file)
    state: FileState = stored.state() if hasattr(stored, "state") else state_of(file.fileno())
    return state


def exists(path: str) -> bool:
    """Tell whether the name is taken, be it by a link that leads nowhere.

    Raises:
        DataError: a store cannot be asked.
    """
    return _remote_state(path) is not None if is_remote(path) else os.path.lexists(path)


def _remote_state(path: str) -> FileState | None:
    try:
        return state_at(path)
    except FileNotFoundError:
        return None
    except OSError as err:
        raise DataError(path, "", f"cannot be looked at: {err.strerror or err}") from err


def is_folder(path: str) -> bool:
    """Tell whether a folder is there.

    Raises:
        DataError: a store cannot be asked.
    """
    if is_remote(path):
        found = _remote_state(path)
        return found is not None and found.is_folder
    return os.path.isdir(path)


def files_within(folder: str) -> list[str]:
    """Return the paths of all regular files in a folder and in its folders, sorted.

    Raises:
        OSError: a store cannot be asked.
    """
    if is_remote(folder):
        return files_below(folder)
    paths = (os.path.join(place, name) for place, _, names in os.walk(folder) for name in names)
    return sorted(filter(os.path.isfile, paths))


def matching(pattern: str) -> list[str] | None:
    """Return the paths that a pattern matches, sorted; None if it is no pattern.

    Raises:
        OSError: a store cannot be asked.
    """
    if not glob.has_magic(pattern) or pattern.startswith(("http://", "https://")):
        return None  # a ? of a web server's URL stands for itself
    if is_remote(pattern):
        return files_like(pattern)
    return sorted(glob.glob(pattern, recursive=True))


def open_to_read(path: str, *, wait: bool = True) -> Any:
    """Open a file for reading, without a buffer; a pipe waits for its writer, if it may.

    Raises:
        OSError: it cannot be opened.
    """
    if is_remote(path):
        return _open_remote(path)
    return open(path, "rb", buffering=0, opener=None if wait else _without_waiting)


def open_buffered(path: str) -> BufferedReader:
    """Open a file for reading, a few bytes at a time, from any place.

    Raises:
        OSError: it cannot be opened.
    """
    if is_remote(path):
        return io.BufferedReader(_open_remote(path), 1 << 18)
    return open(path, "rb")


def _open_remote(path: str) -> Any:
    from nsl_tools.files.stores.reading import open_stored  # here, since it is seldom needed

    return open_stored(path)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def first_bytes(path: str, count: int) -> bytes:
    """Return the first bytes of a regular file; none if there is no such file to read."""
    try:
        if not state_of(path).is_regular:
            return b""
        with open_to_read(path) as file:
            return bytes(file.read(count))
    except OSError:
        return b""
