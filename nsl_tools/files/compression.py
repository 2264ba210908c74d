"""Compression on the way out: GZIP, ZLIB or Zstandard, the same bytes for the same content."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable


class ByteSink(Protocol):
    """Something to write bytes to."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Append `data`."""


class Compressor(ByteSink, Protocol):
    """Compresses what is written to it."""

    def finish(self) -> None:
        """Write what is left."""


def compressor_of(path: str, compression: str) -> Callable[[ByteSink], Compressor] | None:
    """Return what compresses an output; None for nothing.

    Args:
        path: of the output.
        compression: `none`, `gzip`, `zlib`, `zstd`, or `auto`, by the suffix `.gz` or `.zst`.
    """
    by_name = {"gz": "gzip", "zst": "zstd"}.get(path.rpartition(".")[2], "none")
    kind = by_name if compression == "auto" else compression
    # zlib writes the header and trailer of GZIP if 16 is added.
    wbits = {"gzip": 16 + zlib.MAX_WBITS, "zlib": zlib.MAX_WBITS}
    if kind in wbits:
        return lambda file: Deflater(file, wbits[kind])
    return Zstandard if kind == "zstd" else None


def is_compressed(path: str, compression: str) -> bool:
    """Tell whether output `path` will be, by its name or by choice."""
    return compressor_of(path, compression) is not None


class Deflater:
    """Compresses as one stream; its header holds no name and no time."""

    def __init__(self, file: ByteSink, wbits: int) -> None:
        self._file = file
        level = 6  # of 0 to 9; zlib's own default
        self._deflate = zlib.compressobj(level, zlib.DEFLATED, wbits)

    def write(self, data: bytes | memoryview, /) -> None:
        """Append `data`."""
        self._file.write(self._deflate.compress(data))

    def finish(self) -> None:
        """Write what is left."""
        self._file.write(self._deflate.flush())


class Zstandard:
    """Compresses as one frame (RFC 8878)."""

    def __init__(self, file: ByteSink) -> None:
        self._sink = pa.PythonFile(Sink(file), "w")
        self._stream = pa.CompressedOutputStream(self._sink, "zstd")

    def write(self, data: bytes | memoryview, /) -> None:
        """Append `data`."""
        self._stream.write(data)

    def finish(self) -> None:
        """Write what is left."""
        self._stream.close()


class Sink:
    """A file as libraries write to it: it knows its length, and is closed by others."""

    closed = False

    def __init__(self, file: ByteSink) -> None:
        self._file = file
        self._place = 0

    def write(self, data: Any) -> int:
        """Append bytes."""
        # What a library lends is gone once this returns.
        self._file.write(found := bytes(data))
        self._place += len(found)
        return len(found)

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._place

    def flush(self) -> None:
        """Do nothing: what is written is gathered."""

    def close(self) -> None:
        """Do nothing: another one closes the file."""
