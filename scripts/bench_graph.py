"""Time build-graph, the whole command, against its peers in one run.

    pip install -e '.[bench]'
    python scripts/bench_graph.py exact        # also: seeds, approximate, memory, nsl, scaling
    python scripts/bench_graph.py approximate --npy vectors.npy

Peers work on the matrix already in memory: FAISS (exact, IVF, HNSW, NNDescent),
pynndescent. NSL 1.4 is the whole process. "products" is what BLAS takes for the products
that the graph needs (each pair once), and nothing else.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import faiss
import numpy as np
from bench_support import (
    Timing,
    clustered,
    nsl_original,
    nsl_tools,
    print_machine,
    print_row,
    time_call,
    time_command,
    write_vectors,
)
from pynndescent import NNDescent
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

K, THRESHOLD = 10, 0.8
EXACT_SIZES = ((50_000, 100), (100_000, 256))
NSL_SIZES = ((5_000, 100), (20_000, 100))  # NSL takes 3 minutes for the second
SEEDS_SIZE = (200_000, 128)
MEMORY_SIZE = (200_000, 200)
SCALING_SIZES = (10_000, 20_000, 50_000, 100_000, 200_000, 400_000, 1_000_000)
SCALING_WIDTH = 128
TILE = 1024
RECALLS = (0.95, 0.99)
APPROXIMATE_SIZE = (1_000_000, 128)
ENOUGH_SECONDS = 20  # what takes longer is timed once

Search: TypeAlias = "Callable[[int], np.ndarray]"
"""From an effort to the numbers of neighbours of all rows, one of whom may be the row."""
Prepare: TypeAlias = "Callable[[np.ndarray], Search]"


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return the vectors divided by their norms."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def products(vectors: np.ndarray, runs: int) -> Timing:
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
        found = time_call(both, runs)
    return Timing([seconds * tiles * tiles / 2 / some for seconds in found.seconds])


def exact(folder: Path, runs: int) -> None:
    """Compare k nearest with `faiss.knn`, and the threshold graph with `range_search`."""
    for n, d in EXACT_SIZES:
        vectors = clustered(n, d)
        path = write_vectors(folder / "e.tfr", "embedding", vectors)
        vectors, graph = unit(vectors), str(folder / "g.tsv")
        knn = partial(faiss.knn, vectors, vectors, K + 1, metric=faiss.METRIC_INNER_PRODUCT)
        index = faiss.IndexFlatIP(d)
        index.add(vectors)
        search = partial(index.range_search, vectors, THRESHOLD)
        alone = products(vectors, runs)
        for options, name, call in (([], "knn", knn), (["-k", "all"], "range_search", search)):
            ours = time_command(nsl_tools("build-graph", "-q", *options, path, graph), runs)
            what = " ".join(["build-graph", *options, f"{n:,} x {d}"])
            print_row(what, ours, f"faiss {name} in memory", time_call(call, runs))
            print_row(what, ours, "products", alone)


def seeds(folder: Path, runs: int) -> None:
    """Compare the graph of 1 % seeds with that of all nodes."""
    n, d = SEEDS_SIZE
    path = write_vectors(folder / "e.tfr", "embedding", clustered(n, d))
    some = write_vectors(folder / "s.tfr", "unused", np.zeros((n // 100, 1)))
    graph = f"{folder}/g.tsv"
    few = time_command(nsl_tools("build-graph", "-q", "--seeds", some, path, graph), runs)
    full = time_command(nsl_tools("build-graph", "-q", path, graph), runs)
    print_row(f"build-graph --seeds of 1 %, {n:,} x {d}", few, "all nodes", full)


def memory(folder: Path, runs: int) -> None:
    """Compare runs within limits with one without."""
    n, d = MEMORY_SIZE
    vectors = clustered(n, d, 0.15)
    path = write_vectors(folder / "e.tfr", "embedding", vectors)
    command = ["build-graph", "-q", "--similarity-threshold=0.95", path, f"{folder}/g.tsv"]
    alone = products(unit(vectors), runs)
    for limit in ("64MB", "256MB", "2GB"):
        ours = time_command(nsl_tools(*command, f"--memory-limit={limit}"), runs)
        print_row(f"build-graph {n:,} x {d} within {limit}", ours, "products", alone)


def nsl(folder: Path, runs: int) -> None:
    """Compare the threshold graph with NSL's, which is the same graph."""
    for n, d in NSL_SIZES:
        path = write_vectors(folder / "e.tfr", "embedding", clustered(n, d))
        command = nsl_tools("build-graph", "-q", "-k", "all", path, f"{folder}/g.tsv")
        ours = time_command(command, runs)
        theirs = time_command(nsl_original("build.build_graph", [path], f"{folder}/n.tsv"), 1)
        print_row(f"build-graph -k all {n:,} x {d}", ours, "NSL 1.4", theirs)


Points = list[tuple[int, Timing]]


def scaling(folder: Path, runs: int) -> None:
    """Time growing graphs, exact and approximate, with their memory; plot them into docs/."""
    found: dict[str, Points] = {"exact": [], "--recall=0.95": []}
    for n in SCALING_SIZES:
        path = write_vectors(folder / "e.tfr", "embedding", clustered(n, SCALING_WIDTH))
        for name, points in found.items():
            options = [] if name == "exact" else [name]
            command = nsl_tools("build-graph", "-q", *options, path, f"{folder}/g.tsv")
            points.append((n, time_command(command, runs)))
            print(f"{name}: {scaling_row(points)}", flush=True)
    plot(found)


def scaling_row(points: Points) -> str:
    """Return the last of some points as a row of a table: nodes, seconds, slope, memory, slope."""
    n, ours = points[-1]
    cells = [f"{n:,}", f"{ours.median:.1f} s", "", f"{ours.megabytes:,.0f} MB", ""]
    if len(points) > 1:
        before, last = points[-2]
        growth = np.log(n / before)
        cells[2] = f"{np.log(ours.median / last.median) / growth:.1f}"
        cells[4] = f"{np.log(ours.megabytes / last.megabytes) / growth:.1f}"
    return f"| {' | '.join(cells)} |"


def plot(found: dict[str, Points]) -> None:
    """Draw time and memory over size, both logarithmic."""
    from matplotlib import pyplot as plt

    figure, (times, memories) = plt.subplots(1, 2, figsize=(10, 4))
    for name, points in found.items():
        sizes = [n for n, _ in points]
        times.loglog(sizes, [ours.median for _, ours in points], marker="o", label=name)
        memories.loglog(sizes, [ours.megabytes for _, ours in points], marker="o", label=name)
    for axes, what in ((times, "seconds, whole command"), (memories, "peak resident MB")):
        axes.set(xlabel=f"nodes, of {SCALING_WIDTH} dimensions", ylabel=what)
        axes.grid(visible=True, which="both", alpha=0.3)
        axes.legend()
    figure.tight_layout()
    target = Path(__file__).parent.parent / "docs/build_graph_scaling.svg"
    figure.savefig(target, metadata={"Date": None})


def approximate(folder: Path, runs: int, vectors: np.ndarray, peers: list[str]) -> None:
    """Compare `--recall` with peers whose effort is raised until they reach that recall.

    A peer's time is that of building and of its one best search; ours is the whole command.
    """
    path = write_vectors(folder / "e.tfr", "embedding", vectors)
    size = f"{len(vectors):,} x {vectors.shape[1]}"
    commands = {
        recall: nsl_tools(
            "build-graph", "-q", f"--recall={recall}", "--similarity-threshold=-1", path,
            f"{folder}/g.tsv",
        )
        for recall in RECALLS
    }  # fmt: skip
    ours = {recall: time_command(command, runs) for recall, command in commands.items()}
    for recall, timing in ours.items():
        print(f"build-graph --recall {recall} {size}: {timing}", flush=True)
    vectors = unit(vectors).astype(np.float32)
    for name in peers:
        tried = list(by_effort(vectors, *PEERS[name], runs))
        for recall, timing in ours.items():
            enough = [(theirs.median, effort, theirs) for effort, got, theirs in tried
                      if got >= recall]  # fmt: skip
            what = f"build-graph --recall {recall} {size}"
            if enough:
                _, effort, theirs = min(enough)
                print_row(what, timing, f"{name} {effort}", theirs)
            else:
                best = max(got for _, got, _ in tried)
                print(f"{what}: {timing} | {name}: recall {best:.3f} at most", flush=True)


def by_effort(
    vectors: np.ndarray, prepare: Prepare, efforts: tuple[int, ...], runs: int
) -> Iterator[tuple[int, float, Timing]]:
    """Yield for each effort the recall on a sample, and the time, until recall is 0.99."""
    sample = np.random.default_rng(1).choice(len(vectors), 1000, replace=False)
    # The first place is the row itself.
    truth = faiss.knn(vectors[sample], vectors, K + 1, metric=faiss.METRIC_INNER_PRODUCT)[0]
    least = truth[:, -1:] - 1e-6
    start = time.perf_counter()
    search = prepare(vectors)
    prepared = time.perf_counter() - start
    for effort in efforts:
        seconds = []
        while len(seconds) < runs and sum(seconds) < ENOUGH_SECONDS:
            start = time.perf_counter()
            rows = search(effort)
            seconds.append(prepared + time.perf_counter() - start)
        recall = reached(vectors, sample, rows[sample], least)
        print(f"  effort {effort}: recall {recall:.4f}, {Timing(seconds)}", flush=True)
        yield effort, recall, Timing(seconds)
        if recall >= max(RECALLS):
            return


def reached(vectors: np.ndarray, sample: np.ndarray, rows: np.ndarray, least: np.ndarray) -> float:
    """Return recall: how many of K others found reach the last exact one's similarity."""
    similarities = np.einsum("id,ijd->ij", vectors[sample], vectors[rows])
    similarities[(rows == sample[:, np.newaxis]) | (rows < 0)] = -2
    return float(((similarities >= least).sum(axis=1)).clip(max=K).mean() / K)


def hnsw(vectors: np.ndarray) -> Search:
    """Build FAISS HNSW."""
    index = faiss.IndexHNSWFlat(vectors.shape[1], 16, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 40
    index.add(vectors)

    def search(effort: int) -> np.ndarray:
        index.hnsw.efSearch = effort
        return index.search(vectors, K + 1)[1]

    return search


def ivf(vectors: np.ndarray) -> Search:
    """Build FAISS IVF with about sqrt(n) * 2 cells."""
    cells = int(2 * len(vectors) ** 0.5)
    quantizer = faiss.IndexFlatIP(vectors.shape[1])
    index = faiss.IndexIVFFlat(quantizer, vectors.shape[1], cells, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)

    def search(effort: int) -> np.ndarray:
        index.nprobe = effort
        return index.search(vectors, K + 1)[1]

    return search


def nndescent(vectors: np.ndarray) -> Search:
    """Return FAISS NNDescent, whose graph is the answer: searching it would add to its time."""

    def search(effort: int) -> np.ndarray:
        index = faiss.IndexNNDescentFlat(vectors.shape[1], effort, faiss.METRIC_INNER_PRODUCT)
        index.add(vectors)
        return faiss.vector_to_array(index.nndescent.final_graph).reshape(len(vectors), -1)

    return search


def pynndescent(vectors: np.ndarray) -> Search:
    """Return pynndescent's neighbour graph with more and more neighbours."""

    def search(effort: int) -> np.ndarray:
        index = NNDescent(vectors, metric="cosine", n_neighbors=effort, random_state=0)
        return index.neighbor_graph[0]

    return search


PEERS: dict[str, tuple[Prepare, tuple[int, ...]]] = {
    "HNSW": (hnsw, (16, 32, 64, 128, 256)),
    "IVF": (ivf, (4, 8, 16, 32, 64, 128)),
    "NNDescent": (nndescent, (11, 13, 16)),
    "pynndescent": (pynndescent, (11, 13, 15, 16, 17, 20, 25, 30, 33, 36)),
}
PARTS = {"exact": exact, "seeds": seeds, "memory": memory, "nsl": nsl, "scaling": scaling}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=[*PARTS, "approximate"])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--npy", help="vectors for approximate, shape (n, d)")
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=list(PEERS))
    options = parser.parse_args()
    print_machine("faiss-cpu", "numpy", "pyarrow", "pynndescent")
    with tempfile.TemporaryDirectory() as name:
        if options.part == "approximate":
            vectors = np.load(options.npy) if options.npy else clustered(*APPROXIMATE_SIZE)
            NNDescent(np.eye(200, 16, dtype=np.float32), metric="cosine")  # compiles
            approximate(Path(name), options.runs, vectors.astype(np.float32), options.peers)
        else:
            PARTS[options.part](Path(name), options.runs)


if __name__ == "__main__":
    main()
