"""Files that must stay what they are while they are read."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

from nsl_tools.errors import DataError
from nsl_tools.first_reading import FirstReading

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
    first = FirstReading()
    with _os_errors_as_data_errors(path):
        # To open a pipe would wait for its writer.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise DataError(path, "", "expected a regular file, found a folder, pipe or device")
        with open(path, "rb") as file:
            first.hold_file(path, file.fileno())
            try:
                yield file
            except DataError:
                # What looks like damage may be a change.
                first.hold_file(path, file.fileno())
                raise
            first.hold_file(path, file.fileno())


@contextlib.contextmanager
def _os_errors_as_data_errors(path: str) -> Iterator[None]:
    """Turn an OSError into a DataError that names the file."""
    try:
        yield
    except OSError as err:
        raise DataError(path, "", f"cannot be read: {err.strerror or err}") from err
