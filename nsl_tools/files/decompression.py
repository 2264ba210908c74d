"""Compression on the way in: GZIP, ZLIB and Zstandard, told by the first bytes, never by a name."""

from __future__ import annotations

import contextlib
import zlib
from typing import TYPE_CHECKING

import pyarrow as pa

from nsl_tools.errors import DataError
from nsl_tools.files.streams import CHUNK, Pushback, read_exactly

if TYPE_CHECKING:
    from nsl_tools.files.streams import ByteStream

_GZIP_MAGIC = b"\x1f\x8b"
_AUTO_HEADER = 32 + zlib.MAX_WBITS  # for zlib to tell GZIP and ZLIB by their headers


class Inflater:
    """Decompresses GZIP (several members too) or one ZLIB stream; its end must be there."""

    def __init__(self, compressed: ByteStream, name: str, *, members: bool = True) -> None:
        """Decompress ZLIB if there are no `members`, else GZIP."""
        self._compressed = compressed
        self._name = name
        self._members = members
        self._inflate = zlib.decompressobj(_AUTO_HEADER)
        self._pending = b""
        self._read = 0

    def read(self, size: int, /) -> bytes:
        """Return at most `size` decompressed bytes.

        Raises:
            DataError: the data is corrupt, or ends before its trailer.
        """
        while True:
            if not self._pending:
                self._pending = self._compressed.read(CHUNK)
                self._read += len(self._pending)
            if self._inflate.eof:
                if not self._next_member():
                    return b""
                continue
            if not self._pending and (data := self._drain(size)):
                return data
            if not self._pending:
                raise self._error("compressed data ends before its trailer: the file is cut")
            if data := self._drain(size):
                return data

    def _drain(self, size: int) -> bytes:
        try:
            data = self._inflate.decompress(self._pending, size)
        except zlib.error as err:
            raise self._error(f"compressed data is corrupt ({err})") from err
        self._pending = self._inflate.unconsumed_tail or self._inflate.unused_data
        return data

    def _next_member(self) -> bool:
        """Start on the next GZIP member; False at the end."""
        if not self._pending:
            return False
        # `gzip` and tapes pad with zeros; anything else that is not a member is damage.
        self._pending = self._pending.lstrip(b"\0") if self._members else self._pending
        if not self._pending:
            return True
        if len(self._pending) == 1:
            self._pending += self._compressed.read(1)
        if not self._members or not self._pending.startswith(_GZIP_MAGIC):
            raise self._error("bytes follow the end of the compressed data")
        self._inflate = zlib.decompressobj(_AUTO_HEADER)
        return True

    def _error(self, problem: str) -> DataError:
        return DataError(self._name, f"compressed byte {self._read - len(self._pending)}", problem)


class ZstdReader:
    """Decompresses Zstandard; its end must be there."""

    def __init__(self, compressed: ByteStream, name: str) -> None:
        """Decompress a stream; `name` is that of the file."""
        self._file = _Readable(compressed)
        self._stream = pa.CompressedInputStream(pa.PythonFile(self._file, "r"), "zstd")
        self._name = name

    def read(self, size: int, /) -> bytes:
        """Return at most `size` decompressed bytes.

        Raises:
            DataError: the data is corrupt, or ends before its end.
        """
        try:
            return bytes(self._stream.read(size))
        except OSError as err:
            if self._file.error:
                raise self._file.error from None
            place = f"compressed byte {self._file.count}"
            raise DataError(
                self._name, place, f"compressed data is corrupt or cut ({err})"
            ) from err


class _Readable:
    """A stream that pyarrow may read, and that others close."""

    closed = False

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self.count = 0
        self.error: Exception | None = None

    def read(self, size: int) -> bytes:
        """Return the next bytes."""
        try:
            data = self._stream.read(size)
        except Exception as err:
            self.error = err
            raise
        self.count += len(data)
        return data

    def close(self) -> None:
        """Do nothing."""


def looks_gzipped(head: bytes) -> bool:
    """Tell whether a stream that starts with `head` is GZIP."""
    return head.startswith(_GZIP_MAGIC)


def looks_zlibbed(head: bytes) -> bool:
    """Tell whether a stream that starts with `head` has a ZLIB header (RFC 1950)."""
    deflate = len(head) > 1 and head[0] & 0x8F == 0x08  # noqa: PLR2004 - method 8, window at most 32 KiB
    return deflate and int.from_bytes(head[:2], "big") % 31 == 0


def inflated_head(head: bytes, size: int) -> bytes:
    """Return at most `size` bytes of what a stream was that now, compressed, starts with `head`."""
    try:
        return zlib.decompressobj(_AUTO_HEADER).decompress(head, size)
    except zlib.error:  # `Inflater` says where
        return b""


def inflated_part(head: bytes, most: int) -> tuple[bytes, int]:
    """Return what the start of a compressed stream stands for, as far as it goes.

    Args:
        head: some first bytes.
        most: about how many bytes of content to return at most.

    Returns:
        The content, and how many bytes of `head` it was made of.
    """
    parts, left, size = [], head, 0
    with contextlib.suppress(zlib.error):  # `Inflater` says where
        while left and size < most:  # stream after stream, each compressed by itself
            inflater = zlib.decompressobj(_AUTO_HEADER)
            parts.append(inflater.decompress(left, most - size))
            size += len(parts[-1])
            left = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
            if not inflater.eof:
                break
    return b"".join(parts), len(head) - len(left)


def decompressed(stream: ByteStream, name: str) -> ByteStream:
    """Return the stream of a text, decompressed if its first bytes say GZIP or Zstandard."""
    zstandard = b"\x28\xb5\x2f\xfd"
    head = read_exactly(stream, len(zstandard))
    whole = Pushback(head, stream)
    if looks_gzipped(head):
        return Inflater(whole, name)
    return ZstdReader(whole, name) if head == zstandard else whole
