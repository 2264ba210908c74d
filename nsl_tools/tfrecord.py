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

import struct
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import google_crc32c
import numpy as np
import numpy.typing as npt

from nsl_tools.checksums import MASK_DELTA, promised_crc
from nsl_tools.errors import DataError
from nsl_tools.first_reading import Digest
from nsl_tools.spans import Bytes, Places, all_equal, gather
from nsl_tools.streams import (
    CHUNK,
    ByteStream,
    Inflater,
    Pushback,
    Source,
    looks_gzipped,
    looks_zlibbed,
    read_exactly,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HEADER_BYTES = 12
FOOTER_BYTES = 4
_HEADER = struct.Struct("<QI")
_KNOWN_HEADERS = 4096
_RUN = 4  # equal headers in a row, after which more are expected
_MANY = 64  # records, whose checksums are checked sooner together than one by one

_crc32c = google_crc32c.value


def masked_crc(data: bytes) -> int:
    """Return the CRC32C of `data`, rotated and offset as TFRecord stores it."""
    crc = int(_crc32c(data))
    return ((crc >> 15 | crc << 17) + MASK_DELTA) & 0xFFFFFFFF


def masked_crcs(
    data: bytes | Bytes, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint32]:
    """Return `masked_crc` of each span of `data`, shape (n,)."""
    spans = map(data.__getitem__, _slices(starts, ends))
    crcs = np.fromiter(map(_crc32c, spans), np.uint32, len(starts))
    return np.asarray((crcs >> np.uint32(15) | crcs << np.uint32(17)) + np.uint32(MASK_DELTA))


def frame(*payloads: bytes) -> bytes:
    """Return `payloads` as records, end to end."""
    parts = []
    for payload in payloads:
        footer = masked_crc(payload).to_bytes(4, "little")
        parts += [frame_header(len(payload)), payload, footer]
    return b"".join(parts)


def frame_header(length: int) -> bytes:
    """Return the 12 bytes that come before a payload of `length` bytes."""
    prefix = length.to_bytes(8, "little")
    return prefix + masked_crc(prefix).to_bytes(4, "little")


@dataclass(frozen=True)
class Framed:
    """Records as they stand in a file, n of them end to end.

    Attributes:
        data: their bytes, uint8.
        ends: where each starts, and where the last ends, shape (n + 1,), int64.
    """

    data: Bytes = field(repr=False)
    ends: Places = field(repr=False)

    def __len__(self) -> int:
        return len(self.ends) - 1


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
    """

    source: str
    numbers: Sequence[int]
    offset: int
    data: bytes = field(repr=False)
    starts: npt.NDArray[np.int64] = field(repr=False)
    ends: npt.NDArray[np.int64] = field(repr=False)

    def __len__(self) -> int:
        return len(self.starts)

    @cached_property
    def payloads(self) -> list[bytes]:
        """The content of each record."""
        return list(map(self.data.__getitem__, _slices(self.starts, self.ends)))

    @cached_property
    def checksums(self) -> npt.NDArray[np.uint32]:
        """The masked CRC32C that stands behind each record, shape (n,)."""
        footers = gather(np.frombuffer(self.data, np.uint8), self.ends, FOOTER_BYTES)
        return np.ascontiguousarray(footers).view("<u4")[:, 0]

    def select(self, kept: Sequence[int]) -> RecordBatch:
        """Return the records at the indices `kept`, which keep their numbers and places."""
        numbers = [self.numbers[index] for index in kept]
        rows = np.array(kept, np.int64)
        return replace(self, numbers=numbers, starts=self.starts[rows], ends=self.ends[rows])

    def error(self, index: int, problem: str) -> DataError:
        """Return the error that record `index` of this batch has `problem`."""
        place = self.offset + int(self.starts[index]) - HEADER_BYTES
        return _record_error(self.source, self.numbers[index], place, problem)


def _slices(starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> Iterator[slice]:
    return map(slice, starts.tolist(), ends.tolist())


def _record_error(source: str, number: int, offset: int, problem: str) -> DataError:
    return DataError(source, f"record {number} at byte {offset}", problem, number, offset)


def read_batches(source: Source) -> Iterator[RecordBatch]:
    """Yield the records of a file, some at a time, in order.

    Raises:
        DataError: the file cannot be read, is not a TFRecord file, is cut, or
            a checksum does not match.
    """
    with source.open() as raw:
        head = read_exactly(raw, HEADER_BYTES)
        check_start(source.name, head)
        stream: ByteStream = Pushback(head, raw)
        size = None
        if _is_header(head):
            size = source.size() if source.spool is None else None
        elif looks_gzipped(head) or looks_zlibbed(head):
            stream = Inflater(stream, source.name, members=looks_gzipped(head))
        digest = Digest()
        for batch in _Framer(stream, source.name, size, source.max_record_bytes).batches():
            digest.add(batch.checksums)
            source.first.hold_count(source.name, digest.count)
            yield batch
        source.first.hold_records(source.name, digest)


def check_start(name: str, data: bytes) -> None:
    """Raise DataError if a file that starts with `data` is no TFRecord file, plain or compressed.

    One that is shorter than a header is left to its reader.
    """
    head = data[:HEADER_BYTES]
    known = _is_header(head) or looks_gzipped(head) or looks_zlibbed(head)
    if len(head) == HEADER_BYTES and not known:
        raise _record_error(name, 0, 0, _not_a_header(head))


def is_tfrecord(path: str) -> bool:
    """Tell whether the file at `path` exists and starts as a plain TFRecord file."""
    try:
        with open(path, "rb") as file:
            return _is_header(file.read(HEADER_BYTES))
    except OSError:
        return False


def _is_header(head: bytes) -> bool:
    return len(head) == HEADER_BYTES and masked_crc(head[:8]) == _HEADER.unpack(head)[1]


def _not_a_header(head: bytes) -> str:
    kind = "text" if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head) else "other data"  # noqa: PLR2004 - printable ASCII
    return f"not a TFRecord file (plain, GZIP or ZLIB): it starts with {kind}, {head!r}"


def _check_payloads(batch: RecordBatch) -> None:
    """Hold the records of a batch, all there are in its data up to the last, against their sums."""
    expected = batch.checksums
    if _kept_promise(batch, expected):
        return
    wrong = np.flatnonzero(masked_crcs(batch.data, batch.starts, batch.ends) != expected)
    if len(wrong):
        raise batch.error(int(wrong[0]), "the content does not match its checksum")


def _kept_promise(batch: RecordBatch, footers: npt.NDArray[np.uint32]) -> bool:
    """Tell whether the records are many, of one length, and sum up to what they promise."""
    lengths = batch.ends - batch.starts
    if len(batch) < _MANY or (lengths != lengths[0]).any():
        return False
    whole = batch.data[: int(batch.ends[-1]) + FOOTER_BYTES]
    return bool(promised_crc(batch.data[:HEADER_BYTES], footers) == _crc32c(whole))


class _Framer:
    """Splits one plain stream into records."""

    def __init__(
        self, stream: ByteStream, name: str, size: int | None, max_record_bytes: int
    ) -> None:
        self._stream = stream
        self._name = name
        self._size = size
        self._max_record_bytes = max_record_bytes
        self._lengths: dict[bytes, int] = {}
        self._buffer = b""
        self._offset = 0
        self._number = 0

    def batches(self) -> Iterator[RecordBatch]:
        wanted = CHUNK
        while data := read_exactly(self._stream, wanted):
            self._buffer += data
            ends, missing = self._equal_records() or self._complete_records()
            if len(ends):
                yield self._take(ends)
            wanted = self._wanted(ends, missing)
        if self._buffer:
            raise self._cut()

    def _wanted(self, ends: Places, missing: int) -> int:
        """Return how many bytes to read next.

        If all records are as long as the last one, what is read ends where one does:
        then nothing is left over, and nothing copied to join it.
        """
        length = int(np.diff(ends[-2:], prepend=0)[-1]) if len(ends) else 0
        if not 0 < length <= CHUNK:
            return max(CHUNK, missing)
        missing = missing or length - len(self._buffer)
        return missing + max(0, CHUNK - missing) // length * length

    def _equal_records(self) -> tuple[Places, int] | None:
        """Return where each record ends, and 0, if the buffer is whole ones of one known length."""
        header = self._buffer[:HEADER_BYTES]
        length = self._lengths.get(header)
        if length is None:
            return None
        stride = length + HEADER_BYTES + FOOTER_BYTES
        count, rest = divmod(len(self._buffer), stride)
        if rest or self._run(0, header, stride) < count:
            return None
        return np.arange(1, count + 1, dtype=np.int64) * stride, 0

    def _complete_records(self) -> tuple[Places, int]:
        """Return where each whole record in the buffer ends, and how many bytes the next lacks."""
        buffer, lengths = self._buffer, self._lengths
        ends: list[int] = []
        position, last = 0, len(buffer) - HEADER_BYTES
        previous, equal = b"", 0
        while position <= last:
            header = buffer[position : position + HEADER_BYTES]
            length = lengths.get(header)
            if length is None:
                length = self._checked_length(header, position, len(ends))
            stride = length + HEADER_BYTES + FOOTER_BYTES
            if position + stride > len(buffer):
                return np.array(ends, np.int64), position + stride - len(buffer)
            equal = equal + 1 if header == previous else 1
            count = self._run(position, header, stride) if equal == _RUN else 1
            ends.extend(range(position + stride, position + count * stride + 1, stride))
            position += count * stride
            previous = header if count == 1 else b""
        return np.array(ends, np.int64), 0

    def _run(self, position: int, header: bytes, stride: int) -> int:
        """Return how many records with this `header` follow each other from `position` on."""
        count = (len(self._buffer) - position) // stride
        shape, strides = (count, HEADER_BYTES), (stride, 1)
        headers = np.ndarray(shape, np.uint8, self._buffer, position, strides)
        expected = np.frombuffer(header, np.uint8)
        if all_equal(headers, expected):
            return count
        return int((headers == expected).all(axis=1).argmin())

    def _checked_length(self, header: bytes, position: int, index: int) -> int:
        number, offset = self._number + index, self._offset + position
        length, crc = _HEADER.unpack(header)
        if masked_crc(header[:8]) != crc:
            raise _record_error(
                self._name, number, offset, "the length does not match its checksum"
            )
        left = None if self._size is None else self._size - offset - HEADER_BYTES - FOOTER_BYTES
        if length > self._max_record_bytes:
            problem = (
                f"{length} bytes long, more than the limit of {self._max_record_bytes}: "
                "raise --max-record-bytes if that is right"
            )
            raise _record_error(self._name, number, offset, problem)
        if left is not None and length > left:
            problem = f"cut: {length} bytes announced, {max(left, 0)} are left"
            raise _record_error(self._name, number, offset, problem)
        if len(self._lengths) == _KNOWN_HEADERS:
            self._lengths.clear()
        self._lengths[header] = length
        return int(length)

    def _take(self, ends: Places) -> RecordBatch:
        buffer, end = self._buffer, int(ends[-1])
        starts = np.r_[0, ends[:-1]] + HEADER_BYTES
        numbers = range(self._number, self._number + len(ends))
        batch = RecordBatch(self._name, numbers, self._offset, buffer, starts, ends - FOOTER_BYTES)
        _check_payloads(batch)
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
        return _record_error(self._name, self._number, self._offset, problem)
