"""Time build-graph, the whole command, against its peers in one run.

    pip install -e '.[bench]'
    python scripts/bench_graph.py exact
    python scripts/bench_graph.py approximate --data FOLDER --sets wordnet --peers pynndescent
    python scripts/bench_graph.py scaling --sizes 10000 20000 --points points.csv

Peers take turns with us, `--runs` times (3); what takes more than a minute is timed once.

    part          compares with                                          minutes, 2 cores
    exact         faiss.knn, faiss.range_search, scikit-learn: matrix in memory        9
    seeds         the graph of all nodes                                               2
    memory        its products alone, within some limits                               5
    nsl           NSL 1.4, the whole process                                           4
    approximate   pynndescent, FAISS HNSW, IVF, NNDescent: see bench_approximate.py
                  wordnet 7, mnist 9, clustered 9 with --in-memory
    tune          nothing: finds the settings for approximate; hours, less with --peers
    scaling       itself, 10,000 to 1,000,000 nodes, exact and approximate            13

Each line is one of a table in Markdown: both medians, their ranges, the ratio with its
range, and "products": what BLAS takes for the products that the graph needs (each pair
once; of `--recall` those that it says it took), and nothing else. What is timed meanwhile
goes to standard error. `--data` is the folder of `wordnet_minilm.npz` (`embedding`, shape
(50000, 384)) and of Keras's `mnist.npz`; the set `clustered` is made here. `--rows` cuts the
sets, for a try; `memory --rows 800000 --limits 800MB --runs 1` takes 7 minutes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from bench_approximate import SETS, approximate, tune, vectors_of
from bench_peers import PEERS, unit
from bench_records import kinds_of, read_records
from bench_scaling import SIZES, scaling
from bench_support import (
    Timing,
    clustered,
    nsl_original,
    nsl_tools,
    print_header,
    print_machine,
    print_row,
    products,
    race,
    time_call,
    time_command,
    write_vectors,
)
from sklearn.neighbors import NearestNeighbors

if TYPE_CHECKING:
    from collections.abc import Callable

K, THRESHOLD = 10, 0.8
EXACT_SIZES = ((50_000, 100), (100_000, 256))
MOST_FOR_SCIKIT_LEARN = 50_000 * 100  # more takes it more than a minute
NSL_SIZES = ((5_000, 100), (20_000, 100))  # NSL takes 3 minutes for the second
SEEDS_SIZE = (200_000, 128)
MEMORY_ROWS, MEMORY_WIDTH = 200_000, 200
LIMITS = ("64MB", "256MB", "512MB", "2GB")
HERE = Path(__file__).parent


def exact(folder: Path, runs: int) -> None:
    """Compare k nearest with `faiss.knn`, and the threshold graph with `range_search`."""
    for n, d in EXACT_SIZES:
        vectors = clustered(n, d)
        path = write_vectors(folder / "e.tfr", "embedding", vectors)
        vectors, graph = unit(vectors), str(folder / "g.tsv")
        np.save(folder / "v.npy", vectors)
        nearest = faiss_peers(folder, "knn", K + 1)
        if vectors.size <= MOST_FOR_SCIKIT_LEARN:
            search = partial(scikit_learn, vectors)
            nearest["scikit-learn, brute, cosine, in memory"] = partial(time_call, search, 1)
        near = faiss_peers(folder, "range_search", THRESHOLD)
        for options, peers in (([], nearest), (["-k", "all"], near)):
            what = " ".join(["build-graph", *options, f"{n:,} x {d}"])
            command = nsl_tools("build-graph", "-q", *options, path, graph)
            compare(what, command, peers, partial(products, vectors), runs)


def compare(
    what: str,
    command: list[str],
    peers: dict[str, Callable[[], Timing]],
    limit: Callable[[], Timing],
    runs: int,
) -> None:
    """Race our command against peers, and the limit too; print a line for each."""
    found = race({what: partial(time_command, command, 1), "products": limit} | peers, runs)
    mine, least = found.pop(what), found.pop("products")
    for name, theirs in found.items():
        print_row(what, mine, name, theirs, least)


def faiss_peers(folder: Path, search: str, value: float) -> dict[str, Callable[[], Timing]]:
    """Return one of FAISS's searches, matrix in memory, with its BLAS as it is and as it can be."""

    def timed(kernels: str) -> Timing:
        command = [sys.executable, str(HERE / "peer_faiss.py"), str(folder / "v.npy")]
        command += [search, str(value), kernels]
        # With kernels chosen for all there would be no difference.
        clean = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=clean)
        return Timing([float(done.stdout)])

    return {
        f"faiss {search}, in memory": partial(timed, "installed"),
        f"faiss {search}, in memory, with numpy's kernels": partial(timed, "told"),
    }


def scikit_learn(vectors: np.ndarray) -> None:
    """Find the nearest of each row."""
    found = NearestNeighbors(n_neighbors=K + 1, algorithm="brute", metric="cosine", n_jobs=-1)
    found.fit(vectors).kneighbors(vectors)


def seeds(folder: Path, runs: int) -> None:
    """Compare the graph of 1 % seeds with that of all nodes."""
    n, d = SEEDS_SIZE
    vectors = clustered(n, d)
    path = write_vectors(folder / "e.tfr", "embedding", vectors)
    some = write_vectors(folder / "s.tfr", "unused", np.zeros((n // 100, 1)))
    graph = f"{folder}/g.tsv"
    few = nsl_tools("build-graph", "-q", "--seeds", some, path, graph)
    full = partial(time_command, nsl_tools("build-graph", "-q", path, graph), 1)
    limit = partial(products, unit(vectors), n * n // 100)
    compare(f"build-graph --seeds of 1 %, {n:,} x {d}", few, {"all nodes": full}, limit, runs)


def memory(folder: Path, runs: int, rows: int, limits: list[str]) -> None:
    """Compare runs within limits with their products alone."""
    vectors = clustered(rows, MEMORY_WIDTH, 0.15)
    path = write_vectors(folder / "e.tfr", "embedding", vectors)
    command = ["build-graph", "-q", "--similarity-threshold=0.95", path, f"{folder}/g.tsv"]
    what = f"build-graph {rows:,} x {MEMORY_WIDTH} within"
    commands = {
        f"{what} {limit}": nsl_tools(*command, f"--memory-limit={limit}") for limit in limits
    }
    calls = {name: partial(time_command, command, 1) for name, command in commands.items()}
    found = race(calls | {"products": partial(products, unit(vectors))}, runs)
    least = found.pop("products")
    for name, timing in found.items():
        print_row(name, timing, "its products", least, least)


def nsl(folder: Path, runs: int) -> None:
    """Compare the threshold graph with NSL's, which is the same graph."""
    for n, d in NSL_SIZES:
        vectors = clustered(n, d)
        path = write_vectors(folder / "e.tfr", "embedding", vectors)
        command = nsl_tools("build-graph", "-q", "-k", "all", path, f"{folder}/g.tsv")
        theirs = nsl_original("build.build_graph", [path], f"{folder}/n.tsv")
        peers = {"NSL 1.4, whole process": partial(time_command, theirs, 1)}
        limit = partial(products, unit(vectors))
        compare(f"build-graph -k all {n:,} x {d}", command, peers, limit, runs)


PARTS = {"exact": exact, "seeds": seeds, "nsl": nsl}


def parse() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = [*PARTS, "memory", "approximate", "tune", "scaling"]
    parser.add_argument("part", choices=parts, nargs="?")
    parser.add_argument("--records", nargs="*", metavar="KIND", help="how fast these are read")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    parser.add_argument("--data", metavar="FOLDER", help="of wordnet_minilm.npz and mnist.npz")
    parser.add_argument("--rows", type=int, help="of a set, or for memory")
    parser.add_argument("--limits", nargs="+", default=LIMITS, help="for memory")
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--in-memory", action="store_true", help="no whole process of a peer")
    parser.add_argument("--limit", type=float, default=300, help="seconds, to stop a peer after")
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, help="for scaling")
    parser.add_argument("--points", metavar="FILE", help="keeps scaling's points between runs")
    given = parser.parse_args()
    if given.part is None and given.records is None:
        parser.error("expected a part, or --records")
    return given


def main() -> None:
    """Print the tables."""
    given = parse()
    print_machine("faiss-cpu", "numpy", "pyarrow", "pynndescent", "scikit-learn")
    with tempfile.TemporaryDirectory() as folder:
        if kinds := kinds_of(given.records):
            read_records(Path(folder), kinds, given.runs)
            return
        if given.part == "scaling":
            scaling(Path(folder), given.sizes, given.runs, given.points)
            return
        if given.part != "tune":
            print_header("products")
        if given.part in PARTS:
            PARTS[given.part](Path(folder), given.runs)
            return
        if given.part == "memory":
            memory(Path(folder), given.runs, given.rows or MEMORY_ROWS, given.limits)
            return
        for name in given.sets:
            vectors = vectors_of(name, given.data, given.rows)
            if given.part == "tune":
                tune(Path(folder), vectors, name, given.peers, given.limit)
            else:
                many = Path(folder), given.runs, vectors, name, given.peers, given.limit
                approximate(*many, in_memory=given.in_memory)


if __name__ == "__main__":
    main()
