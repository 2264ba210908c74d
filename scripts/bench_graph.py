"""Time build-graph, the whole command, against its peers in one run.

    pip install -e '.[bench]'
    python scripts/bench_graph.py exact
    python scripts/bench_graph.py approximate --data FOLDER --sets wordnet --peers pynndescent
    python scripts/bench_graph.py scaling --sizes 10000 20000 --points points.csv

Each line gives both medians, their ranges, and the ratio with its range. Peers take turns
with us, `--runs` times (3); what takes more than a minute is timed once.

    part          compares with                                          minutes, 2 cores
    exact         faiss.knn, faiss.range_search, scikit-learn: matrix in memory        9
    seeds         the graph of all nodes                                               2
    memory        itself within limits                                                 6
    nsl           NSL 1.4, the whole process                                           4
    approximate   pynndescent, FAISS HNSW, IVF, NNDescent: see bench_approximate.py
                  wordnet 7, mnist 9; clustered 7 with --in-memory --peers pynndescent IVF,
                  HNSW and NNDescent add up to four times --limit
    tune          nothing: finds the settings for approximate; hours, less with --peers
    scaling       itself, 10,000 to 1,000,000 nodes, exact and approximate            13

"products" is what BLAS takes for the products that the graph needs (each pair once), and
nothing else. `--data` is the folder of `wordnet_minilm.npz` (`embedding`, shape (50000, 384))
and of Keras's `mnist.npz`; the set `clustered` is made here. `--rows` cuts the sets, for a
try.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from bench_approximate import SETS, approximate, tune, vectors_of
from bench_peers import PEERS, unit
from bench_scaling import SIZES, scaling
from bench_support import (
    Timing,
    clustered,
    nsl_original,
    nsl_tools,
    print_machine,
    print_row,
    race,
    time_call,
    time_command,
    write_vectors,
)
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from collections.abc import Callable

K, THRESHOLD = 10, 0.8
EXACT_SIZES = ((50_000, 100), (100_000, 256))
MOST_FOR_SCIKIT_LEARN = 50_000 * 100  # more takes it more than a minute
NSL_SIZES = ((5_000, 100), (20_000, 100))  # NSL takes 3 minutes for the second
SEEDS_SIZE = (200_000, 128)
MEMORY_SIZE = (200_000, 200)
TILE = 1008  # as fast as any: rows a power of two of bytes apart share places in the cache
HERE = Path(__file__).parent


def products(vectors: np.ndarray) -> Timing:
    """Time a twentieth of the tiles of the triangle of products, and scale it to all."""
    tiles = len(vectors) / TILE
    some = max(4, int(tiles * tiles / 2 / 20))
    random = np.random.default_rng(0)
    starts = random.integers(0, len(vectors) - TILE, (some, 2))
    buffers = [np.empty((TILE, TILE), np.float32) for _ in range(2)]

    def work(thread: int) -> None:
        for a, b in starts[thread::2]:
            np.matmul(vectors[a : a + TILE], vectors[b : b + TILE].T, out=buffers[thread])

    def both() -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(work, range(2)))

    with threadpool_limits(1):
        found = time_call(both, 1)
    return Timing([seconds * tiles * tiles / 2 / some for seconds in found.seconds])


def exact(folder: Path, runs: int) -> None:
    """Compare k nearest with `faiss.knn`, and the threshold graph with `range_search`."""
    for n, d in EXACT_SIZES:
        vectors = clustered(n, d)
        path = write_vectors(folder / "e.tfr", "embedding", vectors)
        vectors, graph = unit(vectors), str(folder / "g.tsv")
        np.save(folder / "v.npy", vectors)
        alone = {"products": partial(products, vectors)}
        nearest = faiss_peers(folder, "knn", K + 1) | alone
        if vectors.size <= MOST_FOR_SCIKIT_LEARN:
            search = partial(scikit_learn, vectors)
            nearest["scikit-learn, brute, cosine, in memory"] = partial(time_call, search, 1)
        near = faiss_peers(folder, "range_search", THRESHOLD) | alone
        for options, peers in (([], nearest), (["-k", "all"], near)):
            what = " ".join(["build-graph", *options, f"{n:,} x {d}"])
            command = nsl_tools("build-graph", "-q", *options, path, graph)
            compare(what, partial(time_command, command, 1), peers, runs)


def compare(
    what: str, ours: Callable[[], Timing], peers: dict[str, Callable[[], Timing]], runs: int
) -> None:
    """Race us against peers; print a line for each."""
    found = race({what: ours} | peers, runs)
    mine = found.pop(what)
    for name, theirs in found.items():
        print_row(what, mine, name, theirs)


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
    path = write_vectors(folder / "e.tfr", "embedding", clustered(n, d))
    some = write_vectors(folder / "s.tfr", "unused", np.zeros((n // 100, 1)))
    graph = f"{folder}/g.tsv"
    few = partial(time_command, nsl_tools("build-graph", "-q", "--seeds", some, path, graph), 1)
    full = partial(time_command, nsl_tools("build-graph", "-q", path, graph), 1)
    compare(f"build-graph --seeds of 1 %, {n:,} x {d}", few, {"all nodes": full}, runs)


def memory(folder: Path, runs: int) -> None:
    """Compare runs within limits with the products alone."""
    n, d = MEMORY_SIZE
    vectors = clustered(n, d, 0.15)
    path = write_vectors(folder / "e.tfr", "embedding", vectors)
    command = ["build-graph", "-q", "--similarity-threshold=0.95", path, f"{folder}/g.tsv"]
    alone = {"products": partial(products, unit(vectors))}
    for limit in ("64MB", "256MB", "512MB", "2GB"):
        ours = partial(time_command, nsl_tools(*command, f"--memory-limit={limit}"), 1)
        compare(f"build-graph {n:,} x {d} within {limit}", ours, alone, runs)


def nsl(folder: Path, runs: int) -> None:
    """Compare the threshold graph with NSL's, which is the same graph."""
    for n, d in NSL_SIZES:
        path = write_vectors(folder / "e.tfr", "embedding", clustered(n, d))
        command = nsl_tools("build-graph", "-q", "-k", "all", path, f"{folder}/g.tsv")
        theirs = nsl_original("build.build_graph", [path], f"{folder}/n.tsv")
        peers = {"NSL 1.4, whole process": partial(time_command, theirs, 1)}
        compare(f"build-graph -k all {n:,} x {d}", partial(time_command, command, 1), peers, runs)


PARTS = {"exact": exact, "seeds": seeds, "memory": memory, "nsl": nsl}


def parse() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=[*PARTS, "approximate", "tune", "scaling"])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    parser.add_argument("--data", metavar="FOLDER", help="of wordnet_minilm.npz and mnist.npz")
    parser.add_argument("--rows", type=int, help="take only so many vectors of a set")
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--in-memory", action="store_true", help="no whole process of a peer")
    parser.add_argument("--limit", type=float, default=300, help="seconds, to stop a peer after")
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, help="for scaling")
    parser.add_argument("--points", metavar="FILE", help="keeps scaling's points between runs")
    return parser.parse_args()


def main() -> None:
    """Print the tables."""
    given = parse()
    print_machine("faiss-cpu", "numpy", "pyarrow", "pynndescent", "scikit-learn")
    with tempfile.TemporaryDirectory() as folder:
        if given.part in PARTS:
            PARTS[given.part](Path(folder), given.runs)
            return
        if given.part == "scaling":
            scaling(Path(folder), given.sizes, given.runs, given.points)
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
