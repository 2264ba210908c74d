"""Whether a file stays the same while it is read, and from one reading to the next.

At each opening, and at the end of each reading, size, times and identity of the file are
compared with those at first. That is not enough: a writer can set times back, and two changes
within one tick of the clock have the same time. So what is read is compared as well, batch by
batch: the number of records, and a checksum of their checksums.
"""

from __future__ import annotations

import contextlib
from array import array
from typing import TYPE_CHECKING

from nsl_tools.errors import DataError
from nsl_tools.files.filesystem import open_buffered, state_of, state_of_open

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader
    from typing import IO

    from nsl_tools.files.stores.file_state import FileState


def _state_of(file: IO[bytes]) -> FileState | None:
    """Return the state of a regular file; None for anything else, which changes as it is read."""
    found = state_of_open(file)
    return found if found.is_regular else None


class Readings:
    """All readings of one file, one after the other."""

    def __init__(self, name: str) -> None:
        """Expect the file `name` to be opened; no reading of it has begun."""
        self._name = name
        self._state: FileState | None = None
        self._batches = array("Q")
        self._complete = False
        self.begun = False

    @contextlib.contextmanager
    def unchanged(self, file: IO[bytes]) -> Iterator[None]:
        """Let an open file be read, if it is and stays as it was at first.

        Raises:
            DataError: it is not. This replaces any other DataError of a changed file.
        """
        if not self.begun:
            self.begun, self._state = True, _state_of(file)
        self._compare(file)
        try:
            yield
        except DataError:
            # A file that is written to while it is read looks cut or damaged.
            self._compare(file)
            raise
        self._compare(file)

    def _compare(self, file: IO[bytes]) -> None:
        found = _state_of(file)
        if found != self._state:
            raise self.changed(_difference(self._state, found))

    def changed(self, what: str) -> DataError:
        """Return the error that the file is not what it was, and in `what` it differs."""
        problem = f"changed while it was read: {what}: run again when nothing writes to it"
        return DataError(self._name, "", problem)

    def content(self) -> Content:
        """Begin to compare the records of one reading."""
        return Content(self)

    def compare_batch(self, index: int, first: int, count: int, crc: int) -> None:
        """Compare batch `index` of a reading with what was there first.

        Args:
            index: of the batch in its reading.
            first: number of its first record.
            count: of its records.
            crc: checksum of all of them.

        Raises:
            DataError: they are others.
        """
        found = count << 32 | crc  # a checksum has 32 bits
        if index < len(self._batches):
            if self._batches[index] != found:
                what = f"records {first} to {first + count - 1} are not those that were read before"
                raise self.changed(what)
        elif self._complete:
            raise self.changed(f"it has more than the {first} records that were read before")
        else:
            self._batches.append(found)

    def compare_end(self, index: int, count: int) -> None:
        """Compare the end of a reading, after `index` batches, with that of the first.

        Raises:
            DataError: there are fewer of the `count` records.
        """
        if index < len(self._batches):
            raise self.changed(f"it ends after {count} records, and had more before")
        self._complete = True


class Content:
    """The records of one reading, compared with those of the first."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings
        self._batches = self._records = 0

    def add(self, count: int, crc: int) -> None:
        """Take the next batch: the number of its records, and a checksum of all of them.

        Raises:
            DataError: it differs from what was there first.
        """
        self._readings.compare_batch(self._batches, self._records, count, crc)
        self._batches += 1
        self._records += count

    def end(self) -> None:
        """Take the end.

        Raises:
            DataError: there were more records first.
        """
        self._readings.compare_end(self._batches, self._records)


@contextlib.contextmanager
def opened(path: str) -> Iterator[BufferedReader]:
    """Open a regular file, once, to be read from any place.

    Yields:
        The file. At the end it must be as it was at the start, and still have its name.

    Raises:
        DataError: it cannot be read, is no regular file, or changed meanwhile.
    """
    try:
        # Opening a pipe would wait for its writer.
        if not state_of(path).is_regular:
            raise DataError(path, "", "expected a regular file, found a folder, pipe or device")
        with open_buffered(path) as file, Readings(path).unchanged(file):
            yield file
    except OSError as err:
        raise DataError(path, "", f"cannot be read: {err.strerror or err}") from err


def _difference(first: FileState | None, found: FileState | None) -> str:
    """Return in words how two states differ."""
    if first is None or found is None or first.identity != found.identity:
        return "another file has its name"
    if first.size != found.size:
        return f"it is {found.size} bytes long, and was {first.size}"
    if not found.links:
        return "it was removed or replaced"
    return "it was written to or renamed (its times of change differ)"
