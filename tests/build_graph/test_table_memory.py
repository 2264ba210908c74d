"""Tables within a limit of memory, as the operating system measures it, or refused in a line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nsl_tools.memory import LEAST_LIMIT, LIBRARIES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.own_memory("compares limits"), pytest.mark.slow]

# A small process of its own: a child's peak begins with the memory of whoever forks it.
_MEASURE = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss * 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""
# The search, which other tests measure, is left out.
_READ = """
import sys
from nsl_tools.build_graph import pipeline
from nsl_tools.cli import commands
pipeline.NearestNeighbors.edges = lambda *_, **__: iter(())
commands.main(["build-graph", "-q", "--memory-limit=32MB", *sys.argv[1:]])
"""


def _run(folder: Path, *arguments: str) -> tuple[float, str]:
    """Read tables in a child process; return its peak resident bytes, and what it said."""
    command = [sys.executable, "-c", _READ, *arguments, os.devnull]
    measured = [sys.executable, "-c", _MEASURE, *command]
    done = subprocess.run(measured, cwd=folder, capture_output=True, text=True, check=False)
    return float(done.stdout), done.stderr


def _lists(lengths: list[int], values: np.ndarray) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(np.cumsum([0, *lengths]), pa.int32()), values)


def _write(path: Path, ids: pa.Array, vectors: pa.Array, **how: str) -> None:
    pq.write_table(pa.table({"id": ids, "embedding": vectors}), path, **how)


def _ids(count: int) -> list[str]:
    return [f"n{row}" for row in range(count)]


def _random(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=count).astype(np.float32)


def _wide(path: Path) -> None:
    _write(path, _ids(3000), _lists([20_000] * 3000, _random(60_000_000)))


def _tall(path: Path) -> None:
    _write(path, _ids(400_000), _lists([64] * 400_000, _random(25_600_000)), compression="none")


def _bomb(path: Path) -> None:
    _write(path, _ids(2), _lists([20_000_000] * 2, np.ones(40_000_000, np.float32)))


def _one_huge_row(path: Path) -> None:
    """Its row group tells nothing of it: rows of 21 numbers on average."""
    lengths = [1] * 1_000_000
    lengths[5] = 20_000_000
    _write(path, _ids(1_000_000), _lists(lengths, np.ones(sum(lengths), np.float32)))


def _huge_ids(path: Path) -> None:
    """One id of a MB in the file, and a thousand times in memory."""
    ids = pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), ["x" * 1_000_000])
    _write(path, ids, _lists([2] * 1000, np.ones(2000, np.float32)))


@pytest.mark.parametrize("write", [_wide, _tall])
def test_parquet_files_are_read_within_the_limit(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    """Of 240 and 100 MB, each of one row group."""
    write(tmp_path / "e.parquet")
    peak, said = _run(tmp_path, "e.parquet")
    assert peak < LEAST_LIMIT + LIBRARIES
    assert "error" not in said


_SWELLS = "e.parquet: rows from [0-9]+: they take more memory than --memory-limit 32 MB"
_IDS = "--memory-limit: expected at least 1.14 GB for the ids of 1,000 nodes, 1 GB together"


@pytest.mark.parametrize(
    ("write", "problem"), [(_bomb, _SWELLS), (_one_huge_row, _SWELLS), (_huge_ids, _IDS)]
)
def test_parquet_files_that_swell_are_refused(
    tmp_path: Path, write: Callable[[Path], None], problem: str
) -> None:
    """As soon as the system has given what it may, or the ids are known to be too long."""
    write(tmp_path / "e.parquet")
    assert os.path.getsize(tmp_path / "e.parquet") < 20_000_000
    peak, said = _run(tmp_path, "e.parquet")
    assert re.match(f"build-graph: error: {problem}", said)
    assert said.count("\n") == 1
    assert peak < LEAST_LIMIT + LIBRARIES


def test_npy_files_are_read_within_the_limit(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", _random(60_000_000).reshape(3000, 20_000))
    (tmp_path / "ids").write_text("\n".join(_ids(3000)))
    peak, said = _run(tmp_path, "v.npy", "--ids=ids")
    assert peak < LEAST_LIMIT + LIBRARIES
    assert "error" not in said


def test_npy_rows_too_large_for_the_limit_are_refused(tmp_path: Path) -> None:
    """A file may be long and take no space."""
    np.save(tmp_path / "v.npy", np.zeros((1, 10), np.float32))
    header = (
        (tmp_path / "v.npy").read_bytes()[:128].replace(b"(1, 10), }       ", b"(2, 50000000), } ")
    )
    (tmp_path / "v.npy").write_bytes(header)
    os.truncate(tmp_path / "v.npy", 128 + 400_000_000)
    (tmp_path / "ids").write_text("a\nb\n")
    _, said = _run(tmp_path, "v.npy", "--ids=ids")
    assert "--memory-limit: expected at least 3.2 GB for the rows of v.npy" in said
