"""`nsl_tools.files.streams`: sources that can be read again, and what was looked at given back."""

from __future__ import annotations

import io
import os
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.errors import DataError
from nsl_tools.files.streams import (
    CHUNK,
    Pushback,
    Source,
    bytes_of,
    read_exactly,
    rereadable,
    source,
)
from nsl_tools.formats.tfrecord.reader import check_start

if TYPE_CHECKING:
    from pathlib import Path


class _Stdin:
    """A stand-in for `sys.stdin`."""

    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


def _all(once: Source) -> bytes:
    with once.open() as stream:
        return read_exactly(stream, 1 << 40)


def _anything(_: str, __: bytes) -> None:
    """Take what a stream starts with."""


def test_a_file_is_reread_as_it_is(tmp_path: Path) -> None:
    """No copy is made of a regular file."""
    (tmp_path / "f").write_bytes(b"content")
    with rereadable(source(f"{tmp_path}/f"), _anything) as again:
        assert again.spool is None
        assert [_all(again), _all(again)] == [b"content"] * 2
        assert again.size() == bytes_of([again]) == 7
        assert again.read.done == 14


@pytest.mark.parametrize("size", [0, 10, 2 * CHUNK + 1])
def test_standard_input_is_spooled(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Standard input can be read as often as needed, and is called what it is."""
    data = os.urandom(size)
    monkeypatch.setattr(sys, "stdin", _Stdin(data))
    with rereadable(source("-"), _anything) as again:
        assert again.name == "<stdin>"
        assert again.read.done == bytes_of([again, again]) / 2 == size
        assert bytes_of([again, source("-")]) == 0
        assert [_all(again), _all(again), _all(again)] == [data] * 3


def test_a_fifo_is_spooled(tmp_path: Path) -> None:
    """So can a named pipe, and what `/dev/fd/N` stands for."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(b"content",))
    writer.start()
    with rereadable(source(str(path)), _anything) as again:
        assert [_all(again), _all(again)] == [b"content"] * 2
    writer.join()


@pytest.mark.parametrize("start", [b"\0", b"PK\3\4", b"id,embedding\n", b"\x89HDF"])
def test_a_stream_of_another_kind_is_refused_before_it_is_copied(
    monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    """Of which there may be no end."""
    stream = _Endless(start)
    monkeypatch.setattr(sys, "stdin", stream)
    with (
        pytest.raises(DataError, match="<stdin>: record 0 at byte 0: not a TFRecord file"),
        rereadable(source("-"), check_start),
    ):
        pass
    assert stream.given < 10_000


class _Endless:
    def __init__(self, start: bytes) -> None:
        self._start = start
        self.given = 0
        self.buffer = self

    def fileno(self) -> int:
        raise io.UnsupportedOperation

    def read(self, size: int) -> bytes:
        self.given += size
        return (self._start * size)[:size]


def test_a_spool_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be left behind in the temporary folder, however the process ends."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(sys, "stdin", _Stdin(b"content"))
    with rereadable(source("-"), _anything) as again:
        assert _all(again) == b"content"
        assert list(tmp_path.iterdir()) == []


def test_closed_standard_input_is_a_data_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parent may start the program with standard input closed."""
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(DataError, match=r"^<stdin>: cannot be read: it is closed"):
        _all(source("-"))


def test_what_cannot_be_read_is_a_data_error(tmp_path: Path) -> None:
    """Missing files, folders and failing devices are named."""
    with pytest.raises(DataError, match="gone: cannot be read: No such file"):
        _all(source(f"{tmp_path}/gone"))
    with (
        pytest.raises(DataError, match="gone: cannot be read: No such file"),
        rereadable(source(f"{tmp_path}/gone"), _anything),
    ):
        pass
    with pytest.raises(DataError, match="/proc/self/mem: cannot be read: Input/output error"):
        _all(source("/proc/self/mem"))


@given(st.binary(max_size=20), st.binary(max_size=20), st.lists(st.integers(1, 9), max_size=50))
def test_pushback_changes_nothing(head: bytes, rest: bytes, sizes: list[int]) -> None:
    """The head comes first, then the rest; an empty read is the end only."""
    stream = Pushback(head, io.BytesIO(rest))
    parts = [stream.read(size) for size in [*sizes, *[9] * 50]]
    assert b"".join(parts) == head + rest
    assert all(parts[: parts.index(b"")])
    assert not any(parts[parts.index(b"") :])


@given(st.binary(max_size=20), st.integers(0, 30), st.integers(1, 5))
def test_read_exactly(data: bytes, size: int, pace: int) -> None:
    """Short reads are made up for; only the end of the stream gives fewer bytes."""

    class Slow(io.BytesIO):
        def read(self, wanted: int | None = -1, /) -> bytes:
            return super().read(min(pace, wanted or 0))

    assert read_exactly(Slow(data), size) == data[:size]
