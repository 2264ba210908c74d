"""How both commands grow on a cluster of Spark: time, bytes left between tasks, memory of a task.

    pip install -e '.[dev]'
    python scripts/bench_growth.py --nodes 100000 500000 2000000 --examples 500000 5000000 --plot

Each size runs on one worker and on two, of one core each, on this machine, whose session has
started. The bytes are those of all files that tasks leave for each other, the memory is the most
that a Python process of an executor had resident.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from bench_cluster import NEIGHBORS, executors, timed, vectors_of, write_inputs
from bench_support import print_machine
from spark_cluster import LOOPBACK, SparkCluster

from nsl_tools.build_graph.pipeline import build_graph
from nsl_tools.engines.spark import SparkEngine, engine_of
from nsl_tools.memory import shown_size
from nsl_tools.options import BuildGraphOptions, PackOptions
from nsl_tools.pack_nbrs.pipeline import pack_nbrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PLOT = Path(__file__).resolve().parents[1] / "docs/cluster_scaling.svg"
Points = dict[str, dict[int, "Measured"]]
INPUTS = ("labeled.tfr", "unlabeled.tfr", "graph.tsv")


class WorkBytes:
    """Watches a folder: how many bytes the files in it had at most, all together."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._ended = folder, threading.Event()
        self.most = 0
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            self.most = max(self.most, sum(map(_size, self._folder.rglob("*"))))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0


def peak_memory() -> int:
    """Return the most bytes that one of them had resident since `forget_peaks`."""
    peaks = [0]
    for path in executors():
        found = re.search(r"VmHWM:\s+(\d+)", (path / "status").read_text())
        peaks.append(1024 * int(found[1]) if found else 0)
    return max(peaks)


def forget_peaks() -> None:
    """Let the peaks of memory be counted from now on."""
    for path in executors():
        (path / "clear_refs").write_text("5")


class Measured(NamedTuple):
    """What a run took: seconds, bytes between tasks, bytes of memory of a task."""

    seconds: float
    between: int
    memory: int

    def __str__(self) -> str:
        """As cells of a table."""
        return f"{self.seconds:.1f} s | {shown_size(self.between)} | {shown_size(self.memory)}"


def measured(run: Callable[[str], object]) -> Measured:
    """Return what a run takes, which gets the path of a work folder."""
    (folder := Path("work")).mkdir(exist_ok=True)
    forget_peaks()
    with WorkBytes(folder) as bytes_between:
        seconds = timed(lambda: run(str(folder.resolve())))
    return Measured(seconds, bytes_between.most, peak_memory())


def runs(given: argparse.Namespace, session: Any) -> Iterator[tuple[str, int, Measured]]:
    """Yield the name of each command, the size of its input, and what it took."""
    for nodes in given.nodes:
        np.save("v.npy", vectors_of(nodes))
        for recall in given.recall:
            options = {"k": 10, "similarity_threshold": 0.5, "recall": recall, "engine": "spark"}
            found = measured(
                lambda work, options=options: build_graph(
                    ["v.npy"], "graph", BuildGraphOptions(**options, work_dir=work), session=session
                )
            )
            yield f"build-graph --recall {recall}", nodes, found
    for examples in given.examples:
        write_inputs(Path(), examples)
        found = measured(
            lambda work: pack_nbrs(
                *INPUTS, "out", PackOptions(NEIGHBORS, engine="spark", work_dir=work),
                session=session,
            )
        )  # fmt: skip
        yield "pack-nbrs", examples, found


def plot(points: Points) -> None:
    """Draw time, bytes and memory over size, all logarithmic."""
    from matplotlib import pyplot as plt

    figure, all_axes = plt.subplots(1, 3, figsize=(13, 4))
    texts = ["seconds", "MB between tasks", "MB of memory of a task"]
    for place, (axes, text) in enumerate(zip(all_axes, texts, strict=True)):
        for name, found in points.items():
            values = [each[place] / (1 if place == 0 else 1e6) for each in found.values()]
            axes.loglog(list(found), values, marker="o", label=name)
        axes.set(xlabel="nodes or examples", ylabel=text)
        axes.grid(visible=True, which="both", alpha=0.3)
    all_axes[0].legend()
    figure.tight_layout()
    figure.savefig(PLOT, metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    """Run what is asked for in a scratch folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="*", default=[100_000, 500_000, 2_000_000])
    parser.add_argument("--recall", type=float, nargs="+", default=[0.95])
    parser.add_argument("--examples", type=int, nargs="*", default=[100_000, 1_000_000, 5_000_000])
    parser.add_argument("--plot", action="store_true", help="draw the plot of docs/")
    given = parser.parse_args()
    print_machine("pyspark")
    os.environ["SPARK_LOCAL_IP"] = LOOPBACK
    points: Points = {}
    print("| workers | run | time | bytes between tasks | memory of a task |")
    print("|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        (logs := Path("logs")).mkdir()
        for workers in (1, 2):
            cluster = SparkCluster(logs.resolve(), workers)
            try:
                options = BuildGraphOptions(engine="spark", spark_master=cluster.url)
                with engine_of(options) as engine:
                    assert isinstance(engine, SparkEngine)  # noqa: S101 - for the type checker
                    for name, size, found in runs(given, engine.session):
                        print(f"| {workers} | {name}, {size:,} | {found} |", flush=True)
                        points.setdefault(f"{name}, by {workers}", {})[size] = found
            finally:
                cluster.stop()
                time.sleep(2)  # until its executors have gone
    if given.plot:
        plot(points)


if __name__ == "__main__":
    main()
