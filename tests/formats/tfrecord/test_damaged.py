"""Every cut and every flipped bit of small TFRecord files: refused, or read right."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import TYPE_CHECKING

import pytest

from nsl_tools.errors import DataError
from nsl_tools.files.streams import Source
from nsl_tools.formats.tfrecord.frames import frame
from nsl_tools.formats.tfrecord.reader import read_batches
from nsl_tools.tuning import Tuning

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_BATCH_BYTES = Tuning.batch_bytes  # also under `--spill`

_PAYLOADS = [b"one", b"", b"three three three three", bytes(20)]
_RECORDS = [frame(payload) for payload in _PAYLOADS]
_PLAIN = b"".join(_RECORDS)
_ENDS = [len(b"".join(_RECORDS[:count])) for count in range(len(_RECORDS) + 1)]


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


_COMPRESSED = {
    "gzip": _gzip(_PLAIN),
    "gzip stored": gzip.compress(_PLAIN, 0, mtime=0),
    "gzip members": _gzip(_PLAIN[:30]) + _gzip(b"") + _gzip(_PLAIN[30:]),
    "zlib": zlib.compress(_PLAIN),
}
_FILES = {"plain": _PLAIN, **_COMPRESSED}


class _TrickleIO(io.BytesIO):
    """A stream that gives one byte at a time, as a slow pipe may."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(1, size or 0))


def _regular(data: bytes, folder: Path) -> Source:
    path = folder / "records"
    path.write_bytes(data)
    return Source(str(path))


def _spooled(data: bytes, _: Path) -> Source:
    return Source("records", io.BytesIO(data))


def _trickling(data: bytes, _: Path) -> Source:
    return Source("records", _TrickleIO(data))


_as_source = pytest.mark.parametrize("as_source", [_regular, _spooled, _trickling])


def _read(source: Source) -> list[bytes] | None:
    """Return the records, or None if the file is refused with its name and a place."""
    try:
        return [payload for batch in read_batches(source) for payload in batch.payloads]
    except DataError as err:
        if err.source == source.name and err.place.startswith(("record ", "compressed byte ")):
            return None
        raise


@_as_source
@pytest.mark.parametrize("kind", _FILES)
def test_whole_files_are_read(
    kind: str, as_source: Callable[[bytes, Path], Source], tmp_path: Path
) -> None:
    """Whatever the framing, compression and pace, the records are the same."""
    assert _read(as_source(_FILES[kind], tmp_path)) == _PAYLOADS


@_as_source
def test_cuts_of_a_plain_file(as_source: Callable[[bytes, Path], Source], tmp_path: Path) -> None:
    """A cut between records leaves a file of fewer records; any other cut is refused."""
    for size in range(len(_PLAIN)):
        expected = _PAYLOADS[: _ENDS.index(size)] if size in _ENDS else None
        assert _read(as_source(_PLAIN[:size], tmp_path)) == expected, size


@_as_source
@pytest.mark.parametrize("kind", ["gzip", "gzip stored", "zlib"])
def test_cuts_of_a_compressed_file(
    kind: str, as_source: Callable[[bytes, Path], Source], tmp_path: Path
) -> None:
    """Every cut is refused, one between the content and its trailer included."""
    data = _COMPRESSED[kind]
    for size in range(1, len(data)):
        assert _read(as_source(data[:size], tmp_path)) is None, size


@_as_source
def test_flipped_bits_of_a_plain_file(
    as_source: Callable[[bytes, Path], Source], tmp_path: Path
) -> None:
    """Every bit is covered by a checksum."""
    for bit in range(8 * len(_PLAIN)):
        assert _read(as_source(_flipped(_PLAIN, bit), tmp_path)) is None, bit


@pytest.mark.parametrize("kind", _COMPRESSED)
def test_flipped_bits_of_a_compressed_file(kind: str, tmp_path: Path) -> None:
    """A flipped bit is refused, or is one that does not touch the content, such as a time."""
    data = _COMPRESSED[kind]
    read = 0
    for bit in range(8 * len(data)):
        found = _read(_regular(_flipped(data, bit), tmp_path))
        assert found in (None, _PAYLOADS), bit
        read += found is not None
    # Of a GZIP member: time (4 bytes), flags (1 and the FTEXT bit), system (1), padding.
    members = 3 if kind == "gzip members" else 1
    assert read <= 60 * members


def _flipped(data: bytes, bit: int) -> bytes:
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


@pytest.mark.parametrize("kind", _COMPRESSED)
@pytest.mark.parametrize("garbage", [b"x", b"\x1f", b"\x1f\x8b", b"\0\0x", _PLAIN])
def test_bytes_after_the_end_of_compressed_data(kind: str, garbage: bytes, tmp_path: Path) -> None:
    """Anything after the end but another whole member, or padding with zeros, is refused."""
    assert _read(_regular(_COMPRESSED[kind] + garbage, tmp_path)) is None


@_as_source
def test_zeros_after_the_end_of_gzip(
    as_source: Callable[[bytes, Path], Source], tmp_path: Path
) -> None:
    """Padding with zeros, as tapes and block devices leave it, is not content."""
    data = _COMPRESSED["gzip"] + bytes(2 * _BATCH_BYTES if as_source is _regular else 600)
    assert _read(as_source(data, tmp_path)) == _PAYLOADS


@pytest.mark.parametrize("size", range(_BATCH_BYTES - 14, _BATCH_BYTES + 14))
def test_a_member_that_ends_near_the_end_of_a_chunk(size: int, tmp_path: Path) -> None:
    """The next member may start with a chunk, or in one chunk and go on in the next."""
    payload = bytes(_BATCH_BYTES - 50_000)
    stored = gzip.compress(frame(payload), 0, mtime=0)
    has_extra, extra = 4, bytes(size - len(stored) - 2)
    header = stored[:3] + bytes([has_extra]) + stored[4:10]
    first = header + len(extra).to_bytes(2, "little") + extra + stored[10:]
    assert len(first) == size
    assert _read(_regular(first + _COMPRESSED["gzip"], tmp_path)) == [payload, *_PAYLOADS]


@pytest.mark.parametrize("kind", ["gzip", "zlib"])
def test_highly_compressed_data(kind: str, tmp_path: Path) -> None:
    """What decompresses to much more than a chunk is read chunk by chunk."""
    payloads = [bytes(5 * _BATCH_BYTES), b"x" * 100, bytes(_BATCH_BYTES)]
    compress = {"gzip": gzip.compress, "zlib": zlib.compress}[kind]
    data = compress(b"".join(map(frame, payloads)))
    assert _read(_regular(data, tmp_path)) == payloads
    assert _read(_regular(data[:-1], tmp_path)) is None
