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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import google_crc32c
import numpy as np

from nsl_tools.errors import DataError
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
_MASK_DELTA = 0xA282EAD8
_HEADER = struct.Struct("<QI")
_KNOWN_HEADERS = 4096

_crc32c = google_crc32c.value


def masked_crc(data: bytes) -> int:
    """Return the CRC32C of `data`, rotated and offset as TFRecord stores it."""
    crc = int(_crc32c(data))
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


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
class RecordBatch:
    """Consecutive records of one file.

    Attributes:
        source: name of the file, for messages.
        first: number of the first record, from 0.
        offset: byte where the first record starts (in the decompressed stream).
        payloads: the contents, checksums verified.
    """

    source: str
    first: int
    offset: int
    payloads: list[bytes] = field(repr=False)

    def numbers(self) -> Sequence[int]:
        """Return the number of each record in its file."""
        return range(self.first, self.first + len(self.payloads))

    def select(self, kept: Sequence[int]) -> RecordBatch:
        """Return the records at the indices `kept`, which keep their places."""
        payloads = [self.payloads[index] for index in kept]
        return _Selection(self.source, self.first, self.offset, payloads, self, kept)

    def error(self, index: int, problem: str) -> DataError:
        """Return the error that record `index` of this batch has `problem`."""
        framing = HEADER_BYTES + FOOTER_BYTES
        before = sum(len(payload) + framing for payload in self.payloads[:index])
        return _record_error(self.source, self.first + index, self.offset + before, problem)


@dataclass(frozen=True)
class _Selection(RecordBatch):
    """Some of the records of the batch `whole`."""

    whole: RecordBatch = field(repr=False)
    kept: Sequence[int] = field(repr=False)

    def numbers(self) -> Sequence[int]:
        whole = self.whole.numbers()
        return [whole[index] for index in self.kept]

    def select(self, kept: Sequence[int]) -> RecordBatch:
        return self.whole.select([self.kept[index] for index in kept])

    def error(self, index: int, problem: str) -> DataError:
        return self.whole.error(self.kept[index], problem)


def _record_error(source: str, number: int, offset: int, problem: str) -> DataError:
    return DataError(source, f"record {number} at byte {offset}", problem)


def read_batches(source: Source) -> Iterator[RecordBatch]:
    """Yield the records of a file, some at a time, in order.

    Raises:
        DataError: the file cannot be read, is not a TFRecord file, is cut, or
            a checksum does not match.
    """
    with source.open() as raw:
        head = read_exactly(raw, HEADER_BYTES)
        stream: ByteStream = Pushback(head, raw)
        size = None
        if _is_header(head):
            size = source.size() if source.spool is None else None
        elif looks_gzipped(head) or looks_zlibbed(head):
            stream = Inflater(stream, source.name)
        elif len(head) == HEADER_BYTES:
            raise _record_error(source.name, 0, 0, _not_a_header(head))
        yield from _Framer(stream, source.name, size, source.max_record_bytes).batches()


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
            ends, missing = self._complete_records()
            if ends:
                yield self._take(ends)
            wanted = max(CHUNK, missing)
        if self._buffer:
            raise self._cut()

    def _complete_records(self) -> tuple[list[int], int]:
        """Return where each whole record in the buffer ends, and how many bytes the next lacks."""
        buffer, lengths = self._buffer, self._lengths
        ends: list[int] = []
        position, last = 0, len(buffer) - HEADER_BYTES
        while position <= last:
            header = buffer[position : position + HEADER_BYTES]
            length = lengths.get(header)
            if length is None:
                length = self._checked_length(header, position, len(ends))
            end = position + length + HEADER_BYTES + FOOTER_BYTES
            if end > len(buffer):
                return ends, end - len(buffer)
            ends.append(end)
            position = end
        return ends, 0

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

    def _take(self, ends: list[int]) -> RecordBatch:
        buffer = self._buffer
        starts = [0, *ends[:-1]]
        payloads = [
            buffer[start + HEADER_BYTES : end - FOOTER_BYTES]
            for start, end in zip(starts, ends, strict=True)
        ]
        batch = RecordBatch(self._name, self._number, self._offset, payloads)
        self._check_payloads(batch, [buffer[end - FOOTER_BYTES : end] for end in ends])
        self._buffer = buffer[ends[-1] :]
        self._offset += ends[-1]
        self._number += len(ends)
        return batch

    def _check_payloads(self, batch: RecordBatch, footers: list[bytes]) -> None:
        crcs = np.fromiter(map(_crc32c, batch.payloads), np.uint32, len(footers))
        masked = (crcs >> np.uint32(15) | crcs << np.uint32(17)) + np.uint32(_MASK_DELTA)
        wrong = np.flatnonzero(masked != np.frombuffer(b"".join(footers), "<u4"))
        if len(wrong):
            raise batch.error(int(wrong[0]), "the content does not match its checksum")

    def _cut(self) -> DataError:
        found = len(self._buffer)
        if found < HEADER_BYTES:
            problem = f"truncated header ({found} of {HEADER_BYTES} bytes)"
        else:
            length = _HEADER.unpack_from(self._buffer)[0]
            problem = f"truncated record ({found} of {length + HEADER_BYTES + FOOTER_BYTES} bytes)"
        return _record_error(self._name, self._number, self._offset, problem)
