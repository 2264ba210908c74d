"""Random rows whose exact neighbours are known: by them the recall of a search is judged.

A found edge counts if its weight as written reaches that of the last exact
neighbour, so that a tie is no miss. The bound of a recall is in `confidence`.
"""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.arrays.edge_weights import as_written
from nsl_tools.build_graph.search.confidence import Recall, is_promised, recall_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nsl_tools.build_graph.edges import Edges
    from nsl_tools.build_graph.search.confidence import Counts
    from nsl_tools.spill.matrix import Rows


class Sample:
    """Rows, ascending, and the exact edges that leave them.

    Args:
        rows: drawn at random, without replacement, ascending.
        exact: the edges that leave them.
        total: from how many rows they were drawn.
        most: edges that a row may have.

    Attributes:
        rows: those drawn.
        sources: where the edges begin, shape (m,).
        targets: where they end, shape (m,).
    """

    def __init__(self, rows: Rows, exact: Iterable[Edges], total: int, most: int) -> None:
        self.rows, self._share, self._most = rows, len(rows) / total, most
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
        return recall_of(np.minimum(self._wanted, hits), self._wanted, self._most, self._share)

    def promising(self, margins: Counts, least: float) -> int | None:
        """Return the least margin that promises a recall; None if all of them promise less.

        Args:
            margins: by which a search compares the ends of each exact edge, shape (m,), from 0.
            least: the recall that it promises.
        """
        steps = np.unique(np.r_[0, margins])

        def kept(margin: int) -> bool:
            hits = self._counts(self.sources[margins <= margin])
            return is_promised(hits, self._wanted, self._most, self._share, least)

        place = bisect.bisect_left(steps, True, key=kept)
        return int(steps[place]) if place < len(steps) else None
