"""Files that must stay what they are while they are read."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

from nsl_tools.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader


@contextlib.contextmanager
def opened(path: str) -> Iterator[BufferedReader]:
    """Open a regular file, once, to be read from any place.

    Yields:
        The file. At the end it must be as it was at the start, and still have its name.

    Raises:
        DataError: it cannot be read, is no regular file, or changed meanwhile.
    """
    with os_errors_as_data_errors(path):
        if not is_regular(path):
            raise DataError(path, "", "expected a regular file, found a folder, pipe or device")
        with open(path, "rb") as file:
            before = _state(os.fstat(file.fileno()))
            try:
                yield file
            except DataError as err:
                # What was found wrong may be of both versions.
                _refuse_change(path, file, before, err)
                raise
            _refuse_change(path, file, before, None)


def _refuse_change(
    path: str, file: BufferedReader, before: tuple[int, ...], cause: DataError | None
) -> None:
    try:
        named = _state(os.stat(path))
    except FileNotFoundError:
        named = ()
    if named != before or _state(os.fstat(file.fileno())) != before:
        problem = "changed while it was read: repeat the run when nothing writes it"
        raise DataError(path, "", problem) from cause


def _state(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def is_regular(path: str) -> bool:
    """Tell whether `path` is a regular file; a file that is missing raises OSError."""
    return stat.S_ISREG(os.stat(path).st_mode)


@contextlib.contextmanager
def os_errors_as_data_errors(path: str) -> Iterator[None]:
    """Turn an OSError into a DataError that names the file."""
    try:
        yield
    except OSError as err:
        raise DataError(path, "", f"cannot be read: {err.strerror or err}") from err
