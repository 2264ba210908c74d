"""What the benchmarks share: inputs to measure on, whole commands timed, and tables of ratios."""

import compileall
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from nsl_tools import example
from nsl_tools.tfrecord_writer import write_records


@dataclass(frozen=True)
class Timing:
    """Seconds of several runs, and the peak memory of one in MB (0 if not measured)."""

    seconds: list[float]
    megabytes: float = 0.0

    @property
    def median(self) -> float:
        """The median of the runs."""
        return statistics.median(self.seconds)

    def __str__(self) -> str:
        """Return the median, the range and the memory."""
        memory = f", {self.megabytes:,.0f} MB" if self.megabytes else ""
        return f"{self.median:.2f} s ({min(self.seconds):.2f} to {max(self.seconds):.2f}){memory}"


def time_call(call: Callable[[], object], runs: int) -> Timing:
    """Time a function in this process."""
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return Timing(seconds)


# A process begins with its parent's peak memory on its account: the parent must be small.
_MEASURE = """
import os, subprocess, sys, time
start = time.perf_counter()
null = subprocess.DEVNULL
process = subprocess.Popen(sys.argv[1:], stdout=null, stderr=null)
_, status, usage = os.wait4(process.pid, 0)
print(time.perf_counter() - start, usage.ru_maxrss / 1024, status)
"""


def time_command(command: list[str], runs: int) -> Timing:
    """Time a whole command, from start to exit, with the peak memory of its process."""
    seconds, peaks = [], []
    for _ in range(runs):
        measure = [sys.executable, "-S", "-c", _MEASURE, *command]
        found = subprocess.run(measure, check=True, capture_output=True, text=True).stdout.split()
        seconds.append(float(found[0]))
        peaks.append(float(found[1]))
        if found[2] != "0":
            sys.exit(f"failed: {' '.join(command)}")
    return Timing(seconds, max(peaks))


def nsl_tools(*arguments: str) -> list[str]:
    """Return the command line of one of our tools, compiled before, as if it were installed.

    Else each run compiles our modules, and none of the libraries, where Python may not
    keep what it compiled (PYTHONDONTWRITEBYTECODE).
    """
    compileall.compile_dir(Path(example.__file__).parent, quiet=1)
    return [sys.executable, "-m", "nsl_tools", *arguments]


def nsl_original(function: str, *arguments: object) -> list[str]:
    """Return a command line that calls NSL 1.4's `build_graph` or `pack_nbrs`."""
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from nsl_original import load\n"
        f"build, pack = load(); {function}(*{arguments!r})"
    )
    return [sys.executable, "-c", program]


def clustered(n: int, d: int, noise: float = 0.4) -> np.ndarray:
    """Return vectors around n / 50 centres, shape (n, d), float32."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(n // 50 + 1, d))
    vectors = centres[random.integers(0, len(centres), n)] + noise * random.normal(size=(n, d))
    return vectors.astype(np.float32)


def write_vectors(path: Path, name: str, vectors: np.ndarray, first: int = 0) -> str:
    """Write one example per vector, with an id, the vector as feature `name`, and a label."""

    def payloads() -> Iterator[bytes]:
        for row, vector in enumerate(vectors, first):
            yield example.encode(
                {
                    b"id": example.encode_bytes([b"n%07d" % row]),
                    name.encode(): example.encode_floats(vector),
                    b"label": example.encode_int64([row % 10]),
                }
            )

    write_records(str(path), payloads(), len(vectors))
    return str(path)


def print_machine(*packages: str) -> None:
    """Print what was measured on."""
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    print(f"{machine}, {versions}")


def print_row(what: str, ours: Timing, peer: str, theirs: Timing) -> None:
    """Print one comparison: both timings and their ratio, with the ratio's range."""
    low = min(ours.seconds) / max(theirs.seconds)
    high = max(ours.seconds) / min(theirs.seconds)
    ratio = ours.median / theirs.median
    print(f"{what}: {ours} | {peer}: {theirs} | ratio {ratio:.3f} ({low:.3f} to {high:.3f})")
