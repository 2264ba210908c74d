"""Compressed inputs: told by their first bytes, and read to their ends."""

from __future__ import annotations

import gzip
import io
import zlib

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.errors import DataError
from nsl_tools.files.decompression import decompressed, looks_gzipped, looks_zlibbed
from nsl_tools.files.streams import read_exactly

COMPRESS = {"gzip": gzip.compress, "zstd": lambda data: pa.compress(data, "zstd", asbytes=True)}


@pytest.mark.parametrize("codec", COMPRESS)
@given(parts=st.lists(st.binary(max_size=300), min_size=1, max_size=3), size=st.integers(1, 99))
def test_all_parts_are_read(codec: str, parts: list[bytes], size: int) -> None:
    """Members of GZIP, and frames of Zstandard, one behind the other."""
    data = b"".join(map(COMPRESS[codec], parts))
    stream = decompressed(io.BytesIO(data), "s")
    found = []
    while piece := stream.read(size):
        assert len(piece) <= size
        found.append(piece)
    assert b"".join(found) == b"".join(parts)


@pytest.mark.parametrize("codec", COMPRESS)
def test_what_is_cut_or_damaged_is_refused(codec: str) -> None:
    whole = COMPRESS[codec](bytes(range(256)) * 40)
    for size in range(4, len(whole), 7):
        with pytest.raises(DataError, match=r"^s: compressed byte [0-9]+: "):
            read_exactly(decompressed(io.BytesIO(whole[:size]), "s"), 1 << 20)
    for place in range(12, len(whole) - 10, 11):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        try:
            found = read_exactly(decompressed(io.BytesIO(bytes(damaged)), "s"), 1 << 20)
        except DataError as err:
            assert "compressed byte" in str(err)  # noqa: PT017 - or it is not damaged
        else:
            assert codec == "zstd"  # whose frames need no checksum
            assert found != b""


def test_an_error_of_the_stream_is_its_own() -> None:
    class Failing(io.BytesIO):
        def read(self, _: int | None = -1, /) -> bytes:
            if self.tell() == 0:
                return super().read(4)
            raise DataError("s", "", "gone")

    head = COMPRESS["zstd"](b"x")[:4]
    with pytest.raises(DataError, match=r"^s: gone$"):
        decompressed(Failing(head), "s").read(1)


def test_zlib_alone_is_no_text() -> None:
    """It is told of records only: two bytes are no sign of it in a text."""
    data = zlib.compress(b"a")
    assert read_exactly(decompressed(io.BytesIO(data), "s"), 99) == data


@given(
    st.binary(max_size=4).filter(
        lambda data: not data.startswith(b"\x1f\x8b") and data != b"\x28\xb5\x2f\xfd"
    )
)
def test_what_is_not_compressed_is_left_alone(data: bytes) -> None:
    """Streams shorter than the magic number are plain as well."""
    assert read_exactly(decompressed(io.BytesIO(data), "s"), 9) == data


def test_headers_are_recognised_by_content() -> None:
    """ZLIB headers of all levels and windows, the GZIP magic, and nothing else."""
    headers = [b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda", b"\x08\x1d", b"\x48\x89"]
    assert all(map(looks_zlibbed, headers))
    others = [b"", b"x", b"\x78", b"\x78\x02", b"\x88\x1c", b"\x1f\x8b", b"\x79\x9b"]
    assert not any(map(looks_zlibbed, others))
    assert looks_gzipped(b"\x1f\x8b")
    assert not looks_gzipped(b"\x1f")
