"""build-graph within a limit: memory measured by the operating system, and the same bytes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import write_examples

from nsl_tools.memory import LEAST_LIMIT

LIBRARIES = 200_000_000

# A small process of its own: a child's peak begins with the memory of whoever forks it.
_MEASURE = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss * 1024)
sys.exit(status != 0)
"""


def _peak(folder: Path, output: str, *options: str) -> float:
    """Build in a child process with two threads; return its peak resident bytes."""
    command = [sys.executable, "-m", "nsl_tools", "build-graph", "-q", "--threads=2", *options]
    command += ["--similarity-threshold=-1"]
    measured = [sys.executable, "-c", _MEASURE, *command, "e", output]
    done = subprocess.run(measured, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


@pytest.mark.slow
@pytest.mark.own_memory("compares limits")
@pytest.mark.parametrize(
    ("n", "d", "options"),
    [(30_000, 1500, ["--seeds=s"]), (3_500, 3, ["-k", "all"])],
    ids=["180 MB of vectors", "12 million edges"],
)
def test_the_limit_is_kept_and_the_bytes_are_the_same(
    tmp_path: Path, n: int, d: int, options: list[str]
) -> None:
    """Where vectors do not fit, and where every pair is an edge: neither may be held."""
    vectors = np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)
    examples = ({"id": [b"n%d" % i], "embedding": v.tolist()} for i, v in enumerate(vectors))
    write_examples(tmp_path / "e", examples)
    write_examples(tmp_path / "s", ({"id": [b"n%d" % i]} for i in range(0, n, 3000)))
    free = _peak(tmp_path, "free", "--memory-limit=4GB", *options)
    limited = _peak(tmp_path, "limited", "--memory-limit=32MB", *options)
    assert limited < LEAST_LIMIT + LIBRARIES < free
    same = subprocess.run(["cmp", "free", "limited"], cwd=tmp_path, check=False)
    assert same.returncode == 0
    assert os.path.getsize(tmp_path / "free")
