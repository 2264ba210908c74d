"""Time build-graph, the whole command, against its peers in one run.

    pip install -e '.[bench]'
    python scripts/bench_graph.py exact        # also: seeds, approximate, memory, nsl, scaling
    python scripts/bench_graph.py approximate --npy vectors.npy

Peers work on the matrix already in memory: FAISS (exact, IVF, HNSW), pynndescent. NSL
1.4 is the whole process. "products" is what BLAS takes for the products that the
graph needs (each pair once), and nothing else.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

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
NSL_SIZE = (5_000, 100)
SEEDS_SIZE = (200_000, 128)
MEMORY_SIZE = (200_000, 200)
SCALING_SIZES = (10_000, 20_000, 50_000, 100_000, 200_000, 400_000, 1_000_000)
SCALING_WIDTH = 128
SCALING_EXACT = 200_000
TILE = 1024
HNSW_EFFORTS = (16, 32, 64, 128, 256)
IVF_PROBES = (4, 8, 16, 32, 64, 128)
EPSILONS = (0.05, 0.1, 0.2, 0.3)


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
    n, d = NSL_SIZE
    path = write_vectors(folder / "e.tfr", "embedding", clustered(n, d))
    ours = time_command(nsl_tools("build-graph", "-q", "-k", "all", path, f"{folder}/g.tsv"), runs)
    theirs = time_command(nsl_original("build.build_graph", [path], f"{folder}/n.tsv"), 1)
    print_row(f"build-graph -k all {n:,} x {d}", ours, "NSL 1.4", theirs)


def scaling(folder: Path, runs: int) -> None:
    """Time growing graphs, exact and approximate; plot them into docs/."""
    found: dict[str, list[tuple[int, float]]] = {"exact": [], "--recall=0.95": []}
    for n in SCALING_SIZES:
        path = write_vectors(folder / "e.tfr", "embedding", clustered(n, SCALING_WIDTH))
        for name, points in found.items():
            if name == "exact" and n > SCALING_EXACT:
                continue
            options = [] if name == "exact" else [name]
            command = nsl_tools("build-graph", "-q", *options, path, f"{folder}/g.tsv")
            ours = time_command(command, runs)
            slope = ""
            if points:
                power = np.log(ours.median / points[-1][1]) / np.log(n / points[-1][0])
                slope = f", slope {power:.2f}"
            points.append((n, ours.median))
            print(f"build-graph {name} {n:,} x {SCALING_WIDTH}: {ours}{slope}", flush=True)
    plot(found)


def plot(found: dict[str, list[tuple[int, float]]]) -> None:
    """Draw time over size, both logarithmic."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4))
    for name, points in found.items():
        axes.loglog(*zip(*points, strict=True), marker="o", label=name)
    axes.set(xlabel=f"nodes, of {SCALING_WIDTH} dimensions", ylabel="seconds, whole command")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    target = Path(__file__).parent.parent / "docs/build_graph_scaling.svg"
    figure.savefig(target, metadata={"Date": None})


def approximate(folder: Path, runs: int, vectors: np.ndarray, peers: list[str]) -> None:
    """Compare `--recall` with peers whose effort is raised until they reach that recall.

    A peer's time is that of building and of its one best search; ours is the whole command.
    """
    path = write_vectors(folder / "e.tfr", "embedding", vectors)
    vectors = unit(vectors).astype(np.float32)
    sample = np.random.default_rng(1).choice(len(vectors), 1000, replace=False)
    truth = faiss.knn(vectors[sample], vectors, K + 1, metric=faiss.METRIC_INNER_PRODUCT)[0]
    found = {name: list(PEERS[name](vectors, sample, truth[:, -1])) for name in peers}
    for recall in (0.95, 0.99):
        options = ["-q", f"--recall={recall}", "--similarity-threshold=-1"]
        ours = time_command(nsl_tools("build-graph", *options, path, f"{folder}/g.tsv"), runs)
        what = f"build-graph --recall {recall} {len(vectors):,} x {vectors.shape[1]}"
        for name, tried in found.items():
            enough = [(seconds, effort) for effort, got, seconds in tried if got >= recall]
            if enough:
                seconds, effort = min(enough)
                print_row(what, ours, f"{name} {effort}", Timing([seconds]))
            else:
                best = max(got for _, got, _ in tried)
                print(f"{what}: {ours} | {name}: recall {best:.3f} at most")


Tried = "Iterator[tuple[str, float, float]]"


def reached(similarities: np.ndarray, sample: np.ndarray, least: np.ndarray) -> float:
    """Return recall on a sample: how many of the found reach the last exact one (self counted)."""
    enough = similarities[sample] >= least[:, np.newaxis] - 1e-6
    return float(enough.sum() / (len(sample) * (K + 1)))


def by_effort(
    name: str, efforts: tuple[int, ...], built: float, search: Callable[[int], np.ndarray]
) -> Iterator[tuple[str, np.ndarray, float]]:
    """Yield for each effort its name, the similarities found, and seconds with building."""
    for effort in efforts:
        start = time.perf_counter()
        similarities = search(effort)
        yield f"{name}={effort}", similarities, built + time.perf_counter() - start


def hnsw(vectors: np.ndarray, sample: np.ndarray, least: np.ndarray) -> Tried:
    """Try FAISS HNSW."""
    index = faiss.IndexHNSWFlat(vectors.shape[1], 16, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 40
    start = time.perf_counter()
    index.add(vectors)
    built = time.perf_counter() - start

    def search(effort: int) -> np.ndarray:
        index.hnsw.efSearch = effort
        return index.search(vectors, K + 1)[0]

    yield from _until_99(by_effort("efSearch", HNSW_EFFORTS, built, search), sample, least)


def ivf(vectors: np.ndarray, sample: np.ndarray, least: np.ndarray) -> Tried:
    """Try FAISS IVF with about sqrt(n) * 2 cells."""
    cells = int(2 * len(vectors) ** 0.5)
    quantizer = faiss.IndexFlatIP(vectors.shape[1])
    index = faiss.IndexIVFFlat(quantizer, vectors.shape[1], cells, faiss.METRIC_INNER_PRODUCT)
    start = time.perf_counter()
    index.train(vectors)
    index.add(vectors)
    built = time.perf_counter() - start

    def search(effort: int) -> np.ndarray:
        index.nprobe = effort
        return index.search(vectors, K + 1)[0]

    yield from _until_99(by_effort("nprobe", IVF_PROBES, built, search), sample, least)


def pynndescent(vectors: np.ndarray, sample: np.ndarray, least: np.ndarray) -> Tried:
    """Try pynndescent's neighbour graph with more and more neighbours."""
    small = vectors[:2000]
    NNDescent(small, metric="cosine", n_neighbors=K + 1)  # compiles

    def search(effort: int) -> np.ndarray:
        index = NNDescent(vectors, metric="cosine", n_neighbors=effort, random_state=0)
        return 1 - index.neighbor_graph[1][:, : K + 1]

    yield from _until_99(by_effort("n_neighbors", (11, 20, 30), 0.0, search), sample, least)


def _until_99(found: Iterator, sample: np.ndarray, least: np.ndarray) -> Tried:
    for effort, similarities, seconds in found:
        recall = reached(similarities, sample, least)
        yield effort, recall, seconds
        if recall >= 0.99:
            return


PEERS = {"HNSW": hnsw, "IVF": ivf, "pynndescent": pynndescent}
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
            vectors = np.load(options.npy) if options.npy else clustered(200_000, 128)
            approximate(Path(name), options.runs, vectors.astype(np.float32), options.peers)
        else:
            PARTS[options.part](Path(name), options.runs)


if __name__ == "__main__":
    main()
