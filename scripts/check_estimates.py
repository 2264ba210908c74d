"""Compare what `--dry-run` says with what the run then takes: time, memory, scratch, output.

    .venv/bin/python scripts/check_estimates.py                      # all sets that are made here
    .venv/bin/python scripts/check_estimates.py --data FOLDER --rounds 3 --cases wordnet mnist

`FOLDER` holds `wordnet_minilm.npz` and `mnist.npz`, as of `bench_graph.py`. Estimate and run take
turns, so that what slows the machine slows both; medians of the rounds are compared. Memory is
what a process has at most less what its libraries take, as the estimate says; scratch is what is in
scratch files at once.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from bench_support import clustered, write_vectors

from nsl_tools.formats.protobuf import example
from nsl_tools.formats.tfrecord.writer import write_records
from nsl_tools.memory import shown_size

if TYPE_CHECKING:
    from collections.abc import Callable

# A process begins with its parent's peak memory on its account: the parent must be small.
MEASURE = """
import os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(process.pid, 0)
print(time.perf_counter() - start, usage.ru_maxrss * 1024, os.waitstatus_to_exitcode(status))
"""
# Adds up what is in scratch files, whose names nobody sees.
SCRATCH = """
import sys
from nsl_tools.spill.scratch import ScratchFile
sizes = [0, 0]
write, close = ScratchFile.write, ScratchFile.__exit__
def count(more):
    sizes[0] += more
    sizes[1] = max(sizes)
def counted(self, data):
    before = self.size
    write(self, data)
    count(self.size - before)
def closed(self, *given):
    count(-self.size)
    return close(self, *given)
ScratchFile.write, ScratchFile.__exit__ = counted, closed
from nsl_tools.cli.commands import main
try:
    main(sys.argv[1:])
finally:
    print(sizes[1])
"""


@dataclass(frozen=True)
class Case:
    """A run: its arguments, of which the last is the output, and what makes its inputs."""

    name: str
    arguments: str
    make: Callable[[], object]


def random_vectors() -> None:
    """Vectors none of which is near another."""
    np.save("random.npy", generator().normal(size=(20_000, 64)).astype(np.float32))


def generator() -> np.random.Generator:
    """Return numbers that are the same each time."""
    return np.random.default_rng(0)


def clusters() -> None:
    """50,000 vectors in clusters of 50, in three formats."""
    vectors = clustered(50_000, 100)
    np.save("clusters.npy", vectors)
    write_vectors(Path("clusters.tfr"), "embedding", vectors)
    ids = [f"n{i:07d}" for i in range(len(vectors))]
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 100)
    pq.write_table(pa.table({"id": ids, "embedding": lists}), "clusters.parquet")


def sparse() -> None:
    """100,000 vectors, of which 3 % are near another."""
    random = generator()
    vectors = random.normal(size=(100_000, 128)).astype(np.float32)
    near, others = random.integers(0, len(vectors), (2, 3000))
    vectors[near] = vectors[others] + 0.2 * random.normal(size=(3000, 128))
    np.save("sparse.npy", vectors)


def many() -> None:
    """400,000 vectors in clusters: more than an estimate reads."""
    np.save("many.npy", clustered(400_000, 128))


def examples() -> None:
    """60,000 examples of varied sizes, a third of them labeled, with 25 edges each."""
    random, count = generator(), 60_000
    write_records("labeled.tfr", map(varied(random), range(count // 3)), count // 3)
    rest = range(count // 3, count)
    write_records("unlabeled.tfr", map(varied(random), rest), len(rest))
    weights = np.sort(random.random((count, 25)), axis=1)[:, ::-1]
    targets = random.integers(0, count, (count, 25))
    lines = [
        f"n{i:06d}\tn{target:06d}\t{weight:.6f}\n"
        for i in range(count)
        for target, weight in zip(targets[i].tolist(), weights[i].tolist(), strict=True)
    ]
    Path("graph.tsv").write_text("".join(lines))
    order = random.permutation(len(lines)).tolist()
    Path("shuffled.tsv").write_text("".join(lines[i] for i in order))


def varied(random: np.random.Generator) -> Callable[[int], bytes]:
    """Return what makes the example of a number: a text of any length, words, and numbers."""
    letters = np.frombuffer(b"etaoin shrdlu", np.uint8)

    def make(number: int) -> bytes:
        size = int(random.lognormal(5.5, 0.8))
        return example.encode({
            b"id": example.encode_bytes([b"n%06d" % number]),
            b"text": example.encode_bytes([random.choice(letters, size).tobytes()]),
            b"words": example.encode_int64(random.integers(0, 30_000, size // 20).tolist()),
            b"embedding": example.encode_floats(random.normal(size=16)),
            b"label": example.encode_int64([number % 10]),
        })  # fmt: skip

    return make


def cases(data: str | None) -> list[Case]:
    """Return all runs."""
    pair = "labeled.tfr unlabeled.tfr"
    given = f"{pair} graph.tsv"
    found = [
        Case("random, 20,000 x 64", "build-graph random.npy g.tsv", random_vectors),
        Case("clusters, 50,000 x 100", "build-graph clusters.npy g.tsv", clusters),
        Case("clusters, TFRecord", "build-graph clusters.tfr g.tsv", clusters),
        Case("clusters, Parquet both ways", "build-graph clusters.parquet g.parquet", clusters),
        Case("clusters to `.npz`", "build-graph clusters.npy g.npz", clusters),
        Case("clusters, `-k all`", "build-graph -k all clusters.npy g.tsv", clusters),
        Case("clusters, `-k all` to `.gz`", "build-graph -k all clusters.tfr g.gz", clusters),
        Case(
            "clusters, `-k all`, 64 MB",
            "build-graph -k all --memory-limit=64MB clusters.npy g.tsv",
            clusters,
        ),
        Case("clusters, recall", "build-graph --recall=.95 clusters.npy g.tsv", clusters),
        Case("clusters, LSH", "build-graph --lsh-splits=8 clusters.npy g.tsv", clusters),
        Case("sparse, 100,000 x 128", "build-graph sparse.npy g.tsv", sparse),
        Case("400,000 x 128, recall", "build-graph --recall=.95 many.npy g.tsv", many),
        Case("pack 3", f"pack-nbrs --max-nbrs=3 {given} out", examples),
        Case("pack 20", f"pack-nbrs --max-nbrs=20 {given} out", examples),
        Case("pack 20, any order", f"pack-nbrs --max-nbrs=20 {pair} shuffled.tsv out", examples),
        Case("pack 3 to `.gz`", f"pack-nbrs --max-nbrs=3 {given} out.gz", examples),
        Case("pack 3 to Parquet", f"pack-nbrs --max-nbrs=3 {given} out.parquet", examples),
        Case(
            "pack 20, both ways, all seeds",
            f"pack-nbrs --max-nbrs=20 --seed-unlabeled --add-undirected-edges {given} out",
            examples,
        ),
        Case(
            "pack 20, 64 MB", f"pack-nbrs --max-nbrs=20 --memory-limit=64MB {given} out", examples
        ),
        Case(
            "pack 3, 32 MB, any order",
            f"pack-nbrs --max-nbrs=3 --memory-limit=32MB {pair} shuffled.tsv out",
            examples,
        ),
    ]
    return found + (given_cases(data) if data else [])


def given_cases(data: str) -> list[Case]:
    """Return runs on the sets in the folder `data`."""

    def wordnet() -> None:
        with np.load(f"{data}/wordnet_minilm.npz") as file:
            np.save("wordnet.npy", file["embedding"].astype(np.float32))

    def mnist() -> None:
        with np.load(f"{data}/mnist.npz") as file:
            images = np.concatenate([file["x_train"], file["x_test"]])
        np.save("mnist.npy", images.reshape(-1, 784).astype(np.float32))

    half, less = ("build-graph --similarity-threshold=" + value for value in (".5", ".4"))
    return [
        Case("wordnet, 50,000 x 384, 0.5", f"{half} wordnet.npy g.tsv", wordnet),
        Case("wordnet, 0.4, recall", f"{less} --recall=.95 wordnet.npy g.tsv", wordnet),
        Case("mnist, 70,000 x 784", "build-graph mnist.npy g.tsv", mnist),
        Case("mnist, recall", "build-graph --recall=.95 mnist.npy g.tsv", mnist),
        Case("mnist, 64 MB", "build-graph --memory-limit=64MB mnist.npy g.tsv", mnist),
    ]


def measured(command: list[str]) -> tuple[float, float]:
    """Run a command; return its seconds and the most memory that it had."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", MEASURE, *command], capture_output=True, text=True, check=True
    )
    *_, line = done.stdout.splitlines()
    seconds, peak, status = line.split()
    if status != "0":
        sys.exit(f"failed: {' '.join(command)}: {done.stderr}")
    return float(seconds), float(peak)


def compared(case: Case, rounds: int) -> str:
    """Return a row of the table: what was said, what was so, and their ratio."""
    command, *arguments = case.arguments.split()
    tool, output = [sys.executable, "-m", "nsl_tools"], Path(arguments[-1])
    said, seconds, estimating = [], [], []
    for _ in range(rounds):
        estimate = [command, "--dry-run", "--report=estimate.json", *arguments]
        estimating.append(measured([*tool, *estimate])[0])
        found = json.loads(Path("estimate.json").read_text())["estimate"]
        said.append(found["time"])
        output.unlink(missing_ok=True)
        took, peak = measured([*tool, command, "-q", *arguments])
        seconds.append(took)
    size = output.stat().st_size
    counted = subprocess.run(
        [sys.executable, "-c", SCRATCH, command, "-q", *arguments],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    scratch = int(counted.stdout.split()[-1])
    output.unlink()
    time = statistics.median(said), statistics.median(seconds)
    cells = [
        case.name,
        f"{time[0]:.1f} s, {time[1]:.1f} s: {time[0] / time[1]:.2f}",
        told(found["memory"], peak - found["libraries"]),
        told(found["memory"] + found["libraries"], peak),
        told(found["scratch"], scratch),
        told(found["output"], size),
        f"{statistics.median(estimating):.1f} s",
    ]
    return f"| {' | '.join(cells)} |"


def told(said: float, found: float) -> str:
    """Return two sizes and their ratio."""
    if not said and not found:
        return "none"
    ratio = f"{said / found:.2f}" if found else "-"
    return f"{shown_size(said)}, {shown_size(found)}: {ratio}"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", metavar="FOLDER", help="of wordnet_minilm.npz and mnist.npz")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", nargs="*", metavar="START", help="of the names of cases")
    asked = parser.parse_args()
    data = asked.data and os.path.abspath(asked.data)
    print("| run | time: said, was | memory | with libraries | scratch | output | estimating |")
    print("|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        made: set[object] = set()
        for case in cases(data):
            if asked.cases and not case.name.startswith(tuple(asked.cases)):
                continue
            if case.make not in made:
                case.make()
                made.add(case.make)
            print(compared(case, asked.rounds), flush=True)
        os.chdir("/")


if __name__ == "__main__":
    main()
