"""Compression of outputs: chosen by option or name, the same bytes for the same content."""

from __future__ import annotations

import gzip
import io
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.files.compression import Deflater, is_compressed, wbits_of

_WBITS = {"gzip": 31, "zlib": 15}


@pytest.mark.parametrize(
    ("path", "compression", "wbits"),
    [
        ("out.gz", "auto", 31),
        ("out", "auto", None),
        ("out.GZ", "auto", None),
        ("out.gz@3", "auto", None),
        ("out.gz-00000-of-00003", "auto", None),
        ("out.gz", "none", None),
        ("out", "gzip", 31),
        ("out.gz", "zlib", 15),
    ],
)
def test_the_option_decides_else_the_name_does(
    path: str, compression: str, wbits: int | None
) -> None:
    assert wbits_of(path, compression) == wbits
    assert is_compressed(path, compression) == (wbits is not None)


def deflated(parts: list[bytes], kind: str) -> bytes:
    """Compress parts, one behind the other."""
    file = io.BytesIO()
    deflater = Deflater(file, _WBITS[kind])
    for part in parts:
        deflater.write(memoryview(part))
    deflater.finish()
    return file.getvalue()


@given(
    parts=st.lists(st.binary(max_size=20) | st.integers(1, 9000).map(bytes), max_size=5),
    kind=st.sampled_from(["gzip", "zlib"]),
)
def test_what_is_written_is_one_stream_of_it(parts: list[bytes], kind: str) -> None:
    """Whole, and nothing behind it; also of nothing."""
    data = deflated(parts, kind)
    inflate = zlib.decompressobj(_WBITS[kind])
    assert inflate.decompress(data) == b"".join(parts)
    assert (inflate.eof, inflate.unused_data) == (True, b"")
    assert len(deflated([b"x" * 9000], kind)) < 100


def test_the_header_of_gzip_holds_no_name_and_no_time() -> None:
    data = deflated([b"content"], "gzip")
    flags, time = data[3], data[4:8]
    assert (flags, time) == (0, bytes(4))
    assert gzip.decompress(data) == b"content"
