"""The best out-edges of each seed, from edges in any order.

Largest weight first, ties to the larger id (compared as bytes, which is the
order of its code points); an edge given several times keeps its largest weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nsl_tools.groups import rank_in_group

_PENDING = 1 << 22


@dataclass(frozen=True)
class Neighborhoods:
    """The neighbours of each of s seeds, in CSR form, by rank.

    Attributes:
        bounds: shape (s + 1,), int64: seed `i` has edges `bounds[i]` to `bounds[i + 1]`.
        targets: node rows, shape (edges,), int64.
        weights: shape (edges,), float32, as packed.
    """

    bounds: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]

    def max_degree(self) -> int:
        """Return the largest number of neighbours of any seed."""
        return int(np.diff(self.bounds).max(initial=0))


class TopEdges:
    """Collects edges and keeps the best, in memory proportional to what is kept."""

    def __init__(self, seeds: int, id_ranks: npt.NDArray[np.int64], limit: int | None) -> None:
        """Keep `limit` edges (None: all) of each of `seeds` seeds.

        `id_ranks`, shape (nodes,), is the place of each node's id in sorted order.
        """
        self._seeds = seeds
        self._id_ranks = id_ranks
        self._limit = limit
        self._sources = [np.empty(0, np.int64)]
        self._targets = [np.empty(0, np.int64)]
        self._weights = [np.empty(0, np.float64)]
        self._pending = 0

    def add(
        self,
        sources: npt.NDArray[np.int64],
        targets: npt.NDArray[np.int64],
        weights: npt.NDArray[np.float64],
    ) -> None:
        """Add m edges, from seed rows to node rows."""
        self._sources.append(sources)
        self._targets.append(targets)
        self._weights.append(weights)
        self._pending += len(sources)
        if self._pending > max(_PENDING, len(self._sources[0])):
            self._compact()

    def _compact(self) -> None:
        sources = np.concatenate(self._sources)
        targets = np.concatenate(self._targets)
        weights = np.concatenate(self._weights)
        order = np.lexsort((-self._id_ranks[targets], -weights, sources))
        order = order[_first_of_each(sources[order], targets[order])]
        if self._limit is not None:
            order = order[rank_in_group(sources[order]) < self._limit]
        self._sources, self._targets = [sources[order]], [targets[order]]
        self._weights = [weights[order]]
        self._pending = 0

    def neighborhoods(self) -> Neighborhoods:
        """Return what was kept."""
        self._compact()
        bounds = np.searchsorted(self._sources[0], np.arange(self._seeds + 1))
        return Neighborhoods(bounds, self._targets[0], self._weights[0].astype(np.float32))


def _first_of_each(
    sources: npt.NDArray[np.int64], targets: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Tell for each of m pairs whether no equal pair comes before it."""
    order = np.lexsort((targets, sources))
    repeated = (np.diff(sources[order]) == 0) & (np.diff(targets[order]) == 0)
    first = np.ones(len(sources), np.bool_)
    first[order[1:][repeated]] = False
    return first
