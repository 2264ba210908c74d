"""`formats.tfrecord`: round trips, TensorFlow files, doubtful files."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.errors import DataError
from nsl_tools.files.streams import Source
from nsl_tools.formats.tfrecord.frames import frame, frame_header
from nsl_tools.formats.tfrecord.reader import is_tfrecord, read_batches
from nsl_tools.formats.tfrecord.writer import write_records
from nsl_tools.tuning import Tuning

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_BATCH_BYTES = Tuning.batch_bytes  # also under `--spill`

_COMPRESSIONS = {"none": "", "gzip": "GZIP", "zlib": "ZLIB"}
"""Our name to TensorFlow's."""

_PAYLOADS = [b"", b"first", b"\0" * 40, bytes(range(256)), b"\x0a\x00"]


def _read(source: Source) -> list[bytes]:
    return [payload for batch in read_batches(source) for payload in batch.payloads]


def _framed(payloads: Iterable[bytes]) -> bytes:
    return b"".join(map(frame, payloads))


def _written(path: Path, data: bytes) -> Source:
    path.write_bytes(data)
    return Source(str(path))


@pytest.mark.parametrize("compression", _COMPRESSIONS)
def test_tensorflow_reads_what_we_write(tf: Any, tmp_path: Path, compression: str) -> None:
    """Plain, GZIP and ZLIB files of ours are TensorFlow's."""
    path = str(tmp_path / "records")
    write_records(path, _PAYLOADS, len(_PAYLOADS), compression)
    dataset = tf.data.TFRecordDataset(path, _COMPRESSIONS[compression])
    assert list(dataset.as_numpy_iterator()) == _PAYLOADS


@pytest.mark.parametrize("compression", _COMPRESSIONS)
def test_we_read_what_tensorflow_writes(tf: Any, tmp_path: Path, compression: str) -> None:
    """TensorFlow's plain, GZIP and ZLIB files are recognised whatever they are called."""
    path = str(tmp_path / "records")
    with tf.io.TFRecordWriter(path, _COMPRESSIONS[compression]) as writer:
        for payload in _PAYLOADS:
            writer.write(payload)
    assert _read(Source(path)) == _PAYLOADS
    assert is_tfrecord(path) == (compression == "none")


@given(st.lists(st.binary(max_size=40) | st.integers(0, 3000).map(bytes), max_size=12))
def test_records_come_back_from_a_stream_in_order(payloads: list[bytes]) -> None:
    """What is framed is read, and numbered and placed as it stands in the stream."""
    batches = list(read_batches(Source("s", io.BytesIO(_framed(payloads)))))
    assert [payload for batch in batches for payload in batch.payloads] == payloads
    errors = [str(batch.error(i, "")) for batch in batches for i in range(len(batch.payloads))]
    for index, error in enumerate(errors):
        assert f"record {index} at byte {len(_framed(payloads[:index]))}" in error


@pytest.mark.parametrize("excess", [-17, -16, -15, 0, 1, 2 * _BATCH_BYTES])
@pytest.mark.parametrize("spooled", [False, True])
def test_records_around_the_size_of_a_chunk(tmp_path: Path, excess: int, *, spooled: bool) -> None:
    """Records that end at, before and after a chunk's end, and span several, come back."""
    payloads = [
        os.urandom(_BATCH_BYTES + excess),
        b"next",
        os.urandom(3 * _BATCH_BYTES),
        b"",
        b"last",
    ]
    source = _written(tmp_path / "f", _framed(payloads))
    if spooled:
        source = Source("s", io.BytesIO(_framed(payloads)))
    assert _read(source) == payloads


@pytest.mark.parametrize("kind", ["", "ZLIB", "GZIP"])
def test_a_first_record_of_376_bytes(tf: Any, tmp_path: Path, kind: str) -> None:
    """Its length looks like a ZLIB header; the checksum tells that the file is plain."""
    payloads = [bytes(376), b"x"]
    data = _framed(payloads)
    assert data.startswith(b"\x78\x01")
    path = tmp_path / "f"
    compress = {"ZLIB": zlib.compress, "GZIP": gzip.compress}.get(kind, bytes)
    source = _written(path, compress(data))
    assert _read(source) == payloads
    assert list(tf.data.TFRecordDataset(str(path), kind).as_numpy_iterator()) == payloads


@pytest.mark.parametrize("length", [2**60, 2**63, 2**64 - 1])
def test_absurd_lengths_with_a_valid_checksum(tmp_path: Path, length: int) -> None:
    """They are refused by the limit, before anything is allocated."""
    data = frame(b"ok") + frame_header(length) + b"rest"
    for source in (_written(tmp_path / "f", data), Source("s", io.BytesIO(data))):
        with pytest.raises(DataError, match=rf"record 1 at byte 18: {length} bytes long, more"):
            _read(source)


def test_a_length_beyond_the_end_of_the_file(tmp_path: Path) -> None:
    """It is refused when the header is read: a regular file's size is known."""
    source = _written(tmp_path / "f", frame(b"ok") + frame_header(2**30) + b"rest")
    problem = "record 1 at byte 18: cut: 1073741824 bytes announced, 0 are left"
    with pytest.raises(DataError, match=problem):
        _read(source)


def test_a_length_beyond_the_end_of_a_stream() -> None:
    """It is refused at the end; no more is read, or held, than there is."""
    source = Source("s", io.BytesIO(frame_header(2**30) + b"rest"))
    problem = r"s: record 0 at byte 0: truncated record \(16 of 1073741840 bytes\)"
    with pytest.raises(DataError, match=problem):
        _read(source)


def test_the_limit_on_the_length_of_a_record() -> None:
    """A record of exactly the limit is read, a longer one is refused."""
    data = frame(b"12345678")
    assert _read(Source("s", io.BytesIO(data), max_record_bytes=8)) == [b"12345678"]
    with pytest.raises(DataError, match="8 bytes long, more than the limit of 7: raise --max-rec"):
        _read(Source("s", io.BytesIO(data), max_record_bytes=7))


def test_damage_is_placed_in_a_long_file(tmp_path: Path) -> None:
    """The number and the byte of a bad record count what earlier chunks held."""
    payloads = [bytes(300_000)] * 10
    data = bytearray(_framed(payloads))
    start = 7 * len(frame(payloads[0]))
    data[start + 5000] ^= 1
    match = f"f: record 7 at byte {start}: the content does not match its checksum"
    with pytest.raises(DataError, match=match):
        _read(_written(tmp_path / "f", bytes(data)))
    data[start] ^= 1
    match = f"f: record 7 at byte {start}: the length does not match its checksum"
    with pytest.raises(DataError, match=match):
        _read(_written(tmp_path / "f", bytes(data)))


def test_nothing_in_the_file(tmp_path: Path) -> None:
    """An empty file is a file of no records; whether that will do, the caller decides."""
    assert _read(_written(tmp_path / "f", b"")) == []
    assert _read(_written(tmp_path / "g", zlib.compress(b""))) == []


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        pytest.param(
            b"source\ttarget\t0.5\n",
            "record 0 at byte 0: not a TFRecord file .* starts with text",
            id="text",
        ),
        pytest.param(
            b"\x93NUMPY\x01\x00v\x00{'d", "record 0 at byte 0: .*starts with other data", id="numpy"
        ),
        pytest.param(bytes(64), "record 0 at byte 0: .*starts with other data", id="zeros"),
        pytest.param(
            b"short", r"record 0 at byte 0: truncated header \(5 of 12 bytes\)", id="short"
        ),
        pytest.param(
            _framed([b"a"]) + bytes(64), "record 1 at byte 17: the length", id="zero tail"
        ),
        pytest.param(_framed([b"a"]) + b"tail", "record 1 at byte 17: trunc", id="short tail"),
    ],
)
def test_files_that_are_not_records(tmp_path: Path, data: bytes, problem: str) -> None:
    """The error names the file, the place, and what it looks like."""
    with pytest.raises(DataError, match=rf"^{tmp_path}/f: {problem}"):
        _read(_written(tmp_path / "f", data))


def test_a_folder_and_a_missing_file(tmp_path: Path) -> None:
    """What cannot be opened is a data error that says why."""
    with pytest.raises(DataError, match=f"^{tmp_path}: cannot be read: Is a directory"):
        _read(Source(str(tmp_path)))
    with pytest.raises(DataError, match="missing: cannot be read: No such file"):
        _read(Source(f"{tmp_path}/missing"))
    assert not is_tfrecord(str(tmp_path))
    assert not is_tfrecord(f"{tmp_path}/missing")
