"""Both commands on a cluster of Spark, on the cores of this machine: cost, and faults.

    pip install -e '.[dev]'
    python scripts/bench_cluster.py cost --nodes 200000 --examples 2000000
    python scripts/bench_cluster.py faults --runs 20

`cost` times the commands in one process, local and on a cluster of two workers of one core each,
whose session has started; the files must be the same. `faults` kills a worker with all it runs,
or the driver, at a random moment, stops a task until another worker has run it, or lets a worker
write no large file: the output must be right or absent, and nothing left over after the next run,
with `--resume`.
"""

from __future__ import annotations

import argparse
import contextlib
import filecmp
import os
import random
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from bench_support import print_machine
from spark_cluster import LOOPBACK, SparkCluster

from nsl_tools.build_graph.pipeline import build_graph
from nsl_tools.engines.spark import SparkEngine, engine_of
from nsl_tools.formats.protobuf import example
from nsl_tools.formats.tfrecord.writer import write_records
from nsl_tools.options import BuildGraphOptions, PackOptions
from nsl_tools.pack_nbrs.pipeline import pack_nbrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WIDTH, NEIGHBORS = 128, 5


def vectors_of(count: int) -> np.ndarray:
    """Return clusters of varying size, in noise."""
    draws = np.random.default_rng(0)
    centers = draws.normal(size=(max(1, count // 200), WIDTH)).astype(np.float32)
    homes = (draws.pareto(1.0, count) * len(centers) / 20).astype(np.int64) % len(centers)
    return centers[homes] + 0.5 * draws.normal(size=(count, WIDTH)).astype(np.float32)


def write_inputs(folder: Path, count: int) -> None:
    """Write examples of varying length, a tenth of them labeled, and a graph of them."""
    draws = np.random.default_rng(1)
    sizes = np.minimum(draws.pareto(1.5, count) * 200, 20_000).astype(int)

    def payloads(first: int, stop: int) -> Iterator[bytes]:
        for row in range(first, stop):
            features = {b"id": example.encode_bytes([b"%d" % row])}
            features[b"text"] = example.encode_bytes([b"w" * sizes[row]])
            if row % 3:
                features[b"tags"] = example.encode_int64([row, row + 1])
            yield example.encode(features)

    labeled = count // 10
    write_records(f"{folder}/labeled.tfr", payloads(0, labeled), labeled)
    write_records(f"{folder}/unlabeled.tfr", payloads(labeled, count), count - labeled)
    targets = draws.integers(0, count, (labeled, NEIGHBORS))
    weights = draws.random((labeled, NEIGHBORS))
    with (folder / "graph.tsv").open("w") as file:
        for source in range(labeled):
            for target, weight in zip(targets[source], weights[source], strict=True):
                file.write(f"{source}\t{target}\t{weight:.6f}\n")


def timed(run: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def compared(
    name: str, runs: int, local: Callable[[str], object], spark: Callable[[str], object]
) -> str:
    """Return a line of a table: medians of both, in turn, and that of the ratios."""
    ratios, times = [], []
    for _ in range(runs):
        pair = timed(lambda: local("local.out")), timed(lambda: spark("spark.out"))
        times.append(pair)
        ratios.append(pair[1] / pair[0])
        if not filecmp.cmp("local.out", "spark.out", shallow=False):
            raise AssertionError(f"{name}: the files differ")
    here, there = (statistics.median(each) for each in zip(*times, strict=True))
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    return f"| {name} | {here:.1f} s | {there:.1f} s | {statistics.median(ratios):.2f} ({spread}) |"


def graphs_compared(nodes: int, recall: float, runs: int, session: Any) -> str:
    """Return the line of a table for graphs of so many nodes."""
    np.save("v.npy", vectors_of(nodes))

    def build(engine: str) -> Callable[[str], object]:
        options = BuildGraphOptions(
            k=10, similarity_threshold=0.5, recall=recall, engine=engine,  # type: ignore[arg-type]
        )  # fmt: skip
        return lambda out: build_graph(["v.npy"], out, options, session=session)

    name = f"build-graph, {nodes:,} x {WIDTH}, recall {recall}"
    return compared(name, runs, build("local"), build("spark"))


def cost(given: argparse.Namespace, cluster: SparkCluster) -> None:
    """Print the table of times."""
    with engine_of(BuildGraphOptions(engine="spark", spark_master=cluster.url)) as engine:
        assert isinstance(engine, SparkEngine)  # noqa: S101 - for the type checker
        print(f"start of the session: {timed(lambda: engine.slots):.1f} s\n")
        session = engine.session
        print("| | local | Spark, 2 workers | ratio |\n|---|---|---|---|")
        if given.nodes:
            print(graphs_compared(given.nodes, 1.0, given.runs, session), flush=True)
        if given.recall_nodes:
            print(graphs_compared(given.recall_nodes, 0.95, given.runs, session), flush=True)
        if given.examples:
            write_inputs(Path(), given.examples)
            inputs = "labeled.tfr", "unlabeled.tfr", "graph.tsv"
            print(compared(
                f"pack-nbrs, {given.examples:,} examples", given.runs,
                lambda out: pack_nbrs(*inputs, out, PackOptions(NEIGHBORS)),
                lambda out: pack_nbrs(
                    *inputs, out, PackOptions(NEIGHBORS, engine="spark"), session=session
                ),
            ), flush=True)  # fmt: skip


def commands(master: str) -> dict[str, list[str]]:
    """Return the command lines whose workers are killed."""
    nsl_tools = [sys.executable, "-m", "nsl_tools"]
    engine = ["--engine", "spark", "--spark-master", master]
    return {
        "build-graph": [
            *nsl_tools, "build-graph", "--similarity-threshold", "0.5", *engine, "v.npy", "out@3"
        ],
        "pack-nbrs": [
            *nsl_tools, "pack-nbrs", "--max-nbrs", "5", *engine, "labeled.tfr", "unlabeled.tfr",
            "graph.tsv", "out@3",
        ],
    }  # fmt: skip


def contents() -> dict[str, bytes]:
    """Return the shards of the output, and whatever else lies about."""
    return {
        path.name: path.read_bytes() if path.is_file() else b""
        for path in sorted(Path().iterdir())
        if path.name.startswith(("out-", "."))
    }


def faults(given: argparse.Namespace, cluster: SparkCluster) -> None:
    """Print what became of each run, and how many were wrong or left something."""
    # A task that is slow is run again on the other worker.
    speculation = {"": "true", ".quantile": "0.5", ".multiplier": "1.2", ".interval": "200ms"}
    given_to_spark = (f"--conf spark.speculation{key}={v}" for key, v in speculation.items())
    os.environ["PYSPARK_SUBMIT_ARGS"] = " ".join([*given_to_spark, "pyspark-shell"])
    np.save("v.npy", vectors_of(20_000))
    write_inputs(Path(), 60_000)
    draws = random.Random(given.seed)  # noqa: S311 - no secret
    wrong = left = 0
    for name, command in commands(cluster.url).items():
        start = time.perf_counter()
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        right, length = contents(), time.perf_counter() - start
        for number in range(given.runs):
            for path in Path().glob("out-*"):
                path.unlink()
            fault = FAULTS[number % len(FAULTS)]
            status = fault(Victim(command, cluster, draws, length))
            found = contents()
            whole = all(found.get(shard) == data for shard, data in right.items())
            wrong += (
                not whole
                if status == 0
                else any(
                    found[shard] != right.get(shard) for shard in found if shard.startswith("out-")
                )
            )
            subprocess.run([*command, "--resume"], check=True, stderr=subprocess.DEVNULL)
            left += contents() != right
            print(f"{name} {number}: {fault.__doc__} Exit status {status}", flush=True)
    print(f"{2 * given.runs} runs: {wrong} wrong, {left} with something left after the next run")


@dataclass(frozen=True)
class Victim:
    """A run to which something happens.

    Attributes:
        command: its command line.
        cluster: where it runs.
        draws: when, and to whom.
        length: seconds that such a run takes.
    """

    command: list[str]
    cluster: SparkCluster
    draws: random.Random
    length: float

    def started(self, first: float, last: float) -> subprocess.Popen[bytes]:
        """Start it, and wait for a random share of its length."""
        run = subprocess.Popen(self.command, stderr=subprocess.DEVNULL, start_new_session=True)
        time.sleep(self.draws.uniform(first, last) * self.length)
        return run

    def replace_worker(self, place: int) -> None:
        """Kill a worker with all that it runs, and start another."""
        workers = self.cluster.workers
        os.killpg(workers[place].pid, signal.SIGKILL)
        workers[place].wait()
        workers[place] = self.cluster.start_worker()

    def lose_worker(self, first: float, last: float) -> int:
        """Lose one of the workers, some time between; return the exit status."""
        run = self.started(first, last)
        self.replace_worker(self.draws.randrange(len(self.cluster.workers)))
        return run.wait()


def lose_worker(victim: Victim) -> int:
    """A worker was killed."""
    # The session takes a few seconds to start, in which nothing is to be lost.
    return victim.lose_worker(0.3, 0.9)


def lose_worker_late(victim: Victim) -> int:
    """A worker was killed as shards were written."""
    return victim.lose_worker(0.8, 1.0)


def lose_driver(victim: Victim) -> int:
    """The driver was killed."""
    run = victim.started(0.3, 1.0)
    os.killpg(run.pid, signal.SIGKILL)
    return run.wait()


def slow_down(victim: Victim) -> int:
    """An executor's Python stood still, until its task had been run elsewhere or a minute long."""
    run = victim.started(0.4, 0.8)
    stopped = victim.draws.sample(found := sorted(executors()), min(1, len(found)))
    for path in stopped:
        os.kill(int(path.name), signal.SIGSTOP)
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.wait(60)
    for path in filter(Path.exists, stopped):
        os.kill(int(path.name), signal.SIGCONT)
    return run.wait()


def fill_disk(victim: Victim) -> int:
    """A worker could write no file of more than 100,000 bytes."""
    place = victim.draws.randrange(len(victim.cluster.workers))
    most = (100_000, 100_000)
    resource.prlimit(victim.cluster.workers[place].pid, resource.RLIMIT_FSIZE, most)
    status = victim.started(0.0, 0.0).wait()
    victim.replace_worker(place)
    return status


FAULTS = [
    *(lose_worker, lose_worker_late, lose_driver, lose_worker, lose_worker_late, slow_down),
    *(lose_worker, lose_worker_late, fill_disk, lose_driver),
]


def executors() -> Iterator[Path]:
    """Yield the folders under `/proc` of the Python processes of executors that run tasks."""
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it may have ended
            parent = (path / "stat").read_text().rpartition(")")[2].split()[1]
            both = path / "cmdline", path.with_name(parent) / "cmdline"
            # One of them starts the others.
            if all(b"pyspark.daemon" in each.read_bytes() for each in both):
                yield path


def main() -> None:
    """Run what is asked for in a scratch folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["cost", "faults"])
    parser.add_argument("--nodes", type=int, default=200_000)
    parser.add_argument("--recall-nodes", type=int, default=1_000_000)
    parser.add_argument("--examples", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print_machine("pyspark")
    os.environ["SPARK_LOCAL_IP"] = LOOPBACK
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        (logs := Path("logs")).mkdir()
        cluster = SparkCluster(logs.resolve())
        try:
            (cost if given.what == "cost" else faults)(given, cluster)
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
