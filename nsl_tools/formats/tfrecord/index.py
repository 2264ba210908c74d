"""Records of TFRecord files in any order: where each is, and reading some of them."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from nsl_tools.arrays.byte_spans import offsets_of
from nsl_tools.files.streams import source
from nsl_tools.formats.tfrecord.frames import FOOTER_BYTES, HEADER_BYTES, first_damaged, footers_of
from nsl_tools.formats.tfrecord.reader import (
    is_compressed,
    record_ends,
    record_error,
    unpacked,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nsl_tools.arrays.byte_spans import Places
    from nsl_tools.errors import DataError
    from nsl_tools.spill.scratch import Spool


class IndexedFile:
    """One file, plain or compressed, any of whose records can be read.

    Of a compressed one, each process that reads it has a plain copy in a scratch file.

    Attributes:
        source: the file.
        ends: where each record starts, and where the last ends, shape (n + 1,), int64.
    """

    def __init__(self, path: str) -> None:
        """Find the records of a file, by their headers alone.

        Raises:
            DataError: it cannot be read, is not a TFRecord file, or is cut.
        """
        self.source = source(path)
        self._is_compressed = is_compressed(self.source)
        self._copy: Spool | None = None
        self._lock = Lock()
        self.ends = record_ends(replace(self.source, spool=self._plain_copy()))

    def __getstate__(self) -> dict[str, Any]:
        # Another process cannot have the copy or the lock of this one.
        return {**self.__dict__, "_copy": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=Lock())

    def _plain_copy(self) -> Spool | None:
        with self._lock:
            if self._is_compressed and self._copy is None:
                self._copy = unpacked(self.source)
                weakref.finalize(self, self._copy.__exit__)
            return self._copy

    def read_into(self, buffer: memoryview, numbers: Places) -> None:
        """Fill a buffer with records, their headers and checksums, end to end.

        Args:
            buffer: of as many bytes as they have.
            numbers: of the records, ascending, shape (m,).

        Raises:
            DataError: the file cannot be read, or has changed.
        """
        starts, ends = self.ends[numbers], self.ends[numbers + 1]
        firsts = np.append(0, np.flatnonzero(starts[1:] != ends[:-1]) + 1)
        lasts = np.append(firsts[1:], len(numbers)) - 1
        sizes = ends[lasts] - starts[firsts]
        spans = zip(starts[firsts].tolist(), sizes.tolist(), strict=True)
        (self._plain_copy() or self.source).read_spans(buffer, spans)


@dataclass(frozen=True)
class PickedRecords:
    """Some records of several files, n of them.

    Attributes:
        data: bytes that hold them.
        starts: where in `data` the content of each starts, shape (n,), int64.
        ends: where it ends.
        rows: their numbers in all files together, ascending.
        index: of these files.
    """

    data: bytes = field(repr=False)
    starts: Places = field(repr=False)
    ends: Places = field(repr=False)
    rows: Places = field(repr=False)
    index: RecordIndex = field(repr=False)

    def __len__(self) -> int:
        return len(self.rows)

    def error(self, place: int, problem: str) -> DataError:
        """Return the error that the record at `place` among these has `problem`."""
        return self.index.error(int(self.rows[place]), problem)


def joined(parts: Sequence[PickedRecords]) -> tuple[bytes, Places, Places]:
    """Return the bytes of all parts, and where the content of each record starts and ends."""
    bounds = offsets_of(np.array([len(part.data) for part in parts], np.int64)).tolist()
    starts = [part.starts + first for part, first in zip(parts, bounds, strict=False)]
    ends = [part.ends + first for part, first in zip(parts, bounds, strict=False)]
    data = parts[0].data if len(parts) == 1 else b"".join([part.data for part in parts])
    return data, np.concatenate(starts), np.concatenate(ends)


class RecordIndex:
    """The records of several files, numbered from 0 in the order of the files."""

    def __init__(self, paths: Sequence[str]) -> None:
        """Find the records of files.

        Raises:
            DataError: one cannot be read, is not a TFRecord file, or is cut.
        """
        self._files = [IndexedFile(path) for path in paths]
        counts = [len(file.ends) - 1 for file in self._files]
        self._firsts = offsets_of(np.array(counts, np.int64))

    def __len__(self) -> int:
        return int(self._firsts[-1])

    @property
    def mean_bytes(self) -> float:
        """How many bytes a record has in the mean, at least 1."""
        sizes = [int(file.ends[-1]) for file in self._files]
        return max(1.0, sum(sizes) / max(1, len(self)))

    def read(self, rows: Places, *, checksums: bool = True) -> PickedRecords:
        """Read records.

        Args:
            rows: their numbers, ascending, shape (n,).
            checksums: whether the content of each is held against its checksum.

        Raises:
            DataError: a file cannot be read, or has changed, or a record is damaged.
        """
        lengths = np.empty(len(rows), np.int64)
        for file, part, numbers in self._by_file(rows):
            lengths[part] = file.ends[numbers + 1] - file.ends[numbers]
        bounds = offsets_of(lengths)
        buffer = bytearray(int(bounds[-1]))
        for file, part, numbers in self._by_file(rows):
            whole = memoryview(buffer)[bounds[part.start] : bounds[part.stop]]
            file.read_into(whole, numbers)
        starts, ends = bounds[:-1] + HEADER_BYTES, bounds[1:] - FOOTER_BYTES
        records = PickedRecords(bytes(buffer), starts, ends, rows, self)
        if checksums:
            damaged = first_damaged(records.data, starts, ends, footers_of(records.data, ends))
            if damaged is not None:
                raise records.error(damaged, "the content does not match its checksum")
        return records

    def error(self, row: int, problem: str) -> DataError:
        """Return the error that a record, by its number, has `problem`."""
        ((file, _, numbers),) = self._by_file(np.array([row]))
        number = int(numbers[0])
        return record_error(file.source.name, number, int(file.ends[number]), problem)

    def _by_file(self, rows: Places) -> Iterator[tuple[IndexedFile, slice, Places]]:
        """Yield each file that holds some of `rows`, which of them, and their numbers there."""
        bounds = np.searchsorted(rows, self._firsts)
        for place in np.flatnonzero(np.diff(bounds)).tolist():
            part = slice(int(bounds[place]), int(bounds[place + 1]))
            yield self._files[place], part, rows[part] - self._firsts[place]
