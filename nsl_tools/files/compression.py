"""Compression on the way out: GZIP or ZLIB, the same bytes for the same content."""

from __future__ import annotations

import zlib
from typing import Protocol


class ByteSink(Protocol):
    """Something to write bytes to."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Append `data`."""


def wbits_of(path: str, compression: str) -> int | None:
    """Return zlib's `wbits` for an output and `auto`, `none`, `gzip` or `zlib`; None for none."""
    by_name = "gzip" if path.endswith(".gz") else "none"
    kind = by_name if compression == "auto" else compression
    # zlib writes the header and trailer of GZIP if 16 is added.
    return {"none": None, "gzip": 16 + zlib.MAX_WBITS, "zlib": zlib.MAX_WBITS}[kind]


def is_compressed(path: str, compression: str) -> bool:
    """Tell whether output `path` will be, by its name or by choice."""
    return wbits_of(path, compression) is not None


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
