"""Free space for the output is looked at before the work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from inputs import BUILD, LABELED, PACK, Node, files, payload, records
from judge import OLD, call, can_mount

from nsl_tools.files import preflight
from nsl_tools.memory_budget import MemoryBudget
from nsl_tools.pack_nbrs import pipeline, request
from nsl_tools.spill import scratch

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.own_memory("takes the space away")

_NEEDED = len(records(*LABELED))


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, data in files(out=OLD).items():
        Path(name).write_bytes(data or b"")
    return tmp_path


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets what the file system says: bytes free, and blocks in all."""

    def say(size: int, blocks: int = 1 << 20) -> None:
        real = os.statvfs("/")
        fields = [1, 1, blocks, size, size, *real[5:10]]
        monkeypatch.setattr(preflight.os, "statvfs", lambda _: os.statvfs_result(fields))

    return say


def _refused(args: list[str], job: Path) -> str:
    outcome = call(args)
    assert outcome.code == 1
    assert (job / "out").read_bytes() == OLD
    (line,) = outcome.lines
    return line


def test_the_seeds_must_fit(job: Path, free: Callable[..., None]) -> None:
    """Packing copies them: with less space it does not begin, and reads no input."""
    (job / "graph").write_bytes(b"not read")
    free(_NEEDED - 1)
    line = _refused([*PACK, "-q"], job)
    assert line == (
        f"pack-nbrs: error: out: cannot be written: expected at least {_NEEDED} B of free space in "
        f"{job}, found {_NEEDED - 1} B: make room, or name another folder"
    )


def test_scratch_must_fit(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the inputs are larger than the memory, as much is needed, and no input is read."""
    (job / "labeled").write_bytes(b"not read")
    monkeypatch.setattr(pipeline, "memory_of", lambda _: MemoryBudget(1))
    fields = [1, 1, 1 << 20, 1, 1, *os.statvfs("/")[5:10]]
    monkeypatch.setattr(scratch.os, "statvfs", lambda _: os.statvfs_result(fields))
    monkeypatch.setattr(request, "check_space", lambda *_: None)
    line = _refused([*PACK, "-q"], job)
    assert "scratch files in" in line
    assert "B of free space, found 1 B: name another folder by TMPDIR" in line


@pytest.mark.parametrize(
    "options",
    [["--compression=gzip"], ["--compression=zlib"], ["--max-errors=1"], ["--on-duplicate=first"]],
)
@pytest.mark.usefixtures("job")
def test_what_may_become_smaller_is_tried(options: list[str], free: Callable[..., None]) -> None:
    """Compressed, or without some records: how small, only the work tells."""
    free(1)
    assert call([*PACK, "-q", *options]).code == 0


@pytest.mark.usefixtures("job")
def test_enough_is_enough(free: Callable[..., None]) -> None:
    free(_NEEDED)
    assert call([*PACK, "-q"]).code == 0


@pytest.mark.parametrize("args", [PACK, BUILD])
def test_a_full_file_system(args: list[str], job: Path, free: Callable[..., None]) -> None:
    """Nothing fits it, however little is known of the output."""
    free(0)
    assert "of free space in" in _refused([*args, "-q"], job)


@pytest.mark.parametrize("args", [PACK, BUILD])
@pytest.mark.usefixtures("job")
def test_a_file_system_that_tells_nothing(args: list[str], free: Callable[..., None]) -> None:
    free(0, blocks=0)
    assert call([*args, "-q"]).code == 0


_SCRIPT = """
mount -t tmpfs -o size=8k tmpfs fs && printf old > fs/out && "$0" -m nsl_tools "$@"
code=$?; ls -A fs; cat fs/out; exit $code
"""


@pytest.mark.skipif(not can_mount(), reason="no file system can be mounted here")
@pytest.mark.parametrize("args", [PACK, BUILD], ids=["pack-nbrs", "build-graph"])
def test_a_file_system_that_becomes_full(args: list[str], tmp_path: Path) -> None:
    """During the work: one line, the old output, and nothing else is left."""
    nodes: list[Node] = [(b"n%d" % i, [1.0, i]) for i in range(200)]
    edges = b"".join(b"n0\tn%d\t1\n" % i for i in range(200))
    data = records(*map(payload, nodes))
    inputs = files(labeled=records(payload(nodes[0])), unlabeled=data, embeddings=data, graph=edges)
    for name, content in inputs.items():
        (tmp_path / name).write_bytes(content or b"")
    (tmp_path / "fs").mkdir()
    command = ["unshare", "-rm", "sh", "-c", _SCRIPT, sys.executable, *args[:-1], "fs/out", "-q"]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "out\nold")
    *_, line = done.stderr.splitlines()
    assert line == f"{args[0]}: error: fs/out: cannot be written: No space left on device"
