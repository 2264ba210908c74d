"""pack-nbrs within a limit: memory measured by the operating system, the same bytes, no rest."""

import gzip
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import Value, write_examples

from nsl_tools.errors import UsageError
from nsl_tools.memory import LEAST_LIMIT
from nsl_tools.memory_budget import SHARES, MemoryBudget
from nsl_tools.options import PackOptions
from nsl_tools.pack_nbrs import pipeline as packing
from nsl_tools.pack_nbrs.pipeline import pack_nbrs

LIBRARIES = 200_000_000
LABELED, UNLABELED, VALUES = 15_000, 25_000, 1500


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 MB of examples, the unlabeled ones in three shards, and a compressed graph."""
    folder = tmp_path_factory.mktemp("big")
    random = np.random.default_rng(0)

    def examples(first: int, count: int) -> Any:
        for i in range(first, first + count):
            yield {"id": [b"node%d" % i], "x": random.random(VALUES, np.float32).tolist()}

    write_examples(folder / "l", examples(0, LABELED))
    write_examples(f"{folder}/u@3", examples(LABELED, UNLABELED))
    targets = random.integers(0, LABELED + UNLABELED, (LABELED, 4)).tolist()
    lines = [f"node{s}\tnode{t}\t0.{t}\n" for s, row in enumerate(targets) for t in row]
    (folder / "g").write_bytes(gzip.compress("".join(lines).encode(), 1))
    return folder


# A small process of its own: a child's peak begins with the memory of whoever forks it.
_MEASURE = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss * 1024)
sys.exit(status != 0)
"""


def _peak(folder: Path, output: str, *options: str) -> tuple[float, str]:
    """Pack in a child process; return its peak resident bytes and what it said."""
    command = [sys.executable, "-m", "nsl_tools", "pack-nbrs", "--max-nbrs=3", *options]
    measured = [sys.executable, "-c", _MEASURE, *command, "l", "u@3", "g", output]
    done = subprocess.run(measured, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return float(done.stdout), done.stderr


@pytest.mark.slow
@pytest.mark.own_memory("compares limits")
def test_the_limit_is_kept_and_the_bytes_are_the_same(big: Path) -> None:
    """Within the limit and what Python and the libraries take, of sharded and compressed input."""
    free, said = _peak(big, "free", "--memory-limit=4GB")
    assert "scratch" not in said
    limited, said = _peak(big, "limited", "--memory-limit=32MB")
    for what in ("ids and edges", "records of neighbours"):
        assert re.search(f"pack-nbrs: scratch files of up to .*, for {what}\n", said)
    assert limited < LEAST_LIMIT + LIBRARIES < free
    assert (big / "limited").read_bytes() == (big / "free").read_bytes()


def _examples(count: int) -> list[dict[str, Value]]:
    return [{"id": [b"%d" % i], "x": [float(i)]} for i in range(count)]


@pytest.mark.parametrize("on_duplicate", ["first", "last"])
def test_records_kept_between_readings_and_read_again_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_duplicate: str
) -> None:
    """Also where some are left out, which is known only after the first reading."""
    write_examples(tmp_path / "l.gz", _examples(40))
    write_examples(tmp_path / "u.gz", _examples(90)[40:] + _examples(60)[30:])
    (tmp_path / "g").write_text("".join(f"{i}\t{i * 7 % 90}\n" for i in range(90)))
    paths = (f"{tmp_path}/l.gz", f"{tmp_path}/u.gz", f"{tmp_path}/g", f"{tmp_path}/m")
    outputs = set()
    for share in (0, 1):
        monkeypatch.setitem(SHARES, "kept_records", share)
        pack_nbrs(*paths, PackOptions(on_duplicate=on_duplicate, seed_unlabeled=True))
        outputs.add((tmp_path / "m").read_bytes())
    assert len(outputs) == 1


def test_too_many_nodes_for_the_limit_are_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "memory_of", lambda _: MemoryBudget(10))
    examples: list[dict[str, Value]] = [{"id": [b"%d" % i]} for i in range(10)]
    write_examples(tmp_path / "l", examples)
    (tmp_path / "g").write_text("1\t2\n")
    paths = (f"{tmp_path}/l", "", f"{tmp_path}/g", f"{tmp_path}/m")
    with pytest.raises(UsageError, match=r"--memory-limit: expected at least 40 B for 10"):
        pack_nbrs(*paths, PackOptions())


@pytest.mark.slow
@pytest.mark.own_memory("sets the limit")
@pytest.mark.parametrize("count", [6_000, 400_000])
def test_neighbours_of_one_seed_that_do_not_fit_are_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Their edges, or the records alone: the seed is named, and fewer neighbours fit."""
    limit = 2_000_000 if count < 10_000 else 32_000_000
    monkeypatch.setattr(packing, "memory_of", lambda _: MemoryBudget(limit))
    write_examples(tmp_path / "l", [{"id": [b"hub"]}])
    write_examples(tmp_path / "u", ({"id": [b"%d" % i]} for i in range(count)))
    (tmp_path / "g").write_text("".join(f"hub\t{i}\n" for i in range(count)))
    paths = [f"{tmp_path}/{name}" for name in "lugm"]
    problem = (
        f"--memory-limit: expected about .* MB for the {count:,} neighbours of 'hub', received"
    )
    with pytest.raises(UsageError, match=problem):
        pack_nbrs(*paths, PackOptions())
    statistics = pack_nbrs(*paths, PackOptions(max_neighbors=1000))
    assert statistics.counts["neighbours packed"] == 1000


@pytest.mark.own_memory("sets the limit")
def test_edges_of_one_seed_that_are_repeated_take_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often: more edges than are held at once, for few neighbours."""
    monkeypatch.setattr(packing, "memory_of", lambda _: MemoryBudget(32_000_000))
    write_examples(tmp_path / "l", [{"id": [b"hub"]}])
    write_examples(tmp_path / "u", ({"id": [b"%d" % i]} for i in range(100)))
    lines = "".join(f"hub\t{i}\t0.{i + 1}\n" for i in range(100))
    (tmp_path / "g").write_text(lines * 4000)
    statistics = pack_nbrs(*(f"{tmp_path}/{name}" for name in "lugm"), PackOptions())
    assert statistics.counts["neighbours packed"] == 100
