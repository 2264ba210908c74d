"""What the benchmarks share: inputs to measure on, whole commands timed, and tables of ratios."""

import compileall
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Container, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from nsl_tools.formats.protobuf import example
from nsl_tools.formats.tfrecord.writer import write_records

ENOUGH_SECONDS = 60  # what takes longer is timed once
TILE = 1008  # as fast as any: rows a power of two of bytes apart share places in the cache
MOST_TILES = 4000  # of products that are timed


@dataclass(frozen=True)
class Timing:
    """Seconds of several runs.

    Attributes:
        seconds: of each run.
        megabytes: the peak memory of one run; 0 if not measured.
        recall: the smallest one measured; None if none was.
        stopped: it would have taken longer, but for the limit.
    """

    seconds: list[float]
    megabytes: float = 0.0
    recall: float | None = None
    stopped: bool = False

    @property
    def median(self) -> float:
        """The median of the runs."""
        return statistics.median(self.seconds)

    def __add__(self, other: "Timing") -> "Timing":
        """Return the runs of both."""
        recalls = [t.recall for t in (self, other) if t.recall is not None]
        return Timing(
            self.seconds + other.seconds,
            max(self.megabytes, other.megabytes),
            min(recalls, default=None),
            self.stopped or other.stopped,
        )

    def __str__(self) -> str:
        """Return the median, the range, the memory and the recall."""
        if self.stopped:
            return f"> {max(self.seconds):g} s (stopped)"
        memory = f", {self.megabytes:,.0f} MB" if self.megabytes else ""
        recall = "" if self.recall is None else f", recall {self.recall:.4f}"
        spread = f"{min(self.seconds):.2f} to {max(self.seconds):.2f}, n={len(self.seconds)}"
        return f"{self.median:.2f} s ({spread}){memory}{recall}"


def race(
    contestants: dict[str, Callable[[], Timing]], runs: int, once: Container[str] = ()
) -> dict[str, Timing]:
    """Time each in turn, then all again, and so on, so that what slows the machine slows all.

    What takes more than a minute, or is said to, is timed once, as are those named in `once`.
    """
    found: dict[str, Timing] = {}
    for run in range(runs):
        for name, call in contestants.items():
            if run == 0:
                found[name] = call()
                print(f"  {name}: {found[name]}", file=sys.stderr, flush=True)
            elif name not in once and max(found[name].seconds) < ENOUGH_SECONDS:
                found[name] += call()
    return found


def time_call(call: Callable[[], object], runs: int) -> Timing:
    """Time a function in this process."""
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return Timing(seconds)


def products(vectors: np.ndarray, pairs: float | None = None) -> Timing:
    """Time what BLAS takes for the products of `pairs`, all once if not given, by some of them."""
    tile = min(TILE, len(vectors))
    tiles = (len(vectors) ** 2 / 2 if pairs is None else pairs) / tile**2
    some = int(max(4, min(tiles / 20, MOST_TILES)))
    random = np.random.default_rng(0)
    starts = random.integers(0, len(vectors) - tile + 1, (some, 2))
    buffers = [np.empty((tile, tile), np.float32) for _ in range(2)]

    def work(thread: int) -> None:
        for a, b in starts[thread::2]:
            np.matmul(vectors[a : a + tile], vectors[b : b + tile].T, out=buffers[thread])

    def both() -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(work, range(2)))

    with threadpool_limits(1):
        found = time_call(both, 1)
    return Timing([seconds * tiles / some for seconds in found.seconds])


# A process begins with its parent's peak memory on its account: the parent must be small.
_MEASURE = """
import os, subprocess, sys, time
start = time.perf_counter()
null = subprocess.DEVNULL
process = subprocess.Popen(sys.argv[1:], stdout=null, stderr=null)
_, status, usage = os.wait4(process.pid, 0)
print(time.perf_counter() - start, usage.ru_maxrss / 1024, status)
"""


def time_command(command: list[str], runs: int, **environment: str) -> Timing:
    """Time a whole command, from start to exit, with the peak memory of its process."""
    seconds, peaks = [], []
    for _ in range(runs):
        measure = [sys.executable, "-S", "-c", _MEASURE, *command]
        done = subprocess.run(
            measure, check=True, capture_output=True, text=True, env=os.environ | environment
        )
        found = done.stdout.split()
        seconds.append(float(found[0]))
        peaks.append(float(found[1]))
        if found[2] != "0":
            sys.exit(f"failed: {' '.join(command)}")
    return Timing(seconds, max(peaks))


def time_fresh(command: list[str], output: str, runs: int) -> Timing:
    """Time a command whose output is not there yet: to delete what it replaces takes time too."""
    found = []
    for _ in range(runs):
        Path(output).unlink(missing_ok=True)
        found.append(time_command(command, 1))
    return Timing([t.median for t in found], max(t.megabytes for t in found))


def copy_seconds(paths: list[str], folder: Path) -> float:
    """Return how long it takes to read `paths`, and to write the last and sync it."""
    start = time.perf_counter()
    for path in paths[:-1]:
        subprocess.run(["cp", path, "/dev/null"], check=True)
    copy = folder / "copy"
    subprocess.run(["dd", f"if={paths[-1]}", f"of={copy}", "bs=1M", "conv=fsync", "status=none"],
                   check=True)  # fmt: skip
    seconds = time.perf_counter() - start
    copy.unlink()
    return seconds


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


def print_header(limit: str) -> None:
    """Print the head of a table of comparisons; `limit` says what nothing can be faster than."""
    print(f"| command | time, memory | peer | time, memory | ratio | {limit} |")
    print("|---|---|---|---|---|---|", flush=True)


def print_row(what: str, ours: Timing, peer: str, theirs: Timing, limit: Timing) -> None:
    """Print one comparison: both timings, their ratio with its range, and the limit."""
    low = min(ours.seconds) / max(theirs.seconds)
    high = max(ours.seconds) / min(theirs.seconds)
    ratio = ours.median / theirs.median
    shown = f"< {ratio:.3f}" if theirs.stopped else f"{ratio:.3f} ({low:.3f} to {high:.3f})"
    cells = what, str(ours), peer, str(theirs), shown, f"{limit.median:.2f} s"
    print(f"| {' | '.join(cells)} |", flush=True)
