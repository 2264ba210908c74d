"""Failing system calls on scratch files: one line says where and what to do; nothing changed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from inputs import BUILD, PACK, files
from judge import can_mount

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.own_memory("leaves no memory itself"), pytest.mark.slow]

_OLD = "a good old file\n"
_REMEDY = "name another folder by TMPDIR, or (raise --memory-limit|give a file instead of a stream)"

# A child that runs the command line many times with all that can be on scratch files, each time
# with another failure, and prints for each what it did: exit code, what it said, what is there.
_DRIVER = """
import contextlib, errno, io, json, os, resource, sys, tempfile
from pathlib import Path
from nsl_tools.build_graph import pipeline as building
from nsl_tools.cli import commands
from nsl_tools.spill.scratch import ScratchFile
from nsl_tools.tuning import TUNING

TUNING.memory_share = 0
building.threadpool_limits = lambda _: contextlib.nullcontext()
largest = [0]
write = ScratchFile.write
def counting(file, data):
    write(file, data)
    largest[0] = max(largest[0], file.size)
ScratchFile.write = counting

def failing(owner, name, number, code):
    real, calls = getattr(owner, name), [0]
    def fail(*args, **kwargs):
        if name == "statvfs" and args[0] != os.environ["TMPDIR"]:
            return real(*args)
        calls[0] += 1
        if calls[0] == number:
            raise OSError(code, os.strerror(code))
        return real(*args, **kwargs)
    setattr(owner, name, fail)
    return lambda: setattr(owner, name, real)

def limited(size):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

def run(args, given):
    said = io.StringIO()
    sys.stdin = io.TextIOWrapper(io.BytesIO(given))
    with contextlib.redirect_stderr(said):
        try:
            commands.main(args)
        except SystemExit as end:
            return end.code, said.getvalue()

CALLS = {"open": (tempfile, "TemporaryFile"), "write": (os, "pwrite"), "read": (os, "preadv"),
    "statvfs": (os, "statvfs")}
inputs = set(os.listdir())
outcomes = []
for call, number, code, args, old in json.loads(sys.argv[1]):
    if old:
        Path("out").write_text(old)
    given = Path("labeled").read_bytes()
    largest[0] = 0
    restore = limited(number) if call == "limit" else failing(*CALLS[call], number, code)
    code, said = run(args, given)
    restore()
    found = {name: Path(name).read_bytes().hex() for name in set(os.listdir()) - inputs}
    scratch = Path(os.environ["TMPDIR"])
    left = os.listdir(scratch) if scratch.is_dir() else []
    outcomes.append([code, said, found, left, largest[0]])
    for name in found:
        os.unlink(name)
print(json.dumps(outcomes))
"""
_TOOLS = {
    "pack-nbrs": PACK,
    "pack-nbrs of a stream": ["pack-nbrs", "-", *PACK[2:]],
    "build-graph": BUILD,
}
_ERRORS = {5: "Input/output error", 28: "No space left on device", 24: "Too many open files"}
_of_each_tool = pytest.mark.parametrize("tool", _TOOLS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of inputs, and beside it one for scratch files."""
    work = tmp_path / "work"
    work.mkdir()
    (tmp_path / "scratch").mkdir()
    for name, data in files().items():
        assert data is not None
        (work / name).write_bytes(data)
    return work


def _run(folder: Path, jobs: list[Any], *before: str) -> list[Any]:
    command = [*before, sys.executable, "-c", _DRIVER, json.dumps(jobs)]
    scratch = str(folder.parent / "scratch")
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, check=True, timeout=120,
        env={**os.environ, "TMPDIR": scratch},
    )  # fmt: skip
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def _judge_failure(job: Any, outcome: Any, problem: str, folder: Path) -> None:
    """One line names the scratch folder and the remedy; the old output is there, nothing else."""
    code, said, found, left, _ = outcome
    assert code == 1, outcome
    scratch = re.escape(str(folder.parent / "scratch"))
    line = f"{job[3][0]}: error: scratch files in {scratch}: {problem}: {_REMEDY}\n"
    assert re.fullmatch(line, said), said
    assert found == ({"out": job[4].encode().hex()} if job[4] else {}), job
    assert left == []


@_of_each_tool
def test_any_call_that_fails(folder: Path, tool: str) -> None:
    """EIO, ENOSPC and EMFILE when a scratch file is opened, written or read, whenever that is."""
    args = [*_TOOLS[tool], "-q"]
    jobs = [
        (call, number, code, args, _OLD if number % 2 else "")
        for call in ("open", "write", "read", "statvfs")
        for code in _ERRORS
        for number in range(1, 10)
    ]
    right, failures = None, set()
    for job, outcome in zip(jobs, _run(folder, jobs), strict=True):
        if outcome[0] == 0:
            right = right or outcome[2]
            assert outcome[2] == right
            assert outcome[3] == []
            continue
        failures.add(job[0])
        _judge_failure(job, outcome, _ERRORS[job[2]], folder)
    assert right is not None
    assert failures >= {"open", "write", "read"}


@_of_each_tool
def test_a_limit_on_the_size_of_files(folder: Path, tool: str) -> None:
    """At each of 20 sizes below that of the largest scratch file."""
    args = [*_TOOLS[tool], "-q"]
    ((code, _, _, _, largest),) = _run(folder, [("limit", 1 << 30, 0, args, "")])
    assert code == 0
    assert largest >= 20
    sizes = [largest * i // 20 for i in range(20)]
    jobs = [("limit", size, 0, args, _OLD if i % 2 else "") for i, size in enumerate(sizes)]
    # An old file that is larger than the limit could not be put there.
    jobs = [(*job[:4], "" if len(job[4]) > job[1] else job[4]) for job in jobs]
    for job, outcome in zip(jobs, _run(folder, jobs), strict=True):
        _judge_failure(job, outcome, "File too large", folder)


@pytest.mark.skipif(not can_mount(), reason="no file system can be mounted here")
@_of_each_tool
def test_a_small_file_system(folder: Path, tool: str) -> None:
    """A file system for scratch files that is full, by one page and by none."""
    scratch = str(folder.parent / "scratch")
    args = [*_TOOLS[tool], "-q"]
    job = ("limit", 1 << 30, 0, args, _OLD)
    script = 'mount -t tmpfs -o size=4k tmpfs "$0" && head -c 4096 /dev/zero > "$0/full" && "$@"'
    (outcome,) = _run(folder, [job], "unshare", "-rm", "sh", "-c", script, scratch)
    assert outcome[3] == ["full"]
    outcome[3] = []
    problem = "No space left on device"
    if tool == "build-graph":  # which knows what vectors take, and asks for it first
        problem = "expected [0-9]+ B of free space, found 0 B"
    _judge_failure(job, outcome, problem, folder)


@pytest.mark.parametrize("kind", ["missing", "a file", "not writable"])
@_of_each_tool
def test_a_folder_that_cannot_be_used(folder: Path, tool: str, kind: str) -> None:
    """What TMPDIR names is used or refused: no other folder is taken silently."""
    scratch = folder.parent / "scratch"
    scratch.rmdir()
    problem = "No such file or directory"
    if kind == "a file":
        scratch.write_text("")
        problem = "Not a directory"
    elif kind == "not writable":
        if os.geteuid() == 0:
            pytest.skip("root may write anywhere")
        scratch.mkdir(mode=0o500)
        problem = "Permission denied"
    job = ("limit", 1 << 30, 0, [*_TOOLS[tool], "-q"], _OLD)
    (outcome,) = _run(folder, [job])
    _judge_failure(job, outcome, problem, folder)
