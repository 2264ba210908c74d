"""`--resume`: what an ended run finished is kept, checked and not done again."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support import write_examples

from nsl_tools.build_graph import pipeline as building
from nsl_tools.errors import UsageError
from nsl_tools.files.publishing import OutputError
from nsl_tools.files.shards import resume
from nsl_tools.options import BuildGraphOptions, PackOptions
from nsl_tools.pack_nbrs import pipeline as packing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Run

_SHARDS = [f"out-0000{i}-of-00003" for i in range(3)]
_MANIFEST = ".out@3.manifest.json"
_BUILD = ["build-graph", "-k", "3", "--similarity-threshold=-1", "embeddings", "out@3"]
_PACK = ["pack-nbrs", "--max-nbrs", "2", "labeled", "unlabeled", "graph", "out@3"]

# Runs the command line, and dies or fails at the given call of a function of `os`.
_DRIVER = """
import errno, os, signal, sys
from nsl_tools.cli import commands
how, name, count, *args = sys.argv[1:]
real, calls = getattr(os, name), [0]
def disturbed(*given, **options):
    calls[0] += 1
    if calls[0] == int(count):
        if how == "dies":
            os._exit(9)
        if how == "terminated":
            os.kill(os.getpid(), signal.SIGTERM)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return real(*given, **options)
setattr(os, name, disturbed)
commands.main(args)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: `labeled`, `unlabeled`, `embeddings` of both, `graph`, for 3 shards."""
    monkeypatch.chdir(tmp_path)
    vectors = np.random.default_rng(5).normal(size=(20, 4)).tolist()
    nodes = [{"id": [b"%d" % i], "embedding": vector} for i, vector in enumerate(vectors)]
    write_examples("labeled", nodes[:11])
    write_examples("unlabeled", nodes[11:])
    write_examples("embeddings", nodes)
    building.build_graph(["embeddings"], "graph", BuildGraphOptions(k=4, similarity_threshold=-1))
    return tmp_path


def _contents() -> dict[str, bytes]:
    return {name: Path(name).read_bytes() for name in (*_SHARDS, _MANIFEST) if os.path.exists(name)}


def _clear() -> None:
    for name in (*_SHARDS, _MANIFEST):
        Path(name).unlink(missing_ok=True)


def _disturbed(
    how: str, call: str, count: int, args: list[str]
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _DRIVER, how, call, str(count), *args]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def _finished() -> dict[str, int]:
    """Return the inodes of the shards that wait in staging directories."""
    return {
        shard.name: os.stat(os.path.join(staging.path, name)).st_ino
        for staging, _ in resume.find(".", "out@3", Counter())
        for shard, name in resume.finished(staging)
    }


def _hidden() -> list[str]:
    return [name for name in os.listdir() if name.startswith(".") and name != _MANIFEST]


@pytest.mark.slow
@pytest.mark.parametrize("args", [_BUILD, _PACK], ids=["build-graph", "pack-nbrs"])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_run_that_dies_at_any_call_is_resumed(args: list[str], call: str, run: Run) -> None:
    """To the same bytes; what is finished stays the same file; it need not have been told."""
    assert run(*args).returncode == 0
    right = _contents()
    _clear()
    kept = set()
    for count in itertools.count(1):
        first = args if count % 2 else [*args, "--resume"]
        if _disturbed("dies", call, count, first).returncode == 0:
            break
        finished = _finished()
        in_place = {name: os.stat(name).st_ino for name in _SHARDS if os.path.exists(name)}
        kept.add(len(finished) + len(in_place))
        done = run(*args, "--resume")
        assert done.returncode == 0, done.stderr
        assert _contents() == right
        for name, inode in (finished | in_place).items():
            assert os.stat(name).st_ino == inode
        assert _hidden() == []
        _clear()
    assert kept == ({0, 1, 2, 3} if call == "fsync" else {3})


_VARIANTS: list[tuple[str, dict[str, object]]] = [
    ("build", {"k": 3, "similarity_threshold": -1}),
    ("build", {"k": None, "similarity_threshold": 0.1}),
    ("build", {"k": 3, "lsh_splits": 1, "lsh_rounds": 2, "similarity_threshold": -1}),
    ("build", {"k": 3, "recall": 0.5, "similarity_threshold": -1}),
    ("seeds", {"k": 3, "similarity_threshold": -1}),
    ("pack", {"max_neighbors": 2}),
    ("pack", {"max_neighbors": 2, "add_undirected_edges": True, "compression": "gzip"}),
    ("pack", {"seed_unlabeled": True}),
]


def _make(kind: str, options: dict[str, object]) -> dict[str, int]:
    if kind == "pack":
        pack = PackOptions(**options)  # type: ignore[arg-type]
        return packing.pack_nbrs("labeled", "unlabeled", "graph", "out@3", pack).counts
    build = BuildGraphOptions(**options)  # type: ignore[arg-type]
    seeds = ["labeled"] if kind == "seeds" else []
    return building.build_graph(["embeddings"], "out@3", build, seeds).counts


@pytest.mark.parametrize(("kind", "options"), _VARIANTS)
def test_whatever_shards_are_missing(kind: str, options: dict[str, object]) -> None:
    """They are written as they were, and no other one is touched."""
    _make(kind, options)
    right = _contents()
    for present in itertools.product([True, False], repeat=3):
        for name, stays in zip(_SHARDS, present, strict=True):
            if not stays:
                os.unlink(name)
        inodes = {name: os.stat(name).st_ino for name in _SHARDS if os.path.exists(name)}
        counts = _make(kind, {**options, "resume": True})
        assert counts.get("shards kept", 0) == sum(present)
        assert _contents() == right
        assert {name: os.stat(name).st_ino for name in inodes} == inodes


def test_a_shard_that_was_damaged_is_written_again() -> None:
    """Size alone does not tell: the checksum does."""
    _make("pack", {})
    right = _contents()
    data = bytearray(right[_SHARDS[1]])
    data[-1] ^= 1
    Path(_SHARDS[1]).write_bytes(data)
    assert _make("pack", {"resume": True})["shards kept"] == 2
    assert _contents() == right


def test_a_finished_shard_that_was_damaged_is_written_again(run: Run) -> None:
    """In the staging directory of a killed run, too; and so is one whose note is cut."""
    assert run(*_PACK).returncode == 0
    right = _contents()
    _clear()
    assert _disturbed("dies", "replace", 1, _PACK).returncode == 9
    paths = [
        os.path.join(staging.path, name)
        for staging, _ in resume.find(".", "out@3", Counter())
        for _, name in resume.finished(staging)
    ]
    assert len(paths) == 3
    Path(paths[0]).write_bytes(b"")
    Path(f"{paths[2]}.shard.json").write_text('{"name"')
    done = run(*_PACK, "--resume")
    assert b"1 shards kept" in done.stderr
    assert _contents() == right
    assert _hidden() == []


def test_a_complete_set_is_left_alone(run: Run) -> None:
    """And it is said so."""
    assert run(*_PACK).returncode == 0
    before = {name: os.stat(name).st_ctime_ns for name in (*_SHARDS, _MANIFEST)}
    done = run(*_PACK, "--resume")
    assert done.returncode == 0
    assert b"out@3: is complete already, nothing to do\n" in done.stderr
    assert {name: os.stat(name).st_ctime_ns for name in before} == before


def _touch(path: str) -> None:
    data = Path(path).read_bytes()
    found = os.stat(path)
    Path(path).write_bytes(data)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


_CHANGES = {
    "option": ("--max-nbrs=3", "option max_neighbors was 2, is 3"),
    "flag": ("--add-undirected-edges", "option add_undirected_edges was False, is True"),
    "input": ("", "graph: graph has changed since"),
    "version": ("", "version was '"),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", _CHANGES)
@pytest.mark.parametrize("when", ["killed", "complete"])
def test_a_change_is_noticed_and_refused(change: str, when: str, run: Run) -> None:
    """In one line that says what changed; then the old run can still be resumed, or begun anew."""
    option, said = _CHANGES[change]
    call = 4 if when == "killed" else 1000
    _disturbed("dies", "replace" if when == "complete" else "fsync", call, _PACK)
    waiting = _finished()
    before = _contents()
    if change == "input":
        # The same content and the same time: the time of the change itself tells.
        _touch("graph")
    if change == "version":
        code = (
            "import sys, nsl_tools; nsl_tools.__version__ = '9'\n"
            "from nsl_tools.cli.commands import main; main(sys.argv[1:])"
        )
        command = [sys.executable, "-c", code, *_PACK, "--resume"]
        done = subprocess.run(command, check=False, capture_output=True)
    else:
        done = run(*_PACK, *([option] if option else []), "--resume")
    assert done.returncode == 1
    line = f"pack-nbrs: error: out@3: there are shards of another run: {said}"
    assert done.stderr.decode().startswith(line)
    assert done.stderr.endswith(b"repeat that run, or start anew without --resume\n")
    assert done.stderr.count(b"\n") == 1
    assert (_finished(), _contents()) == (waiting, before)
    assert bool(waiting) == (when == "killed")
    if change == "option":
        assert run(*_PACK, "--resume", "--memory-limit=100MB").returncode == 0
    else:
        assert run(*_PACK).returncode == 0
    assert len(_contents()) == 4
    assert _hidden() == []


@pytest.mark.slow
@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize(("how", "code"), [("fails", 1), ("terminated", -signal.SIGTERM)])
def test_a_run_that_fails_keeps_its_shards_if_it_may_be_resumed(
    how: str, code: int, resume: bool, run: Run
) -> None:
    """A full disk, or a signal; otherwise nothing stays."""
    args = [*_PACK, "--resume"] if resume else _PACK
    assert _disturbed(how, "fsync", 3, args).returncode == code
    assert len(_finished()) == (2 if resume else 0)
    assert len(_hidden()) == (1 if resume else 0)
    assert _contents() == {}
    assert run("pack-nbrs", "labeled", "unlabeled", "graph", "elsewhere").returncode == 0
    assert len(_finished()) == (2 if resume else 0)
    done = run(*_PACK, "--resume")
    assert (b"2 shards kept" in done.stderr) == resume
    assert _hidden() == []


def test_an_error_while_renaming_keeps_all_shards(run: Run) -> None:
    """What was renamed is renamed back, to where it is found."""
    done = _disturbed("fails", "replace", 3, [*_PACK, "--resume"])
    assert done.returncode == 1
    assert _contents() == {}
    assert len(_finished()) == 3
    said = run(*_PACK, "--resume", "-v").stderr
    assert b"3 shards kept" in said
    assert b"shards: 3 of 3 kept of an earlier run\n" in said
    assert len(_contents()) == 4


def test_another_command_removes_what_a_killed_run_left_that_was_not_to_be_resumed(
    run: Run,
) -> None:
    """A run of the same output too."""
    for args in (["pack-nbrs", "labeled", "", "graph", "other"], _PACK):
        assert _disturbed("dies", "fsync", 4, _PACK).returncode == 9
        assert _finished()
        assert run(*args).returncode == 0
        assert not _finished()


def test_a_run_without_resume_starts_anew(run: Run) -> None:
    """And removes what an ended run with it left."""
    assert _disturbed("dies", "fsync", 4, [*_PACK, "--resume"]).returncode == 9
    assert len(_finished()) == 3
    done = run(*_PACK)
    assert done.returncode == 0
    assert b"kept" not in done.stderr
    assert _hidden() == []


@pytest.fixture
def living(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A run that has written all its shards, and waits."""
    code = _DRIVER.replace("os._exit(9)", "print('there', flush=True) or sys.stdin.read()")
    command = [sys.executable, "-c", code, "dies", "replace", "1", *_PACK]
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "there\n"
        yield process
        process.stdin.close()


@pytest.mark.usefixtures("living")
def test_shards_of_a_run_that_lives_are_not_taken() -> None:
    """It is said that it does."""
    assert len(_finished()) == 3
    with pytest.raises(OutputError, match="out@3: another run is writing this set"):
        _make("pack", {"max_neighbors": 2, "resume": True})
    assert len(_finished()) == 3


@pytest.mark.parametrize("options", [[], ["--resume"]], ids=["anew", "resume"])
def test_two_runs_cannot_write_one_set(
    living: subprocess.Popen[str], run: Run, options: list[str]
) -> None:
    """The second one is refused at once, and harms nothing; a killed one is in nobody's way."""
    before = _finished()
    done = run(*_PACK, *options)
    assert done.returncode == 1
    said = "pack-nbrs: error: out@3: another run is writing this set: wait for its end\n"
    assert done.stderr.decode() == said
    assert _finished() == before
    assert not _contents()
    assert run(*_PACK[:-1], "out@4").returncode == 0, "another set is another matter"
    living.kill()
    living.wait()
    assert ".out@3.nsl-lock" in _hidden()
    assert run(*_PACK, *options).returncode == 0
    assert set(_hidden()) == {".out@4.manifest.json"}


@pytest.mark.slow
def test_many_runs_at_once_write_one_set(run: Run) -> None:
    """What is there in the end is the set of one of them, and those that failed say why."""
    right = set()
    for k in "1234":
        assert run(*_PACK, "--max-nbrs", k).returncode == 0
        right.add(tuple(_contents().values()))
        _clear()
    assert len(right) == 4
    for _ in range(3):
        runs = [
            subprocess.Popen(
                [sys.executable, "-m", "nsl_tools", *_PACK, "--max-nbrs", k, "-q"],
                stderr=subprocess.PIPE,
            )
            for k in "1234"
        ]
        said = [process.communicate(timeout=60)[1] for process in runs]
        assert {process.returncode for process in runs} <= {0, 1}
        assert 0 in {process.returncode for process in runs}
        for process, line in zip(runs, said, strict=True):
            assert line.endswith(b"set: wait for its end\n" if process.returncode else b"")
        assert tuple(_contents().values()) in right
        assert _hidden() == []


def test_where_nothing_can_be_resumed(run: Run) -> None:
    """A single file, and an input that can be read only once."""
    with pytest.raises(UsageError, match="out: --resume needs a set of shards"):
        packing.pack_nbrs("labeled", "", "graph", "out", PackOptions(resume=True))
    done = run("pack-nbrs", "labeled", "", "-", "out@3", "--resume", input=b"0\t1\n")
    assert done.returncode == 2
    assert done.stderr == b"pack-nbrs: error: -: --resume needs inputs that are files\n"
    assert _hidden() == []
