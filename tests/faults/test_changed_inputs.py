"""Inputs that are changed while a run reads them: never mixed, always one clear line."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from judge import OLD, call, features, records

from nsl_tools.files import readings
from nsl_tools.files.streams import ByteStream, Source
from nsl_tools.memory_budget import SHARES
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.usefixtures("folder", "_read_again")

COUNT = 40
PACK = ["pack-nbrs", "--seed-unlabeled", "labeled", "unlabeled", "graph", "out"]
BUILD = ["build-graph", "--seeds=labeled", "--similarity-threshold=-1", "embeddings", "out"]
READINGS = {
    (tuple(PACK), "labeled"): 3,
    (tuple(PACK), "unlabeled"): 3,
    (tuple(PACK), "graph"): 1,
    (tuple(BUILD), "embeddings"): 1,
    (tuple(BUILD), "labeled"): 1,
}


@pytest.fixture
def _read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep no records between readings: what is kept cannot change."""
    monkeypatch.setitem(SHARES, "kept_records", 0)


def _payload(number: int, salt: float = 0.0) -> bytes:
    """Return an example; some are longer than others."""
    values = [number / 7 + salt, 1.0, *[0.5] * (number % 5 // 4)]
    return features(id=[b"n%03d" % number], x=values, embedding=[number / 10 + salt, 1.0])


def _content(name: str, kind: str = "good") -> bytes:
    """Return the content of a file as it is first, or after a change of this kind."""
    numbers = list(range(COUNT if name == "unlabeled" else 0, COUNT * (1 + (name != "labeled"))))
    if kind in ("reordered", "replaced"):
        # Those that swap places are of one length.
        numbers[1], numbers[-4] = numbers[-4], numbers[1]
        numbers[2], numbers[-3] = numbers[-3], numbers[2]
    kept = numbers[:-3] if kind == "shrunk" else numbers
    more = [990, 991] if kind == "grown" else []
    salt = 0.5 if kind == "same size" else 0.0
    if name == "graph":
        lines = (f"n{n:03d}\tn{n * 7 % (2 * COUNT):03d}\t{0.5 + salt / 8:.4f}\n" for n in kept)
        return "".join([*lines, *(f"n{n}\tn001\t0.5\n" for n in more)]).encode()
    return records(*(_payload(n, salt) for n in kept), *map(_payload, more))


def _rewrite(name: str, data: bytes) -> None:
    """Write a file in place, with the times it had, but for the one that nobody can set."""
    before = os.stat(name)
    with open(name, "r+b") as file:
        file.write(data)
        file.truncate()
    while os.stat(name).st_ctime_ns == before.st_ctime_ns:  # a tick of the clock
        os.utime(name, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replace(name: str, data: bytes) -> None:
    before = os.stat(name)
    Path("other").write_bytes(data)
    # With the old one open, which gets its time of change now.
    with open(name, "rb") as old:
        while True:
            os.utime("other", ns=(before.st_atime_ns, before.st_mtime_ns))
            if os.stat("other").st_ctime_ns != before.st_ctime_ns:
                break
        os.replace("other", name)
        assert os.fstat(old.fileno()).st_nlink == 0


def _change(name: str, kind: str, encode: Callable[[bytes], bytes] = bytes) -> None:
    if kind == "removed":
        os.remove(name)
    elif kind == "replaced":
        _replace(name, encode(_content(name, kind)))
    else:
        _rewrite(name, encode(_content(name, kind)))


KINDS = ["shrunk", "grown", "reordered", "same size", "replaced", "removed"]


class _Meddling:
    """A stream, behind whose first bytes something happens."""

    def __init__(self, stream: ByteStream, meddle: Callable[[], None]) -> None:
        self._stream = stream
        self._meddle: Callable[[], None] | None = meddle

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        if self._meddle:
            self._meddle()
            self._meddle = None
        return data


class Moment:
    """Changes a file before, or in the middle of, one of its readings."""

    def __init__(self, name: str, reading: int, when: str, change: Callable[[], None]) -> None:
        self.met = False
        self._name, self._reading, self._when = name, reading, when
        self._change = change
        self._count = 0
        self._open = Source.open

    def meddle(self) -> None:
        """Make the change."""
        self.met = True
        self._change()

    def opener(self) -> Callable[[Source], contextlib.AbstractContextManager[ByteStream]]:
        """Return what to have for `Source.open`."""

        @contextlib.contextmanager
        def opened(source: Source) -> Iterator[ByteStream]:
            self._count += source.name == self._name
            due = source.name == self._name and self._count == self._reading
            if due and self._when == "before":
                self.meddle()
            with self._open(source) as stream:
                yield _Meddling(stream, self.meddle) if due and self._when == "during" else stream

        return opened


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder with all inputs, each of which takes several reads, and an old output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(TUNING, "batch_bytes", 400)
    monkeypatch.setattr(TUNING, "graph_bytes", 200)
    for name in ("labeled", "unlabeled", "graph", "embeddings"):
        Path(name).write_bytes(_content(name))
    Path("out").write_bytes(OLD)
    return tmp_path


def _refused(args: tuple[str, ...] | list[str], moment: Moment, name: str) -> str:
    """Run, with one file changed at a moment, and return what is said of the change."""
    before = {path.name for path in Path().iterdir()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Source, "open", moment.opener())
        outcome = call(list(args))
    assert moment.met
    assert outcome.code == 1, outcome
    (line,) = outcome.lines
    pattern = (
        f"{args[0]}: error: {name}: changed while it was read: (.*): "
        "run again when nothing writes to it"
    )
    match = re.fullmatch(pattern, line)
    assert match, line
    assert Path("out").read_bytes() == OLD
    assert {path.name for path in Path().iterdir()} | {name} == before | {name}
    return match[1]


def _moments() -> Iterator[tuple[tuple[str, ...], str, int, str]]:
    for (args, name), count in READINGS.items():
        for reading in range(1, count + 1):
            yield args, name, reading, "during"
            if reading > 1:
                yield args, name, reading, "before"


_SAID = {
    "shrunk": "it is [0-9]+ bytes long, and was [0-9]+",
    "grown": "it is [0-9]+ bytes long, and was [0-9]+",
    "reordered": "it was written to or renamed .its times of change differ.",
    "same size": "it was written to or renamed .its times of change differ.",
    "replaced": "it was removed or replaced|another file has its name",
    "removed": "it was removed or replaced|it is gone .No such file or directory.",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("args", "name", "reading", "when"),
    [
        pytest.param(*moment, id=" ".join([moment[0][0], *map(str, moment[1:])]))
        for moment in _moments()
    ],
)
def test_what_changes_is_refused(
    args: tuple[str, ...], name: str, reading: int, when: str, kind: str
) -> None:
    """At each moment of each reading, whatever is done: one line, and the old output stays."""
    moment = Moment(name, reading, when, lambda: _change(name, kind))
    assert re.fullmatch(_SAID[kind], _refused(args, moment, name))


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("kind", ["shrunk", "grown", "reordered", "same size", "replaced"])
@pytest.mark.parametrize("reading", [2, 3])
@pytest.mark.parametrize("name", ["labeled", "unlabeled"])
def test_what_no_clock_shows_is_refused_by_content(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    reading: int,
    kind: str,
    compressed: bool,
) -> None:
    """Within one tick of the clock, or where no time is told: records are compared."""
    monkeypatch.setattr(readings, "_state_of", lambda _: None)
    encode = gzip.compress if compressed else bytes
    Path(name).write_bytes(encode(_content(name)))
    moment = Moment(name, reading, "before", lambda: _change(name, kind, encode))
    said = _refused(PACK, moment, name)
    assert re.fullmatch(
        "records [0-9]+ to [0-9]+ are not those that were read before"
        "|it has more than the [0-9]+ records that were read before"
        "|it ends after [0-9]+ records, and had more before",
        said,
    )


@pytest.mark.parametrize("end", [0, 1, 7])
def test_a_shard_that_loses_its_last_batch_or_gains_one_is_refused(
    monkeypatch: pytest.MonkeyPatch, end: int
) -> None:
    """Where nothing but the number of batches differs; of a set, each shard has its own story."""
    monkeypatch.setattr(readings, "_state_of", lambda _: None)
    payloads = [_payload(n) for n in range(0, COUNT, 5)]
    data = {
        "labeled-00000-of-00002": records(*payloads[:2]),
        "labeled-00001-of-00002": records(*payloads[2:]),
    }
    for path, content in data.items():
        Path(path).write_bytes(content)
    monkeypatch.setattr(TUNING, "batch_bytes", len(records(payloads[0])))
    args = [*PACK[:2], "labeled@2", "unlabeled", "graph", "out"]
    name = "labeled-00001-of-00002"
    changed = records(*(payloads[2:][:end] if end < 7 else [*payloads[2:], _payload(500)]))
    said = _refused(args, Moment(name, 2, "before", lambda: _rewrite(name, changed)), name)
    expected = "it has more than the 6 records" if end == 7 else f"it ends after {end} records"
    assert said.startswith(expected)


def test_records_that_are_left_out_do_not_hide_a_change() -> None:
    """Left out by number: of another file, others would be."""
    Path("labeled").write_bytes(_content("labeled") + records(_payload(3), _payload(4)))
    args = [PACK[0], "--on-duplicate=first", *PACK[1:]]
    moment = Moment("labeled", 2, "before", lambda: _change("labeled", "reordered"))
    _refused(args, moment, "labeled")


def test_a_folder_that_is_renamed_takes_its_files_along() -> None:
    """Another reading finds nothing where the file was."""
    Path("d").mkdir()
    os.rename("labeled", "d/labeled")
    args = [*PACK[:2], "d/labeled", *PACK[3:]]

    def rename() -> None:
        os.rename("d", "e")

    before = Moment("d/labeled", 3, "before", rename)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Source, "open", before.opener())
        outcome = call(args)
    (line,) = outcome.lines
    assert outcome.code == 1
    assert "d/labeled: changed while it was read: it is gone (No such file" in line
    assert Path("out").read_bytes() == OLD


@pytest.mark.parametrize("other", ["folder", "pipe", "link to nothing"])
def test_what_is_no_file_any_more_is_refused_at_once(other: str) -> None:
    """A pipe in the place of a file would wait for a writer for ever."""
    make = {"folder": os.mkdir, "pipe": os.mkfifo, "link to nothing": lambda n: os.symlink("no", n)}

    def change() -> None:
        os.remove("labeled")
        make[other]("labeled")

    _refused(PACK, Moment("labeled", 2, "before", change), "labeled")


def test_standard_input_that_is_a_file_is_watched_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the graph of a run, which is read once."""
    with open("graph") as file:
        monkeypatch.setattr("sys.stdin", file)
        moment = Moment("<stdin>", 1, "during", lambda: _change("graph", "grown"))
        _refused([*PACK[:-2], "-", "out"], moment, "<stdin>")


@pytest.mark.parametrize("name", ["labeled", "unlabeled"])
def test_what_is_changed_once_it_is_not_read_again_is_nobodys_business(name: str) -> None:
    """Without `--seed-unlabeled`, unlabeled examples are not read a third time."""
    args = [word for word in PACK if word != "--seed-unlabeled"]
    assert call(args).code == 0
    expected = Path("out").read_bytes()
    reading = {"labeled": 4, "unlabeled": 3}[name]
    moment = Moment(name, reading, "before", lambda: _change(name, "removed"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Source, "open", moment.opener())
        assert call(args).code == 0
    assert not moment.met
    assert Path("out").read_bytes() == expected
