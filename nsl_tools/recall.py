"""Approximate neighbours with a measured promise.

Rows are compared with more and more cells until the recall that is *measured* on
random rows, against their exact neighbours, is surely high enough. Where that would
cost more than comparing all pairs, all pairs are compared: recall is 1.

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
    from collections.abc import Callable, Iterator

    from nsl_tools.matrix import Rows
    from nsl_tools.neighbors import Edges, NearestNeighbors

_SAMPLE = 100  # rows, if all were allowed to miss; more where few are
LEAST_ROWS = 20_000
"""Below this, all pairs take no longer."""

_NORMAL_QUANTILE = 2.326  # of 0.99
_OVERHEAD = 1.5  # a product in a cell costs more than one in the sweep of all pairs
_FIRST_VISITS = 2.0
_POWER = 1.8  # of the cells visited, by which misses fall: a guess, until it is measured
_HASTE = 1.3  # misses fall faster the more cells are visited
_SURPLUS = 1.05
_HOPE = 1.5
_MOST_GROWTH = 4.0
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


def promised(
    nearest: NearestNeighbors, rows: Rows, least: float, seed: int
) -> tuple[Recall, Callable[[Rows], Iterator[Edges]]] | None:
    """Return an approximate search and its recall, at least `least`; None if exact is as fast.

    See `RecallSearch`; the search is its `edges`.
    """
    if len(rows) < LEAST_ROWS:
        return None
    search = RecallSearch(nearest, rows, least, seed)
    recall = search.run()
    return None if recall is None else (recall, search.edges)


class RecallSearch:
    """Finds neighbours of all rows, as many as `least` promises.

    Args:
        nearest: weighs pairs and chooses the best.
        rows: all rows, ascending.
        least: the recall to promise.
        seed: of the sample and of the cells.
    """

    def __init__(self, nearest: NearestNeighbors, rows: Rows, least: float, seed: int) -> None:
        self._nearest = nearest
        self._rows = rows
        self._least = least
        self._cells = nearest.cells(rows, seed)
        random = np.random.default_rng((seed, len(rows)))
        self._sample = np.sort(random.choice(rows, _sample_size(least, len(rows)), replace=False))

    def run(self) -> Recall | None:
        """Search until the recall is promised; None if comparing all pairs costs less."""
        lowest, wanted = self._exact()
        budget = len(self._rows) ** 2 / 2 / _OVERHEAD
        steps: list[_Step] = []
        visits = _FIRST_VISITS
        while True:
            self._cells.search(visits)
            recall = estimate(self._hits(lowest, wanted), wanted, len(self._rows))
            if recall.surely >= self._least:
                return recall
            steps.append(_Step(self._cells.visited, (1 - recall.surely) / (1 - self._least)))
            if self._cells.cost * _growth(steps, _HOPE) > budget:
                return None
            growth = _SURPLUS * _growth(steps, _HASTE)
            visits = self._cells.visited * min(_MOST_GROWTH, max(1.1, growth))

    def edges(self, queries: Rows) -> Iterator[Edges]:
        """Return the best edges found for `queries`, ascending."""
        queries = np.intersect1d(queries, self._rows, assume_unique=True)
        self._cells.weigh(queries, self._nearest.weigh)
        tiles = (queries[start : start + _TILE] for start in range(0, len(queries), _TILE))
        return self._nearest.choose_of_each(map(self._cells.weighed, tiles))

    def _exact(self) -> tuple[Counts, Counts]:
        """Return the smallest weight and the number of the exact edges of each sampled row."""
        lowest = np.zeros(len(self._sample), np.int64)
        wanted = np.zeros(len(self._sample), np.int64)
        for edges in self._nearest.edges(self._sample, self._rows):
            places = np.searchsorted(self._sample, edges.sources)
            # Weights fall within a source: the last one written stays.
            lowest[places] = as_written(edges.weights)
            wanted += np.bincount(places, minlength=len(wanted))
        return lowest, wanted

    def _hits(self, lowest: Counts, wanted: Counts) -> Counts:
        edges = self._nearest.best(*self._cells.pairs(self._sample))
        places = np.searchsorted(self._sample, edges.sources)
        reached = as_written(edges.weights) >= lowest[places]
        return np.minimum(wanted, np.bincount(places[reached], minlength=len(wanted)))


def _sample_size(least: float, rows: int) -> int:
    """Return how many rows to judge by: doubt is to be in proportion to the misses allowed."""
    return min(rows, round(_SAMPLE / math.sqrt(1 - least)))


@dataclass(frozen=True)
class _Step:
    """How many times too many edges were missed once each row had visited so many cells."""

    visited: float
    missed: float


def _growth(steps: list[_Step], hope: float) -> float:
    """Return how many times the cells visited by now it takes to miss no more than allowed.

    Misses fall as a power of the cells visited: that between the last two steps, times `hope`.
    """
    power, now = _POWER, steps[-1]
    if len(steps) > 1:
        before = steps[-2]
        if now.visited == before.visited or now.missed >= before.missed:
            return math.inf
        power = math.log(before.missed / now.missed) / math.log(now.visited / before.visited)
    return float(now.missed ** (1 / (hope * power)))
