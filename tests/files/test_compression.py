"""Compression of outputs: chosen by option or name, the same bytes for the same content."""

from __future__ import annotations

import gzip
import io
import zlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.files.compression import Deflater, Sink, Zstandard, compressor_of, is_compressed

_WBITS = {"gzip": 31, "zlib": 15}


@pytest.mark.parametrize(
    ("path", "compression", "magic"),
    [
        ("out.gz", "auto", b"\x1f\x8b"),
        ("out.tsv.zst", "auto", b"\x28\xb5\x2f\xfd"),
        ("out", "auto", None),
        ("out.GZ", "auto", None),
        ("out.gz@3", "auto", None),
        ("out.gz-00000-of-00003", "auto", None),
        ("out.gz", "none", None),
        ("out", "gzip", b"\x1f\x8b"),
        ("out.gz", "zlib", b"\x78\x9c"),
    ],
)
def test_the_option_decides_else_the_name_does(
    path: str, compression: str, magic: bytes | None
) -> None:
    compressor = compressor_of(path, compression)
    assert is_compressed(path, compression) == (compressor is not None) == (magic is not None)
    if compressor and magic:
        file = io.BytesIO()
        compressor(file).finish()
        assert file.getvalue().startswith(magic)


@given(parts=st.lists(st.binary(max_size=20) | st.integers(1, 9000).map(bytes), max_size=5))
def test_zstandard_is_one_frame_of_what_is_written(parts: list[bytes]) -> None:
    """Whatever the parts."""
    found = []
    for each in (parts, [b"".join(parts)]):
        file = io.BytesIO()
        compressor = Zstandard(file)
        for part in each:
            compressor.write(memoryview(part))
        compressor.finish()
        found.append(file.getvalue())
    assert found[0] == found[1]
    stream = pa.CompressedInputStream(io.BytesIO(found[0]), "zstd")
    assert stream.read() == b"".join(parts)


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


def test_a_table_is_written_and_the_file_stays_open() -> None:
    table = pa.table({"a": [1, 2], "b": ["x", None]})
    file = io.BytesIO()
    sink = Sink(file)
    with pq.ParquetWriter(sink, table.schema) as writer:
        writer.write_table(table)
    assert sink.tell() == len(file.getvalue())
    assert pq.read_table(io.BytesIO(file.getvalue())) == table
