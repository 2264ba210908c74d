"""TFRecord files: framing, checksums, compression.

A record is `length (uint64) | masked CRC32C of the length | payload | masked
CRC32C of the payload`, little-endian; a file is records end to end, or that
compressed as one GZIP or ZLIB stream. Records are handed on in batches, in
file order.

A file is plain if its first 12 bytes hold a length with a valid checksum (a
first record of 376 bytes starts like a ZLIB header); only otherwise is it
taken for GZIP or ZLIB. Source: tensorflow/core/lib/io/record_writer.h.
"""

from __future__ import annotations

import contextlib
import io
import struct
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import google_crc32c
import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.byte_spans import Places, all_equal, picked
from nsl_tools.arrays.crc32c import length_crcs, masked
from nsl_tools.errors import DataError
from nsl_tools.files.decompression import Inflater, inflated_head, looks_gzipped, looks_zlibbed
from nsl_tools.files.filesystem import first_bytes
from nsl_tools.files.streams import CHUNK, ByteStream, Pushback, Source, read_exactly
from nsl_tools.formats.tfrecord.frames import (
    FOOTER_BYTES,
    HEADER_BYTES,
    HEADER_TYPE,
    first_damaged,
    footers_of,
    masked_crc,
    slices_of,
)
from nsl_tools.memory import memory_problem
from nsl_tools.spill.scratch import Spool
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_FRAME_BYTES = HEADER_BYTES + FOOTER_BYTES
_HEADER = struct.Struct("<QI")

_crc32c = google_crc32c.value


@dataclass(frozen=True)
class RecordBatch:
    """Records of one file, n of them, in its order.

    Attributes:
        source: name of the file, for messages.
        numbers: of each record in its file, from 0.
        offset: byte where `data` starts (in the decompressed stream).
        data: bytes that hold the records, checksums verified.
        starts: where in `data` each payload starts, shape (n,), int64.
        ends: where each ends.
        noun: what the file consists of: a row of a table has no place in bytes.
    """

    source: str
    numbers: Sequence[int]
    offset: int
    data: bytes = field(repr=False)
    starts: npt.NDArray[np.int64] = field(repr=False)
    ends: npt.NDArray[np.int64] = field(repr=False)
    noun: str = "record"

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, part: slice) -> RecordBatch:
        numbers, starts, ends = self.numbers[part], self.starts[part], self.ends[part]
        return replace(self, numbers=numbers, starts=starts, ends=ends)

    @cached_property
    def payloads(self) -> list[bytes]:
        """The content of each record."""
        return list(map(self.data.__getitem__, slices_of(self.starts, self.ends)))

    def select(self, kept: Sequence[int]) -> RecordBatch:
        """Return the records at the indices `kept`, which keep their numbers and places."""
        numbers = [self.numbers[index] for index in kept]
        rows = np.array(kept, np.int64)
        return replace(self, numbers=numbers, starts=self.starts[rows], ends=self.ends[rows])

    def error(self, index: int, problem: str) -> DataError:
        """Return the error that record `index` of this batch has `problem`."""
        number = self.numbers[index]
        if self.noun != "record":
            return DataError(self.source, f"{self.noun} {number}", problem, number)
        place = self.offset + int(self.starts[index]) - HEADER_BYTES
        return record_error(self.source, number, place, problem)


def record_error(source: str, number: int, offset: int, problem: str) -> DataError:
    """Return the error that record `number`, which starts at byte `offset`, has `problem`."""
    return DataError(source, f"record {number} at byte {offset}", problem, number, offset)


def read_batches(source: Source) -> Iterator[RecordBatch]:
    """Yield the records of a file, some at a time, in order.

    Raises:
        DataError: the file cannot be read, is not a TFRecord file, is cut, a
            checksum does not match, or an earlier reading met other records.
    """
    with source.open() as raw:
        head = read_exactly(raw, HEADER_BYTES)
        stream: ByteStream = Pushback(head, raw)
        size = None
        if _is_header(head):
            size = source.size() if source.spool is None else None
        elif _is_compressed(head):
            stream = Inflater(stream, source.name, members=looks_gzipped(head))
        else:
            _refuse_other_data(source.name, head)
        framer = _Framer(stream, source, size)
        content = source.readings.content()
        for batch in framer.batches():
            footers = footers_of(batch.data, batch.ends)
            damaged = first_damaged(batch.data, batch.starts, batch.ends, footers)
            if damaged is not None:
                raise batch.error(damaged, "the content does not match its checksum")
            content.add(len(batch), _sum_of(batch, footers))
            yield batch
        content.end()


def record_ends(source: Source) -> Places:
    """Return where each record starts, and where the last ends, shape (n + 1,).

    The file, or its copy, must be plain. What the records hold is not looked at.

    Raises:
        DataError: the file cannot be read, is not a plain TFRecord file, or is cut.
    """
    ends = [np.zeros(1, np.int64)]
    with source.open() as stream:
        size = source.size() if source.spool is None else None
        batches = _Framer(stream, source, size).batches()
        ends.extend(batch.offset + batch.ends + FOOTER_BYTES for batch in batches)
    return np.concatenate(ends)


def is_compressed(source: Source) -> bool:
    """Tell whether a file is a compressed TFRecord file, by its first bytes.

    Raises:
        DataError: it cannot be read, or is no TFRecord file.
    """
    with source.open() as stream:
        head = read_exactly(stream, HEADER_BYTES)
    if _is_header(head):
        return False
    if not _is_compressed(head):
        _refuse_other_data(source.name, head)
    return _is_compressed(head)


def unpacked(source: Source) -> Spool:
    """Return what a compressed file stands for, as a copy in a scratch file.

    Raises:
        DataError: it cannot be read, or is damaged. ScratchError: it cannot be copied.
    """
    with source.open() as raw, contextlib.ExitStack() as stack:
        head = read_exactly(raw, HEADER_BYTES)
        stream = Inflater(Pushback(head, raw), source.name, members=looks_gzipped(head))
        out = stack.enter_context(Spool())
        while data := stream.read(CHUNK):
            out.write(data)
        stack.pop_all()  # it is complete: whoever asked for it closes it
    return out


def check_start(name: str, head: bytes) -> None:
    """Refuse a stream that starts with `head`, some hundred bytes or all, if it has no records.

    Raises:
        DataError: neither it nor what it was compressed from starts as a TFRecord file.
    """
    if _is_compressed(head) and not _is_header(head[:HEADER_BYTES]):
        content = inflated_head(head, HEADER_BYTES)
        if len(content) == HEADER_BYTES and not _is_header(content):
            raise _wrong_length(name, 0, 0)
    else:
        _refuse_other_data(name, head[:HEADER_BYTES])


def is_tfrecord(path: str) -> bool:
    """Tell whether a regular file is at `path` that starts as a plain TFRecord file."""
    return starts_as_tfrecord(first_bytes(path, HEADER_BYTES))


def starts_as_tfrecord(head: bytes) -> bool:
    """Tell whether a file that starts with `head` is a plain TFRecord file."""
    return _is_header(head[:HEADER_BYTES])


def _wrong_length(name: str, number: int, offset: int) -> DataError:
    return record_error(name, number, offset, "the length does not match its checksum")


def _is_header(head: bytes) -> bool:
    return len(head) == HEADER_BYTES and masked_crc(head[:8]) == _HEADER.unpack(head)[1]


def _is_compressed(head: bytes) -> bool:
    return looks_gzipped(head) or looks_zlibbed(head)


def _refuse_other_data(name: str, head: bytes) -> None:
    """Raise DataError if the first bytes of a file are there, and are no header."""
    if len(head) < HEADER_BYTES or _is_header(head):
        return
    kind = "text" if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head) else "other data"  # noqa: PLR2004 - printable ASCII
    problem = f"not a TFRecord file (plain, GZIP or ZLIB): it starts with {kind}, {head!r}"
    raise record_error(name, 0, 0, problem)


def _sum_of(batch: RecordBatch, footers: npt.NDArray[np.uint32]) -> int:
    """Return a checksum that tells records, of right content, from others."""
    return int(google_crc32c.extend(_crc32c(batch.ends.tobytes()), footers.tobytes()))


def _length_problem(length: int, source: Source, left: int | None) -> str:
    """Return what is wrong with a record of `length` bytes where so many are `left`, or nothing."""
    if length > source.max_record_bytes:
        return (
            f"{length} bytes long, more than the limit of {source.max_record_bytes}: "
            "raise --max-record-bytes if that is right"
        )
    if left is not None and length > left:
        return f"cut: {length} bytes announced, {max(left, 0)} are left"
    problem = memory_problem(length, source.memory_limit)
    return f"{length} bytes long, {problem}" if problem else ""


class _Framer:
    """Splits one plain stream into records."""

    def __init__(self, stream: ByteStream, source: Source, size: int | None) -> None:
        self._stream = stream
        self._name, self._noun = source.name, source.noun
        self._source = source
        self._size = size
        self._header = b""  # of the last whole record
        self._buffer = b""
        self._offset = 0
        self._number = 0

    def batches(self) -> Iterator[RecordBatch]:
        wanted = TUNING.batch_bytes
        while self._read(wanted):
            ends, missing = self._equal_records() or self._complete_records()
            if len(ends):
                yield self._take(ends)
            wanted = self._wanted(ends, missing)
        if self._buffer:
            raise self._cut()

    def _read(self, size: int) -> bool:
        """Add `size` bytes to the buffer, or what there is before the end; False at the end."""
        before = len(self._buffer)
        if size <= TUNING.batch_bytes:
            self._buffer = read_exactly(self._stream, size, self._buffer)
            return len(self._buffer) > before
        # A long record: grown in place, and what was grown is taken without a copy.
        joined = io.BytesIO()
        joined.write(self._buffer)
        self._buffer = b""
        while size and (part := self._stream.read(min(size, CHUNK))):
            size -= joined.write(part)
        self._buffer = joined.getvalue()
        return len(self._buffer) > before

    def _wanted(self, ends: Places, missing: int) -> int:
        """Return how many bytes to read next.

        If all records are as long as the last one, what is read ends where one does:
        then nothing is left over, and nothing copied to join it.
        """
        length = int(np.diff(ends[-2:], prepend=0)[-1]) if len(ends) else 0
        if not 0 < length <= TUNING.batch_bytes:
            return max(TUNING.batch_bytes, missing)
        missing = missing or length - len(self._buffer)
        return missing + max(0, TUNING.batch_bytes - missing) // length * length

    def _equal_records(self) -> tuple[Places, int] | None:
        """Return where each record ends, and 0, if the buffer is whole ones like the last one."""
        if not self._header or not self._buffer.startswith(self._header):
            return None
        stride = _HEADER.unpack(self._header)[0] + _FRAME_BYTES
        count, rest = divmod(len(self._buffer), stride)
        headers = np.ndarray((count, HEADER_BYTES), np.uint8, self._buffer, strides=(stride, 1))
        if rest or not all_equal(headers, np.frombuffer(self._header, np.uint8)):
            return None
        return np.arange(1, count + 1, dtype=np.int64) * stride, 0

    def _complete_records(self) -> tuple[Places, int]:
        """Return where each whole record in the buffer ends, and how many bytes the next lacks."""
        buffer, header_at = self._buffer, _HEADER.unpack_from
        places = [place := 0]
        last = len(buffer) - HEADER_BYTES
        while place <= last:
            place += header_at(buffer, place)[0] + _FRAME_BYTES
            places.append(place)
        missing = max(0, places[-1] - len(buffer))
        whole = len(places) - (missing > 0)
        self._check_headers(np.array(places[:-1], np.int64), whole - 1)
        return np.array(places[1:whole], np.int64), missing

    def _check_headers(self, starts: Places, whole: int) -> None:
        """Refuse records at `starts`, of which so many are `whole`, whose headers are wrong."""
        data = np.frombuffer(self._buffer, np.uint8)
        headers = picked(data, starts, HEADER_BYTES).view(HEADER_TYPE)[:, 0]
        lengths = headers["length"]
        wrong = masked(length_crcs(lengths)) != headers["crc"]
        wrong |= lengths > min(self._source.max_record_bytes, TUNING.batch_bytes)
        wrong[whole:] = True
        for index in np.flatnonzero(wrong).tolist():
            self._check_length(headers[index].tobytes(), int(starts[index]), index)
        if whole:
            self._header = headers[whole - 1].tobytes()

    def _check_length(self, header: bytes, position: int, index: int) -> None:
        """Refuse a record whose header is wrong, or whose length is not what may be."""
        number, offset = self._number + index, self._offset + position
        length, crc = _HEADER.unpack(header)
        if masked_crc(header[:8]) != crc:
            raise _wrong_length(self._name, number, offset)
        left = None if self._size is None else self._size - offset - _FRAME_BYTES
        if problem := _length_problem(length, self._source, left):
            raise record_error(self._name, number, offset, problem)

    def _take(self, ends: Places) -> RecordBatch:
        buffer, end = self._buffer, int(ends[-1])
        starts = np.r_[0, ends[:-1]] + HEADER_BYTES
        numbers = range(self._number, self._number + len(ends))
        batch = RecordBatch(
            self._name, numbers, self._offset, buffer, starts, ends - FOOTER_BYTES, self._noun
        )
        self._buffer = buffer[end:]
        self._offset += end
        self._number += len(ends)
        return batch

    def _cut(self) -> DataError:
        found = len(self._buffer)
        if found < HEADER_BYTES:
            problem = f"truncated header ({found} of {HEADER_BYTES} bytes)"
        else:
            length = _HEADER.unpack_from(self._buffer)[0]
            problem = f"truncated record ({found} of {length + HEADER_BYTES + FOOTER_BYTES} bytes)"
        return record_error(self._name, self._number, self._offset, problem)
