"""What a search in NSL's buckets takes: small ones are weighed, some of the large ones searched."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.build_graph.search.lsh import buckets_by_round
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from nsl_tools.build_graph.search.exact import NearestNeighbors
    from nsl_tools.options import BuildGraphOptions


@dataclass(frozen=True)
class BucketSearch:
    """What it takes, of the rows that are known.

    Attributes:
        seconds: to find the buckets, and to search the large ones.
        products: of two rows of one bucket.
        weighing: seconds for the pairs of small buckets, in both directions.
    """

    seconds: float
    products: float
    weighing: float


def bucket_search(nearest: NearestNeighbors, options: BuildGraphOptions) -> BucketSearch:
    """Return what a search in buckets takes, by searching some of them."""
    start = time.perf_counter()
    rounds = list(buckets_by_round(nearest.embeddings, options))
    finding = time.perf_counter() - start
    sizes = np.concatenate([np.diff(bounds) for _, bounds in rounds]).astype(np.float64)
    large = sizes > TUNING.small_bucket
    searching = 0.0
    if large.any():
        searching = _seconds_of_large(nearest, *rounds[0]) * float(_cost(sizes[large]).sum())
    pairs = float((sizes[~large] ** 2).sum())
    seconds = _seconds_of_pair(nearest) * pairs / nearest.workers.count
    return BucketSearch(finding + searching, float((sizes**2).sum()) / 2, seconds)


def _seconds_of_pair(nearest: NearestNeighbors) -> float:
    """Return how long it takes one thread to weigh a pair, of many."""
    count = len(nearest.embeddings.norms)
    rows = np.arange(min(count, 512))
    sources, targets = np.repeat(rows, 128), np.random.default_rng(0).integers(0, count, 128)
    start = time.perf_counter()
    nearest.weigher.best(sources, np.tile(targets, len(rows)))
    return (time.perf_counter() - start) / max(1, len(sources))


def _seconds_of_large(
    nearest: NearestNeighbors, order: npt.NDArray[np.int64], bounds: npt.NDArray[np.int64]
) -> float:
    """Return how long searching large buckets takes, by their cost."""
    sizes = np.diff(bounds)
    large = np.random.default_rng(0).permutation(np.flatnonzero(sizes > TUNING.small_bucket))
    enough, cost, start = 0.3, 0.0, time.perf_counter()  # seconds
    for bucket in large.tolist():
        members = order[bounds[bucket] : bounds[bucket + 1]]
        for _ in nearest.edges(members, members):
            pass
        cost += float(_cost(np.float64(len(members))))
        if time.perf_counter() - start > enough:
            break
    return (time.perf_counter() - start) / max(1.0, cost)


def _cost(sizes: npt.NDArray[np.float64] | np.float64) -> npt.NDArray[np.float64]:
    """Return the cost of buckets: pairs, and as many as take as long as to begin with a bucket."""
    beginning = 1e5
    return np.asarray(sizes**2 + beginning)
