"""What the first reading of a file met, to which the others are held.

A run reads some inputs several times and matches records by their places. Each reading
has to meet the same file, by its device, inode, size and times, when it opens it and when it
is done; and the same records, by a checksum of their checksums, since a file may be
changed so soon after it was written that its times do not tell.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import google_crc32c

from nsl_tools.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_REMEDY = "run again when nothing writes to it"


class FirstReading:
    """The file and the records of one input, once they are known."""

    def __init__(self) -> None:
        self._file: dict[str, int] | None = None
        self._records: tuple[int, int] | None = None

    def hold_file(self, name: str, descriptor: int) -> None:
        """Compare an open file with what it was first; a stream cannot be read twice.

        Raises:
            DataError: it is another file, or was written to.
        """
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return
        now = {
            "its place on the disk": (found.st_dev << 64) + found.st_ino,
            "its size": found.st_size,
            "its time of change": found.st_mtime_ns,
            "the time of change of its inode": found.st_ctime_ns,
        }
        first = self._file = self._file or now
        if first != now:
            what = next(what for what in now if now[what] != first[what])
            raise changed(name, f"{what} is another")

    def lost(self, name: str, problem: str) -> DataError | None:
        """Return the error that a file which was there cannot be opened any more, or None."""
        return changed(name, problem) if self._file else None

    def hold_count(self, name: str, count: int) -> None:
        """Compare how many records were read so far: before they are matched by their places.

        Raises:
            DataError: there are more than before.
        """
        if self._records and count > self._records[0]:
            raise changed(name, f"it has more than {self._records[0]:,} records")

    def hold_records(self, name: str, records: Digest) -> None:
        """Compare all records of a file, at its end.

        Raises:
            DataError: they are not those of the first reading.
        """
        first = self._records = self._records or records.value
        if first != records.value:
            fewer = records.count < first[0]
            problem = (
                f"{records.count:,} records, {first[0]:,} before" if fewer else "other records"
            )
            raise changed(name, problem)


class Digest:
    """The number of the records of a file so far, and a checksum of all of them."""

    def __init__(self) -> None:
        self.count = 0
        self._crc = 0

    def add(self, checksums: npt.NDArray[np.uint32]) -> None:
        """Add the next records, of these checksums, shape (n,)."""
        self.count += len(checksums)
        self._crc = google_crc32c.extend(self._crc, checksums.tobytes())

    @property
    def value(self) -> tuple[int, int]:
        """Both numbers."""
        return self.count, self._crc


def changed(name: str, problem: str) -> DataError:
    """Return the error that a file is not what it was when it was read first."""
    return DataError(name, "", f"changed while it was read: {problem}: {_REMEDY}")
