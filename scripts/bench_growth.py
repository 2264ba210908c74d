"""How both commands grow on a cluster of Spark: time, bytes left between tasks, memory of a task.

    pip install -e '.[dev]'
    python scripts/bench_growth.py --nodes 100000 500000 2000000 --examples 500000 5000000

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
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from bench_cluster import NEIGHBORS, WIDTH, executors, timed, vectors_of, write_inputs
from bench_support import print_machine
from spark_cluster import LOOPBACK, SparkCluster

from nsl_tools.build_graph.pipeline import build_graph
from nsl_tools.engines.spark import SparkEngine, engine_of
from nsl_tools.memory import shown_size
from nsl_tools.options import BuildGraphOptions, PackOptions
from nsl_tools.pack_nbrs.pipeline import pack_nbrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


def measured(run: Callable[[str], object]) -> str:
    """Return the cells of a run, which gets the path of a work folder."""
    (folder := Path("work")).mkdir(exist_ok=True)
    forget_peaks()
    with WorkBytes(folder) as bytes_between:
        seconds = timed(lambda: run(str(folder.resolve())))
    return f"{seconds:.1f} s | {shown_size(bytes_between.most)} | {shown_size(peak_memory())}"


def rows(given: argparse.Namespace, session: Any) -> Iterator[str]:
    """Yield the row of each size."""
    for nodes in given.nodes:
        np.save("v.npy", vectors_of(nodes))
        for recall in given.recall:
            options = {"k": 10, "similarity_threshold": 0.5, "recall": recall, "engine": "spark"}
            cells = measured(
                lambda work, options=options: build_graph(
                    ["v.npy"], "graph", BuildGraphOptions(**options, work_dir=work), session=session
                )
            )
            yield f"build-graph, recall {recall}, {nodes:,} x {WIDTH} | {cells}"
    for examples in given.examples:
        write_inputs(Path(), examples)
        cells = measured(
            lambda work: pack_nbrs(
                *INPUTS, "out", PackOptions(NEIGHBORS, engine="spark", work_dir=work),
                session=session,
            )
        )  # fmt: skip
        size = sum(Path(name).stat().st_size for name in INPUTS)
        yield f"pack-nbrs, {examples:,} examples, {shown_size(size)} | {cells}"


def main() -> None:
    """Run what is asked for in a scratch folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="*", default=[100_000, 500_000, 2_000_000])
    parser.add_argument("--recall", type=float, nargs="+", default=[0.95])
    parser.add_argument("--examples", type=int, nargs="*", default=[100_000, 1_000_000, 5_000_000])
    given = parser.parse_args()
    print_machine("pyspark")
    os.environ["SPARK_LOCAL_IP"] = LOOPBACK
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
                    for row in rows(given, engine.session):
                        print(f"| {workers} | {row} |", flush=True)
            finally:
                cluster.stop()
                time.sleep(2)  # until its executors have gone


if __name__ == "__main__":
    main()
