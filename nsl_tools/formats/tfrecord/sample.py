"""Some records of a file, from places spread over it: what lies between is not read.

A record starts wherever eight bytes, taken for a length, are followed by their checksum: so it
is found from any place, and only one place in 2^32 is mistaken for one. Of a compressed file,
which has to be read from its start, these are its first records.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.arrays.crc32c import length_crcs, masked
from nsl_tools.files.decompression import inflated_part, looks_gzipped, looks_zlibbed
from nsl_tools.files.streams import Source, read_exactly
from nsl_tools.formats.tfrecord.frames import FOOTER_BYTES, HEADER_BYTES, HEADER_TYPE
from nsl_tools.formats.tfrecord.reader import RecordBatch, read_batches, starts_as_tfrecord

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class RecordSample:
    """Some records of one file.

    Attributes:
        batches: the records, in the order of the file.
        expected: how many the whole file has, about.
        is_exact: whether it is known how many.
    """

    batches: list[RecordBatch]
    expected: float
    is_exact: bool

    @property
    def count(self) -> int:
        """How many records there are here."""
        return sum(map(len, self.batches))

    @property
    def is_whole(self) -> bool:
        """Whether these are all records of the file."""
        return self.is_exact and self.count >= self.expected

    def framed(self) -> bytes:
        """Return the records as they stand in a plain file, end to end."""
        return b"".join(
            memoryview(batch.data)[
                int(batch.starts[0]) - HEADER_BYTES : int(batch.ends[-1]) + FOOTER_BYTES
            ]
            for batch in self.batches
            if len(batch)
        )


def sample_records(source: Source, most_bytes: int) -> RecordSample:
    """Return records of a file: all, if it is small, or some from places spread over it.

    Args:
        source: a regular file.
        most_bytes: about how many bytes of records to return at most.

    Raises:
        DataError: it cannot be read, or is not what it should be, as far as it is read.
    """
    size = source.size() or 0
    with source.open() as stream:
        head = read_exactly(stream, HEADER_BYTES)
    if not starts_as_tfrecord(head) and (looks_gzipped(head) or looks_zlibbed(head)):
        return _first_records(source, size, most_bytes)
    if size <= most_bytes or not starts_as_tfrecord(head):
        batches = list(read_batches(source))
        return RecordSample(batches, sum(map(len, batches)), is_exact=True)
    found, starts, seen = [], 0, 0
    for piece in _pieces(source, size, most_bytes):
        seen += piece.bytes
        starts += piece.starts
        found += [piece.records] if len(piece.records) else []
    # Where no record fits such a piece, the first ones have to do.
    found = found or [next(read_batches(source))]
    # However long records are, as many start in a piece as in any other place.
    return RecordSample(found, max(starts, 1) * size / seen, is_exact=False)


def _first_records(source: Source, size: int, most_bytes: int) -> RecordSample:
    """Return all records of a compressed file, or the first ones."""
    batches: list[RecordBatch] = []
    held = 0
    for batch in read_batches(source):
        batches.append(batch)
        held += len(batch.data)
        if held > most_bytes:
            break
    else:
        return RecordSample(batches, sum(map(len, batches)), is_exact=True)
    # By how many bytes make how many: of those that were read, it is not known exactly.
    with source.open() as stream:
        head = read_exactly(stream, most_bytes)
    content, taken = inflated_part(head, most_bytes)
    count = sum(map(len, batches))
    return RecordSample(batches, count * len(content) / held * size / taken, is_exact=False)


@dataclass(frozen=True)
class _Piece:
    """What was found in consecutive bytes of a file.

    Attributes:
        bytes: how many these are.
        starts: records that start there.
        records: those of them that were read to their ends.
    """

    bytes: int
    starts: int
    records: RecordBatch


def _starts(size: int, count: int, piece_bytes: int) -> list[int]:
    """Return where pieces start, which do not overlap: one in each of as many parts of a file.

    The first one at 0, the others at random: at equal distances, they would miss what comes again
    at such distances, as the examples that are sources in the places where a graph is read.
    """
    parts = (np.arange(count) + np.random.default_rng(0).random(count)) / count
    parts[0] = 0
    places = (size - count * piece_bytes) * parts + np.arange(count) * piece_bytes
    return [int(place) for place in places]


def _pieces(source: Source, size: int, most_bytes: int) -> Iterator[_Piece]:
    count = 64  # enough to meet most of what a file has in different places
    piece_bytes = most_bytes // count
    for start in _starts(size, count, piece_bytes):
        data = bytearray(piece_bytes)
        source.read_spans(data, [(start, piece_bytes)])
        first = _first_header(data) if start else 0
        starts, ends = _bounds(data, len(data) if first is None else first)
        # Without the last record, which ends elsewhere, long ones would be missed.
        missing = ends[-1] + FOOTER_BYTES - piece_bytes if ends else 0
        if 0 < missing <= most_bytes // 8 and start + piece_bytes + missing <= size:
            rest = bytearray(missing)
            source.read_spans(rest, [(start + piece_bytes, missing)])
            data += rest
        whole = [end + FOOTER_BYTES <= len(data) for end in ends].count(True)
        records = _batch(source, start, bytes(data), (starts[:whole], ends[:whole]))
        yield _Piece(piece_bytes, len(starts), records)


def _first_header(data: bytearray) -> int | None:
    """Return the first place where a record starts; None if there is none."""
    count = len(data) - HEADER_BYTES + 1
    headers = np.ndarray((max(0, count),), HEADER_TYPE, data, strides=(1,))
    longest = np.uint64(1 << 32)  # of which the checksum is known
    places = np.flatnonzero(headers["length"] < longest)
    lengths = headers["length"][places]
    right = masked(length_crcs(lengths)) == headers["crc"][places]
    return int(places[np.argmax(right)]) if right.any() else None


def _bounds(data: bytearray, place: int) -> tuple[list[int], list[int]]:
    """Return where the records that start in `data`, the first at `place`, start and end."""
    starts, ends = [], []
    while place + HEADER_BYTES <= len(data):
        header = np.frombuffer(data, HEADER_TYPE, 1, place)
        starts.append(place + HEADER_BYTES)
        ends.append(starts[-1] + int(header["length"][0]))
        place = ends[-1] + FOOTER_BYTES
    return starts, ends


def _batch(
    source: Source, offset: int, data: bytes, places: tuple[list[int], list[int]]
) -> RecordBatch:
    """Return records in `data`, which was read at `offset`: they are told by where they start."""
    bounds = np.array(places, np.int64)
    numbers = [offset + start - HEADER_BYTES for start in places[0]]
    name, noun = source.name, "record at byte"
    return RecordBatch(name, numbers, offset, data, bounds[0], bounds[1], noun)
