"""`--report FILE.json`: what a run tells of itself, whether it succeeds or fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import google_crc32c
import pytest

from nsl_tools import __version__
from nsl_tools.formats.tfrecord.frames import frame
from nsl_tools.memory import peak_memory

if TYPE_CHECKING:
    from conftest import Run

_PACK = ["pack-nbrs", "labeled", "unlabeled", "graph", "out", "--report", "report.json"]
_FIELDS = {
    "format", "command", "version", "exit_status", "error", "seconds", "peak_memory_bytes",
    "options", "inputs", "outputs", "counts", "measures", "drops", "warnings", "skipped",
}  # fmt: skip


def _report() -> dict[str, Any]:
    found = json.loads(Path("report.json").read_text())
    assert set(found) == _FIELDS
    assert (found["format"], found["version"]) == (1, __version__)
    assert 0 <= found["seconds"] < 3600
    assert 10**7 < found["peak_memory_bytes"] < 10**11
    return found  # type: ignore[no-any-return]


@pytest.mark.usefixtures("job")
def test_a_run_that_succeeds(run: Run) -> None:
    """Inputs, outputs, options and counts."""
    assert run(*_PACK, "--max-nbrs", "1").returncode == 0
    found = _report()
    assert (found["command"], found["exit_status"], found["error"]) == ("pack-nbrs", 0, None)
    assert found["options"]["max_neighbors"] == 1
    kinds = {"labeled": ["labeled"], "unlabeled": ["unlabeled"], "graph": ["graph"]}
    for kind, (name,) in kinds.items():
        (state,) = found["inputs"][kind]
        assert (state["name"], state["bytes"]) == (name, os.path.getsize(name))
    data = Path("out").read_bytes()
    crc = f"{google_crc32c.value(data):08x}"
    assert found["outputs"] == [{"name": "out", "bytes": len(data), "crc32c": crc}]
    assert found["counts"]["examples packed"] == 2
    assert (found["drops"], found["warnings"], found["skipped"]) == ({}, {}, [])


def test_what_is_dropped_and_skipped(job: Path, run: Run) -> None:
    """By reason, and each skipped record and line by its place."""
    with open("labeled", "ab") as file:
        at = file.tell()
        file.write(frame(b"\xff"))
    lines = b"z\ta\t1\nno edge\na\tb\t0.5"
    (job / "graph").write_bytes(lines)
    done = run(*_PACK, "--max-errors", "2")
    assert done.returncode == 0
    found = _report()
    unknown = "edges dropped: no example for their source or target"
    skipped = {"skipped: not a tf.train.Example": 1, "skipped: line not an edge": 1}
    assert found["drops"] == {unknown: 1, **skipped}
    assert list(found["warnings"]) == ["graph: no newline at the end: is the file complete?"]
    record, line = sorted(found["skipped"], key=lambda each: -len(each["file"]))
    assert record == {
        "file": "labeled",
        "number": 2,
        "byte": at,
        "reason": "not a tf.train.Example",
        "error": record["error"],
    }
    assert record["error"].startswith(f"labeled: record 2 at byte {at}: ")
    assert (line["file"], line["number"], line["byte"]) == ("graph", 2, lines.index(b"no edge"))
    assert line["reason"] == "line not an edge"
    for reason, count in {**found["drops"], **found["warnings"]}.items():
        assert f"warning: {reason} ({count})\n".encode() in done.stderr


@pytest.mark.usefixtures("job")
def test_measures_and_shards(run: Run) -> None:
    """Of an approximate graph in shards; a resumed run tells what it kept."""
    build = ["build-graph", "-k", "1", "--recall=0.5", "embeddings", "g@2"]
    for kept in (None, 2):
        assert run(*build, "--resume", "--report=report.json").returncode == 0
        found = _report()
        assert found["counts"].get("shards kept") == kept
        assert [file["name"] for file in found["outputs"]] == [
            "g-00000-of-00002",
            "g-00001-of-00002",
        ]
        assert (found["measures"].get("recall", 0) >= 0.5) == (kept is None)


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        (["nowhere", "unlabeled", "graph", "out"], 1, "nowhere: no such file"),
        (["labeled", "unlabeled", "labeled", "out"], 1, "labeled: line 1: "),
        (["labeled", "labeled", "graph", "graph"], 2, "graph: the output is also an input"),
        (["lab*", "none-*", "graph", "out"], 1, "none-*: no file matches"),
    ],
)
def test_a_run_that_fails(args: list[str], status: int, said: str, run: Run) -> None:
    """With the line that is said."""
    Path("report.json").write_text("an old report")
    done = run("pack-nbrs", *args, "--report", "report.json")
    assert done.returncode == status
    found = _report()
    assert found["exit_status"] == status
    assert found["error"].startswith(said)
    assert done.stderr.decode() == f"pack-nbrs: error: {found['error']}\n"
    assert not os.path.exists("out")


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize(
    ("report", "status", "said"),
    [
        ("graph", 2, "the report is also an input or output (graph)"),
        ("out", 2, "the report is also an input or output (out)"),
        ("link", 2, "the report is also an input or output (labeled)"),
        (".out@3.manifest.json", 2, "the report has the name of a manifest of shards"),
        ("-", 2, "expected the name of a file, received -"),
        ("/dev/null", 2, "expected the name of a file, received /dev/null"),
        ("nowhere/r.json", 1, "there is no folder "),
        (".", 1, "is a folder, expected a file name"),
    ],
)
def test_a_report_that_cannot_be(report: str, status: int, said: str, run: Run) -> None:
    """It is refused before the work; no input is touched."""
    os.symlink("labeled", "link")
    before = {name: Path(name).read_bytes() for name in ("labeled", "unlabeled", "graph")}
    done = run(*_PACK[:-1], report)
    assert done.returncode == status
    assert said in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
    assert {name: Path(name).read_bytes() for name in before} == before
    assert not os.path.exists("out")


# Runs the command line; a call of a function of `os` fails, or a signal comes.
_FAILING = """
import os, signal, sys
from nsl_tools.cli import commands
how, name, count, *args = sys.argv[1:]
real, calls = getattr(os, name), [0]
def failing(*given, **options):
    calls[0] += 1
    if (how == "always" and calls[0] >= int(count)) or (how == "once" and calls[0] == int(count)):
        raise OSError(28, "No space left on device")
    if how == "signal" and calls[0] == int(count):
        os.kill(os.getpid(), signal.SIGTERM)
    return real(*given, **options)
setattr(os, name, failing)
commands.main(args)
"""


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize(
    ("how", "call", "count"),
    [("once", "replace", 2), ("once", "fsync", 2), ("always", "fsync", 2), ("always", "fsync", 3)],
)
def test_a_report_that_fails_at_the_end(how: str, call: str, count: int) -> None:
    """Then the run has failed, and its output is not there; that is reported, if it can be."""
    Path("out").write_bytes(b"an old file")
    command = [sys.executable, "-c", _FAILING, how, call, str(count), *_PACK]
    done = subprocess.run(command, check=False, capture_output=True)
    assert done.returncode == 1
    *warning, line = done.stderr.decode().splitlines()
    assert line.endswith(": cannot be written: No space left on device")
    assert not warning or (how == "always" and "warning: report.json: " in warning[0])
    assert Path("out").read_bytes() == b"an old file"
    if how == "once":
        assert line == f"pack-nbrs: error: {_report()['error']}"
    else:
        assert not os.path.exists("report.json")
    assert [name for name in os.listdir() if name.startswith(".")] == []


@pytest.mark.usefixtures("job")
def test_a_run_that_a_signal_ends() -> None:
    """As a shell shows it."""
    command = [sys.executable, "-c", _FAILING, "signal", "fsync", "1", *_PACK]
    done = subprocess.run(command, check=False, capture_output=True)
    assert (done.returncode, done.stderr) == (-signal.SIGTERM, b"")
    found = _report()
    assert (found["exit_status"], found["error"]) == (128 + 15, "ended by SIGTERM")


def test_peak_memory_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """About the same."""
    right = peak_memory()
    monkeypatch.setattr("builtins.open", _no_file)
    assert right / 2 < peak_memory() < right * 2


def _no_file(*_: object, **__: object) -> None:
    raise FileNotFoundError
