"""Approximate neighbours with a measured promise.

Rounds of partitions are searched until the recall that is *measured* on random
rows, against the neighbours that FAISS finds by brute force, is surely high
enough. Where that would cost more than comparing all pairs, all pairs are
compared: recall is 1.

A found edge counts if its weight as written reaches that of the last exact
neighbour, so that a tie is no miss.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.weights import as_written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nsl_tools.matrix import Rows
    from nsl_tools.neighbors import Edges, NearestNeighbors
    from nsl_tools.partitions import Partitions

SAMPLE = 1000
LEAST_ROWS = 20_000
"""Below this, all pairs take no longer than a few rounds."""

_NORMAL_QUANTILE = 2.326  # of 0.99
_OVERHEAD = 1.5  # a product in a cell costs more than one in the sweep of all pairs
_BAND = 16
_TILE = 1024
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Recall:
    """Recall as measured on a sample.

    Attributes:
        measured: the share of exact edges found.
        surely: what it is at least, with 99 % confidence.
    """

    measured: float
    surely: float


def estimate(hits: Counts, wanted: Counts, rows: int) -> Recall:
    """Estimate the recall over all `rows` from those sampled, shapes (m,).

    Args:
        hits: exact edges found, for each sampled row.
        wanted: exact edges.
        rows: from how many the sample was drawn, without replacement.
    """
    if not wanted.sum():
        return Recall(1.0, 1.0)
    measured = float(hits.sum() / wanted.sum())
    # One more row that missed all: a sample without a miss does not prove that there is none.
    found, all_ = np.r_[hits, 0], np.r_[wanted, wanted.mean()]
    ratio = found.sum() / all_.sum()
    deviation = float(np.sqrt(np.sum((found - ratio * all_) ** 2) / (len(all_) - 1)))
    error = deviation / all_.mean() / math.sqrt(len(all_)) * math.sqrt(1 - len(hits) / rows)
    return Recall(measured, float(ratio - _NORMAL_QUANTILE * error))


class RecallSearch:
    """Finds neighbours of all rows, as many as `least` promises.

    Args:
        nearest: weighs pairs and chooses the best.
        partitions: finds more from round to round, among the same rows.
        rows: all rows, ascending.
        least: the recall to promise.
        seed: of the sample.
    """

    def __init__(
        self, nearest: NearestNeighbors, partitions: Partitions, rows: Rows, least: float, seed: int
    ) -> None:
        self._nearest = nearest
        self._partitions = partitions
        self._rows = rows
        self._least = least
        random = np.random.default_rng((seed, len(rows)))
        self._sample = np.sort(random.choice(rows, min(SAMPLE, len(rows)), replace=False))

    def run(self) -> Recall | None:
        """Search until the recall is promised; None if comparing all pairs costs less."""
        if len(self._rows) < LEAST_ROWS:
            return None
        lowest, wanted = self._exact()
        budget = len(self._rows) ** 2 / 2 / _OVERHEAD
        missed = 1.0
        while True:
            before = self._partitions.cost
            self._partitions.search()
            recall = estimate(self._hits(lowest, wanted), wanted, len(self._rows))
            if recall.surely >= self._least:
                return recall
            cost = self._partitions.cost - before
            now = 1 - recall.surely
            if cost * _rounds_left(now, missed, 1 - self._least) > budget:
                return None
            missed = now

    def edges(self, queries: Rows) -> Iterator[Edges]:
        """Yield the best edges found for `queries`, ascending."""
        for start in range(0, len(queries), _BAND * _TILE):
            band = queries[start : start + _BAND * _TILE]
            yield from self._nearest.best_of_each(
                self._partitions.pairs(band[i : i + _TILE]) for i in range(0, len(band), _TILE)
            )

    def _exact(self) -> tuple[Counts, Counts]:
        """Return the smallest weight and the number of the exact edges of each sampled row."""
        edges = self._nearest.best(*self._partitions.judged(self._sample))
        places = np.searchsorted(self._sample, edges.sources)
        lowest = np.zeros(len(self._sample), np.int64)
        # Weights fall within a source: the last one written stays.
        lowest[places] = as_written(edges.weights)
        return lowest, np.bincount(places, minlength=len(self._sample))

    def _hits(self, lowest: Counts, wanted: Counts) -> Counts:
        edges = self._nearest.best(*self._partitions.pairs(self._sample))
        places = np.searchsorted(self._sample, edges.sources)
        reached = as_written(edges.weights) >= lowest[places]
        return np.minimum(wanted, np.bincount(places[reached], minlength=len(wanted)))


def _rounds_left(now: float, before: float, allowed: float) -> float:
    """Return how many more rounds it takes if each leaves the same share of the misses."""
    if now >= before:
        return math.inf
    return max(1.0, math.log(allowed / now) / math.log(now / before))
