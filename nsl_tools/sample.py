"""Random rows whose exact neighbours are known: by them the recall of a search is judged.

A found edge counts if its weight as written reaches that of the last exact
neighbour, so that a tie is no miss.
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.weights import as_written

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nsl_tools.matrix import Rows
    from nsl_tools.neighbors import Edges

_NORMAL_QUANTILE = 2.326  # of 0.99
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


class Sample:
    """Rows, ascending, drawn from `total`, and the exact edges that leave them.

    Attributes:
        sources: where the edges begin, shape (m,).
        targets: where they end, shape (m,).
    """

    def __init__(self, rows: Rows, exact: Iterable[Edges], total: int) -> None:
        self.rows, self._total = rows, total
        edges = [(part.sources, part.targets, as_written(part.weights)) for part in exact]
        none = np.empty(0, np.int64)
        self.sources, self.targets, weights = map(
            np.concatenate, zip((none, none, none), *edges, strict=True)
        )
        self._wanted = self._counts(self.sources)
        self._lowest = np.zeros(len(rows), np.int64)
        # Weights fall within a source: the last one written stays.
        self._lowest[np.searchsorted(rows, self.sources)] = weights

    def _counts(self, sources: Rows) -> Counts:
        return np.bincount(np.searchsorted(self.rows, sources), minlength=len(self.rows))

    def recall(self, found: Edges) -> Recall:
        """Return the recall of what a search has found for these rows."""
        lowest = self._lowest[np.searchsorted(self.rows, found.sources)]
        hits = self._counts(found.sources[as_written(found.weights) >= lowest])
        return estimate(np.minimum(self._wanted, hits), self._wanted, self._total)

    def promising(self, margins: Counts, least: float) -> int | None:
        """Return the least margin that promises a recall; None if all of them promise less.

        Args:
            margins: at which the ends of each exact edge meet, shape (m,), from 0.
            least: the recall that it promises.
        """
        steps = np.unique(np.r_[0, margins])

        def kept(margin: int) -> bool:
            hits = self._counts(self.sources[margins <= margin])
            return estimate(hits, self._wanted, self._total).surely >= least

        place = bisect.bisect_left(steps, True, key=kept)
        return int(steps[place]) if place < len(steps) else None
