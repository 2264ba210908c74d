"""Hold the promise of `--recall` against the truth, on data that is hard to judge by a sample.

For each kind of data, similarity threshold and promise, graphs of many seeds are built and
compared with all pairs in float64: how often is the true share of edges below the promise?
With 99 % confidence that is seldom more than 3 times in 100.

    .venv/bin/python scripts/check_recall.py --seeds 100
"""

from __future__ import annotations

import argparse
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from threadpoolctl import threadpool_limits

from nsl_tools.arrays.cosines import norms_of
from nsl_tools.arrays.edge_weights import MICRO
from nsl_tools.build_graph.embeddings import Embeddings
from nsl_tools.build_graph.search.exact import NearestNeighbors
from nsl_tools.build_graph.search.recall import promised
from nsl_tools.build_graph.weigher import EdgeWeigher, IdRanks
from nsl_tools.spill.matrix import MatrixStore
from nsl_tools.statistics import Statistics
from nsl_tools.threads import workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Floats = npt.NDArray[np.float32]
Random = np.random.Generator

NODES, DIMENSION, K = 24_000, 32, 10
SPARSE = 96  # dimensions in which random vectors are seldom near each other
MEMORY = 1 << 28
BLOCK = 1000


def noise(random: Random, rows: int, dimension: int = DIMENSION) -> Floats:
    """Return vectors of all directions."""
    return random.normal(size=(rows, dimension)).astype(np.float32)


def near(random: Random, centers: Floats, cosine: float) -> Floats:
    """Return for each vector one whose cosine with it is about `cosine`."""
    unit = centers / np.linalg.norm(centers, axis=1, keepdims=True)
    other = noise(random, *centers.shape)
    other -= unit * (unit * other).sum(axis=1, keepdims=True)
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    return np.asarray(cosine * unit + np.sqrt(1 - cosine**2) * other, np.float32)


def planted(pairs: int, cosine: float, random: Random) -> Floats:
    """Return noise, and `pairs` pairs of a cosine."""
    vectors = noise(random, NODES, SPARSE)
    vectors[-pairs:] = near(random, vectors[:pairs], cosine)
    return vectors


def clusters(sizes: Callable[[Random], npt.NDArray[np.int64]], random: Random) -> Floats:
    """Return clusters of varying tightness, of sizes that are drawn, up to all nodes."""
    cuts = np.cumsum(sizes(random))
    homes = np.searchsorted(cuts, np.arange(NODES) % cuts[-1], side="right")
    cosines = random.uniform(0.85, 0.99, size=len(cuts))[homes]
    return near(random, noise(random, len(cuts))[homes], cosines[:, np.newaxis])


def tiny_sizes(random: Random) -> npt.NDArray[np.int64]:
    """Return cluster sizes of 1 to 5."""
    return random.integers(1, 6, size=NODES)


def heavy_tailed_sizes(random: Random) -> npt.NDArray[np.int64]:
    """Return cluster sizes of which most are 1 and a few are hundreds."""
    return np.minimum(random.zipf(1.7, size=NODES), NODES // 4)


def duplicates(random: Random) -> Floats:
    """Return vectors that occur once, twice, or many times."""
    times = np.minimum(random.zipf(1.6, size=NODES), 300)
    return np.repeat(noise(random, NODES), times, axis=0)[:NODES]


def dense_in_noise(random: Random) -> Floats:
    """Return noise, and 40 dense clusters that are a fiftieth of all."""
    vectors = noise(random, NODES)
    homes = random.integers(0, 40, size=NODES // 50)
    vectors[: len(homes)] = near(random, noise(random, 40)[homes], 0.95)
    return vectors


@dataclass(frozen=True)
class Kind:
    """A kind of data: how to make it, and with which thresholds to search it."""

    make: Callable[[Random], Floats]
    thresholds: tuple[float, ...] = (0.8, -1.0)


KINDS = {
    **{
        f"{pairs} pairs at {cosine + 0.02:.2f}": Kind(
            partial(planted, pairs, cosine + 0.02), (cosine,)
        )
        for cosine in (0.8, 0.5)
        for pairs in (30, 300, 3000)
    },
    "tiny clusters": Kind(partial(clusters, tiny_sizes)),
    "heavy tails": Kind(partial(clusters, heavy_tailed_sizes)),
    "duplicates": Kind(duplicates),
    "dense in noise": Kind(dense_in_noise),
}


def nearest_of_all(vectors: Floats) -> npt.NDArray[np.int64]:
    """Return the cosines of each row's `K` nearest in millionths, falling: all pairs, float64."""
    wide = vectors.astype(np.float64)
    unit = wide / np.linalg.norm(wide, axis=1, keepdims=True)
    found = np.empty((len(unit), K), np.int64)
    for start in range(0, len(unit), BLOCK):
        cosines = unit[start : start + BLOCK] @ unit.T
        rows = np.arange(len(cosines))
        cosines[rows, start + rows] = -2
        best = np.sort(np.partition(cosines, -K, axis=1)[:, -K:], axis=1)[:, ::-1]
        found[start : start + BLOCK] = np.rint(best * MICRO)
    return found


def share_found(
    vectors: Floats, best: npt.NDArray[np.int64], threshold: float, promise: float, seed: int
) -> tuple[float, bool]:
    """Return the true recall of an approximate graph, and whether all pairs were compared."""
    ids = pa.array([b"%d" % i for i in range(len(vectors))], pa.binary())
    nodes = Embeddings(ids, vectors, norms_of(vectors))
    wanted = np.count_nonzero(best >= round(threshold * MICRO), axis=1)
    if not wanted.any():
        return 1.0, True
    with MatrixStore(MEMORY) as store, workers(1) as pool:
        nearest = NearestNeighbors(
            EdgeWeigher(nodes, K, threshold, IdRanks(nodes.ids)), pool, store
        )
        rows = np.arange(len(vectors))
        search = promised(nearest, rows, promise, seed, Statistics())
        if search is None:
            return 1.0, True
        # An ulp of float64 may tip a millionth: a tie in that is as good.
        least = best[rows, np.maximum(wanted, 1) - 1] - 1
        hits = np.zeros(len(vectors), np.int64)
        for edges in search.edges(rows):
            weights = np.rint(edges.weights * MICRO)
            hits += np.bincount(
                edges.sources[weights >= least[edges.sources]], minlength=len(vectors)
            )
    return float(np.minimum(hits, wanted).sum() / wanted.sum()), False


def measure(
    name: str, promises: tuple[float, ...], seed: int
) -> list[tuple[float, float, float, bool]]:
    """Return threshold, promise, true recall, and whether all pairs were compared."""
    kind = KINDS[name]
    with threadpool_limits(1):
        vectors = kind.make(np.random.default_rng((seed, len(name))))
        best = nearest_of_all(vectors)
        return [
            (threshold, promise, *share_found(vectors, best, threshold, promise, seed))
            for threshold in kind.thresholds
            for promise in promises
        ]


def measured(names: list[str], promises: tuple[float, ...], seeds: int, jobs: int) -> Iterator[str]:
    """Yield a line for each kind, threshold and promise."""
    with ProcessPoolExecutor(jobs) as pool:
        for name in names:
            below: Counter[tuple[float, float]] = Counter()
            whole: Counter[tuple[float, float]] = Counter()
            lowest: dict[tuple[float, float], float] = {}
            for results in pool.map(partial(measure, name, promises), range(seeds)):
                for threshold, promise, share, exact in results:
                    key = threshold, promise
                    below[key] += share < promise
                    whole[key] += exact
                    lowest[key] = min(share, lowest.get(key, 1.0))
            for (threshold, promise), least in lowest.items():
                key = threshold, promise
                shown = "none" if threshold < 0 else f"{threshold}"
                yield (
                    f"| {name} | {shown} | {promise} | {below[key]} | {least:.4f} | {whole[key]} |"
                )


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--promises", nargs="*", type=float, default=[0.9, 0.95, 0.99])
    given = parser.parse_args()
    print(f"{NODES:,} nodes of {DIMENSION} dimensions, k = {K}, {given.seeds} seeds\n")
    print("| data | threshold | promise | below it | lowest recall | all pairs compared |")
    print("|---|---|---|---|---|---|")
    for line in measured(given.kinds, tuple(given.promises), given.seeds, given.jobs):
        print(line, flush=True)


if __name__ == "__main__":
    main()
