"""Inputs that change between readings, or during one: refused each time, the old output intact.

The moments are exact: a hook before the n-th opening of a file, or between its first and
second read, makes the change.
"""

from __future__ import annotations

import os
import re
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest
from support import read_payloads, write_examples

from nsl_tools import streams
from nsl_tools.build_graph import build_graph
from nsl_tools.errors import DataError
from nsl_tools.options import BuildGraphOptions, PackOptions
from nsl_tools.pack_nbrs import pack_nbrs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typing_extensions import Self

    Change = Callable[[str], None]

pytestmark = pytest.mark.own_memory("counts openings and reads")

ROWS = 60
OLD = b"a good old file\n"


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: two inputs of records of varying length, their graph, an old output."""
    monkeypatch.chdir(tmp_path)
    # So that a file takes several reads.
    monkeypatch.setattr("nsl_tools.tfrecord.CHUNK", 500)
    monkeypatch.setattr("nsl_tools.graph_tsv._BLOCK", 200)
    for name, first in (("labeled", 0), ("unlabeled", ROWS)):
        write_examples(name, (_example(i) for i in range(first, first + ROWS)))
    lines = [f"{i}\t{(i * 7 + j) % (2 * ROWS)}\t0.{j}\n" for i in range(ROWS) for j in range(3)]
    (tmp_path / "graph").write_text("".join(lines))
    (tmp_path / "out").write_bytes(OLD)
    return tmp_path


def _example(i: int) -> Any:
    words = [b"word" * (i % 5)] * (i % 3)
    return {"id": [b"%d" % i], "embedding": [1.0, i / 7, 2.0], "words": words}


def _rewrite(path: str, data: bytes) -> None:
    """Write in place: the inode stays."""
    with open(path, "r+b") as file:
        file.write(data)
        file.truncate()


def _units(path: str) -> list[bytes]:
    """Return the lines or framed records of a file."""
    data = _read(path)
    if path == "graph":
        return data.splitlines(keepends=True)
    found = []
    while data:
        end = 16 + int.from_bytes(data[:8], "little")
        found.append(data[:end])
        data = data[end:]
    return found


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def shrink(path: str) -> None:
    _rewrite(path, b"".join(_units(path)[:-2]))


def grow(path: str) -> None:
    units = _units(path)
    _rewrite(path, b"".join([*units, units[-1]]))


def reorder(path: str) -> None:
    _rewrite(path, b"".join(reversed(_units(path))))


def alter(path: str) -> None:
    """Other records of the same size; the time is set back."""
    before = os.stat(path)
    units = _units(path)
    if path == "graph":
        units[5] = units[5].replace(b"0.", b"1.")
    else:
        first, second = next(
            (i, j)
            for i, j in combinations(range(len(units)), 2)
            if len(units[i]) == len(units[j]) and units[i] != units[j]
        )
        units[first], units[second] = units[second], units[first]
    _rewrite(path, b"".join(units))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def rename_over(path: str) -> None:
    """Another file of the same content but for the order, by an atomic rename."""
    with open("other", "wb") as file:
        file.write(b"".join(reversed(_units(path))))
    os.replace("other", path)


def remove(path: str) -> None:
    os.unlink(path)


CHANGES = [shrink, grow, reorder, alter, rename_over, remove]


class _Moments:
    """Makes a change at one opening of a file: before it, or after its first read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._opened = streams.Source._opened
        self.openings: dict[str, int] = {}
        self.at: tuple[str, int, bool] | None = None
        self.change: Change = remove
        monkeypatch.setattr(streams.Source, "_opened", self._opening())

    def _opening(self) -> Callable[[streams.Source], Any]:
        """Return what stands in for a method."""
        return lambda source: self._open(source)  # noqa: PLW0108 - not bound to a source

    def _open(self, source: streams.Source) -> Any:
        name = source.name
        self.openings[name] = self.openings.get(name, 0) + 1
        if self.at == (name, self.openings[name], False):
            self.change(name)
        file = self._opened(source)
        if self.at == (name, self.openings[name], True):
            return _Changing(file, lambda: self.change(name))
        return file


class _Changing:
    """A file that changes after the first read."""

    def __init__(self, file: Any, change: Callable[[], None]) -> None:
        self._file, self._change = file, change

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def fileno(self) -> int:
        return int(self._file.fileno())

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        change, self._change = self._change, lambda: None
        change()
        return bytes(data)


def _pack() -> None:
    options = PackOptions(max_neighbors=2, seed_unlabeled=True)
    pack_nbrs("labeled", "unlabeled", "graph", "out", options)


def _refused(run: Callable[[], None], name: str) -> None:
    with pytest.raises(DataError) as caught:
        run()
    line = str(caught.value)
    assert re.fullmatch(rf"{name}: changed while it was read: .*: run again when .*", line), line
    assert _read("out") == OLD
    assert not [left for left in os.listdir(".") if "nsl-tools" in left]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("reading", [2, 3])
@pytest.mark.parametrize("name", ["labeled", "unlabeled"])
def test_a_file_that_changed_before_it_is_read_again_is_refused(
    job: Path, monkeypatch: pytest.MonkeyPatch, name: str, reading: int, change: Change
) -> None:
    """Before the neighbours are read, and before the seeds are."""
    assert job
    moments = _Moments(monkeypatch)
    moments.at, moments.change = (name, reading, False), change
    _refused(_pack, name)
    assert moments.openings[name] >= reading


@pytest.mark.parametrize("change", [shrink, grow, reorder, alter])
@pytest.mark.parametrize("reading", [1, 2, 3])
@pytest.mark.parametrize("name", ["labeled", "unlabeled"])
def test_a_file_that_changes_while_it_is_read_is_refused(
    job: Path, monkeypatch: pytest.MonkeyPatch, name: str, reading: int, change: Change
) -> None:
    assert job
    moments = _Moments(monkeypatch)
    moments.at, moments.change = (name, reading, True), change
    _refused(_pack, name)


@pytest.mark.parametrize("change", [shrink, grow, reorder, alter])
@pytest.mark.parametrize("name", ["graph", "embeddings", "seeds"])
def test_a_file_that_is_read_once_may_not_change_meanwhile(
    job: Path, monkeypatch: pytest.MonkeyPatch, name: str, change: Change
) -> None:
    assert job
    os.rename("labeled" if name == "seeds" else "unlabeled", "kept")
    write_examples("seeds", (_example(i) for i in range(ROWS)))
    write_examples("embeddings", (_example(i) for i in range(2 * ROWS)))
    os.rename("kept", "labeled" if name == "seeds" else "unlabeled")
    moments = _Moments(monkeypatch)
    moments.at, moments.change = (name, 1, True), change
    build = BuildGraphOptions(similarity_threshold=-1)
    run = _pack if name == "graph" else lambda: build_graph(["embeddings"], "out", build, ["seeds"])
    _refused(run, name)


@pytest.mark.parametrize("name", ["labeled", "unlabeled"])
@pytest.mark.parametrize("reading", [2, 3])
def test_records_tell_a_change_that_no_time_tells(
    job: Path, monkeypatch: pytest.MonkeyPatch, name: str, reading: int
) -> None:
    """One within a tick of the clock after the first reading."""
    assert job
    monkeypatch.setattr(streams.FirstReading, "hold_file", lambda *_: None)
    for change in (alter, reorder, shrink, grow):
        with monkeypatch.context() as patch:
            before = _read(name)
            moments = _Moments(patch)
            moments.at, moments.change = (name, reading, False), change
            _refused(_pack, name)
            _rewrite(name, before)


def test_a_file_that_is_not_touched_is_read_as_often_as_needed(job: Path) -> None:
    """And what changes after the last reading does not matter."""
    _pack()
    assert len(read_payloads("out")) == 2 * ROWS
    before = (job / "out").read_bytes()
    _pack()
    assert (job / "out").read_bytes() == before
