"""Failing system calls: whichever call fails, and whenever, the folder is as it was."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from inputs import BUILD, PACK, files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = [pytest.mark.own_memory("names each call that may fail"), pytest.mark.slow]

_OLD = b"a good old file\n"

# A child that runs the command line many times, each time with another failure, and prints for
# each what it did: exit code, what it said, and what is in the folder.
_DRIVER = """
import contextlib, errno, hashlib, io, json, os, resource, sys
from pathlib import Path
from nsl_tools.cli import commands
from nsl_tools.files.outputs import Outputs

def failing(name, count):
    real = getattr(os, name)
    calls = [0]
    def fail(*args, **kwargs):
        if name == "close" or name == "write":
            # Only those of output files: whatever else is written or closed is not ours.
            path = os.readlink(f"/proc/self/fd/{args[0]}")
            if ".nsl-tools.tmp/" not in path:
                return real(*args, **kwargs)
        calls[0] += 1
        if calls[0] == count:
            if name == "close":
                real(*args)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(*args, **kwargs)
    setattr(os, name, fail)
    return lambda: setattr(os, name, real)

def limited(_, size):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

def run(args):
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            commands.main(args)
        except SystemExit as end:
            return end.code, said.getvalue()

outcomes = []
for kind, name, number, args, old in json.loads(sys.argv[1]):
    for path, text in old.items():
        Path(path).write_text(text)
    before = set(os.listdir())
    restore = {"fail": failing, "limit": limited}[kind](name, number)
    code, said = run(args)
    restore()
    found = {path: Path(path).read_bytes().hex() for path in os.listdir() if path not in {"labeled",
        "unlabeled", "graph", "embeddings"}}
    outcomes.append([code, said, found])
    for path in found:
        os.unlink(path)
print(json.dumps(outcomes))
"""
_ATTEMPTS = {
    ("single", "out"): ["out"],
    ("shards", "out@3"): [*(f"out-0000{i}-of-00003" for i in range(3)), ".out@3.manifest.json"],
}


def _run(folder: Path, jobs: list[tuple[str, str, int, list[str], Mapping[str, str]]]) -> list:  # type: ignore[type-arg]
    command = [sys.executable, "-c", _DRIVER, json.dumps(jobs)]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, check=True, timeout=120)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in files().items():
        assert data is not None
        (tmp_path / name).write_bytes(data)
    return tmp_path


@pytest.mark.parametrize("args", [PACK, BUILD], ids=["pack-nbrs", "build-graph"])
@pytest.mark.parametrize("shape", ["single", "shards"])
def test_an_input_output_error_of_any_call(folder: Path, args: list[str], shape: str) -> None:
    """EIO at each write, fsync, close, rename, link, open and mkdir, over old files and none."""
    output, names = next((o, n) for (s, o), n in _ATTEMPTS.items() if s == shape)
    command = [*args[:-1], output, "-q"]
    jobs = [
        ("fail", call, number, command, dict.fromkeys(names, _OLD.decode()) if old else {})
        for call in ("write", "fsync", "close", "replace", "mkdir", "fchmod", "link")
        for number in range(1, 10)
        for old in (False, True)
    ]
    right: dict[str, str] | None = None
    failures: set[str] = set()
    lines: list[str] = []
    for job, (code, said, found) in zip(jobs, _run(folder, jobs), strict=True):
        if code == 0:
            right = right or found
            assert found == right, job
            continue
        failures.add(job[1])
        lines.append(said)
        assert code == 1, job
        said_by = rf"{args[0]}: error: out\S*( \(its manifest\))?"
        line = rf"{said_by}: cannot be written: Input/output error\n"
        assert re.fullmatch(line, said), (job, said)
        assert found == {name: text.encode().hex() for name, text in job[4].items()}, job
    assert right is not None
    assert set(right) == set(names)
    assert failures >= {"write", "fsync", "close", "replace", "mkdir", "fchmod"}
    said_of_manifest = any("(its manifest)" in said for said in lines)
    assert said_of_manifest == (shape == "shards")


@pytest.mark.parametrize("args", [PACK, BUILD], ids=["pack-nbrs", "build-graph"])
def test_a_limit_on_the_size_of_files(folder: Path, args: list[str]) -> None:
    """At each of 20 sizes below that of the output it is refused; at its size it is written."""
    command = [*args[:-1], "out", "-q"]
    done = subprocess.run([sys.executable, "-m", "nsl_tools", *command], cwd=folder, check=True)
    assert done.returncode == 0
    right = (folder / "out").read_bytes()
    (folder / "out").unlink()
    sizes = [len(right) * i // 20 for i in range(20)]
    jobs = [
        ("limit", "", size, command, {"out": _OLD.decode()} if i % 2 and size > 100 else {})
        for i, size in enumerate([*sizes, len(right)])
    ]
    *failed, (code, _, found) = _run(folder, jobs)
    assert (code, found) == (0, {"out": right.hex()})
    for job, (code, said, found) in zip(jobs, failed, strict=False):
        assert code == 1, job
        assert said == f"{args[0]}: error: out: cannot be written: File too large\n", job
        assert found == {name: text.encode().hex() for name, text in job[4].items()}, job


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("args", [PACK, BUILD], ids=["pack-nbrs", "build-graph"])
@pytest.mark.parametrize("output", ["/dev/full", "-"])
def test_a_full_device(folder: Path, args: list[str], output: str) -> None:
    """By name and as standard output."""
    command = [sys.executable, "-m", "nsl_tools", *args[:-1], output]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, cwd=folder, stdout=full, stderr=subprocess.PIPE, check=False)
    name = "<stdout>" if output == "-" else output
    said = f"{args[0]}: error: {name}: cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr.decode()) == (1, said)
