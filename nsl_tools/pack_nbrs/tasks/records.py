"""Where the records of all nodes are, so that tasks on any machine read some of them.

The first reading of the inputs, which numbers the nodes, notes where each batch of records is.
What not all machines can read from its middle, as compressed files, tables and streams, is
copied to the work folder first, as plain records.
"""

from __future__ import annotations

import io
import os
from bisect import bisect_left
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.engines.work_folder import write_work
from nsl_tools.errors import DataError
from nsl_tools.files.filesystem import state_of
from nsl_tools.files.stores.store import is_remote
from nsl_tools.files.streams import CHUNK, Source
from nsl_tools.formats.example_batch import parsed_batch
from nsl_tools.formats.protobuf.example_columns import ExampleParser
from nsl_tools.formats.tfrecord.reader import is_compressed, read_batches, unpacked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from nsl_tools.files.streams import Rewindable
    from nsl_tools.formats.example_batch import ExampleBatch
    from nsl_tools.formats.tfrecord.reader import RecordBatch
    from nsl_tools.pack_nbrs.inputs import Input
    from nsl_tools.pack_nbrs.nodes import NodeRows


@dataclass(frozen=True)
class RecordFile:
    """A file of plain records, which all machines see.

    Attributes:
        path: where it is.
        name: of the input that it is, or a copy of.
        noun: what that consists of.
        size: its bytes.
        mtime: when it was written last, in nanoseconds.
    """

    path: str
    name: str
    noun: str
    size: int
    mtime: int

    def bytes_between(self, start: int, stop: int) -> bytes:
        """Return some of its bytes.

        Raises:
            DataError: it cannot be read, or is not what it was.
        """
        try:
            found = state_of(self.path)
        except OSError as err:
            raise DataError(self.name, "", f"cannot be read: {err.strerror or err}") from err
        if (found.size, found.times[0]) != (self.size, self.mtime):
            problem = "changed while it was read: run again when nothing writes to it"
            raise DataError(self.name, "", problem)
        data = bytearray(stop - start)
        Source(self.path).read_spans(data, [(start, stop - start)])
        return bytes(data)


@dataclass(frozen=True)
class Part:
    """Consecutive records of one file.

    Attributes:
        file: that they are in.
        start: byte where the first one starts.
        stop: byte where the last one ends.
        number: of the first one in the file.
        row: of the first one that is kept.
        rows: how many are kept.
        left_out: numbers of those that are not, ascending.
    """

    file: RecordFile
    start: int
    stop: int
    number: int
    row: int
    rows: int
    left_out: tuple[int, ...]

    def examples(self, first: int, stop: int) -> Iterator[tuple[int, ExampleBatch]]:
        """Yield the examples of the rows from `first` to `stop`, and the row of each batch's first.

        Raises:
            DataError: the file has changed, or is damaged.
        """
        data = io.BytesIO(self.file.bytes_between(self.start, self.stop))
        parser, row = ExampleParser(), self.row
        for records in read_batches(Source(self.file.name, data, noun=self.file.noun)):
            kept = self._placed(records)
            some = kept[max(0, first - row) : max(0, stop - row)]
            if len(some):
                yield max(row, first), parsed_batch(parser, some)
            row += len(kept)

    def _placed(self, records: RecordBatch) -> RecordBatch:
        """Return those of a batch that are kept, with numbers and places of the whole file."""
        numbers = range(records.numbers[0] + self.number, records.numbers[-1] + self.number + 1)
        placed = replace(records, numbers=numbers, offset=records.offset + self.start)
        if not self.left_out:
            return placed
        gone = set(self.left_out)
        return placed.select([i for i, n in enumerate(numbers) if n not in gone])


class RecordPlaces:
    """Where the records of all rows are, batch by batch.

    Args:
        inputs: the labeled and the unlabeled one, read once.
        nodes: the rows that they became.
        folder: for copies.

    Raises:
        DataError: a file cannot be read. WorkError: it cannot be copied.
    """

    def __init__(self, inputs: Sequence[Input], nodes: NodeRows, folder: str) -> None:
        self._files: list[RecordFile] = []
        self._left_out: list[list[int]] = []
        ordinals = {}
        for side, part in enumerate(inputs):
            for source in part.sources:
                ordinals[side, source.name] = len(self._files)
                self._files.append(_visible(source, folder))
                self._left_out.append(sorted(part.skipped.numbers_in(source.name)))
        places = nodes.batch_places
        self._owners = np.array([ordinals[p.side, p.source] for p in places], np.int64)
        self._spans = np.array([(p.start, p.stop, p.number) for p in places], np.int64)
        self._rows = np.append(nodes.batch_rows(), nodes.count)

    def parts(self, first: int, stop: int, most: int) -> list[Part]:
        """Return the records of the rows from `first` to `stop`, and a few others around them.

        Args:
            first: row.
            stop: row.
            most: bytes of a part; a batch is not cut.
        """
        if first >= stop:
            return []
        begin = int(np.searchsorted(self._rows, first, side="right")) - 1
        end = int(np.searchsorted(self._rows, stop))
        sizes = np.cumsum(self._spans[begin:end, 1] - self._spans[begin:end, 0])
        group = (sizes - 1) // most
        changes = (np.diff(group) > 0) | (np.diff(self._owners[begin:end]) > 0)
        bounds = [begin, *(begin + 1 + np.flatnonzero(changes)).tolist(), end]
        return [self._part(a, b) for a, b in pairwise(bounds) if self._count(a, b)]

    def _count(self, first: int, stop: int) -> int:
        return int(self._rows[stop] - self._rows[first])

    def _part(self, first: int, stop: int) -> Part:
        """Return the records of some batches, all of one file."""
        owner = int(self._owners[first])
        start, _, number = self._spans[first].tolist()
        return Part(
            self._files[owner],
            start,
            int(self._spans[stop - 1, 1]),
            number,
            int(self._rows[first]),
            self._count(first, stop),
            self._left_out_between(first, stop),
        )

    def _left_out_between(self, first: int, stop: int) -> tuple[int, ...]:
        """Return the numbers of the records that are left out among some batches of one file."""
        owner = int(self._owners[first])
        left_out = self._left_out[owner]
        begin = bisect_left(left_out, int(self._spans[first, 2]))
        more = stop < len(self._owners) and self._owners[stop] == owner
        end = bisect_left(left_out, int(self._spans[stop, 2])) if more else len(left_out)
        return tuple(left_out[begin:end])


def _visible(source: Source, folder: str) -> RecordFile:
    """Return the plain records of a source: the file itself, if all machines can read it so."""
    if is_compressed(source):
        with unpacked(source) as spool:
            return _copied(source, spool, folder)
    if source.spool is not None:
        return _copied(source, source.spool, folder)
    found = state_of(source.name)
    # Executors have another current folder.
    path = source.name if is_remote(source.name) else os.path.abspath(source.name)
    return RecordFile(path, source.name, source.noun, found.size, found.times[0])


def _copied(source: Source, spool: Rewindable, folder: str) -> RecordFile:
    spool.seek(0)

    def chunks() -> Iterator[npt.NDArray[np.uint8]]:
        while data := spool.read(CHUNK):
            yield np.frombuffer(data, np.uint8)

    file = write_work(folder, "records", chunks())
    times = state_of(file.path).times
    return RecordFile(file.path, source.name, source.noun, file.size, times[0])
