"""The best out-edges of each seed, from edges in any order.

Largest weight first, ties to the larger id (compared as bytes, which is the
order of its code points); an edge given several times keeps its largest weight.

Edges are collected up to a memory budget, then cut to the best of each seed. What is still
too much is spilled as a run, sorted by seed. At the end the runs are merged, some seeds at a
time.

Most graphs have the edges of a source together, and many have the sources in the order of the
examples. As long as that is so, edges are cut to the best as they come, in arrays that stay in
the processor's cache.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.groups import HALF_WORD, rank_in_group
from nsl_tools.arrays.ranking import RANKING_BYTES, rank_edges
from nsl_tools.spill.partitions import Records, SpilledPartitions, group_partitions
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Iterator

    Rows = npt.NDArray[np.int64]

EDGE = np.dtype([("weight", "<f8"), ("source", "<u4"), ("target", "<u4")])


class TopEdges:
    """Collects edges and keeps the best."""

    def __init__(
        self,
        nodes: int,
        limit: int | None,
        order: Callable[[Rows], Rows],
        budget: float,
        stack: contextlib.ExitStack,
        id_bytes: float = 0,
        check: Callable[[Records], None] = lambda _: None,
    ) -> None:
        """Keep `limit` edges (None: all) of each seed.

        Args:
            nodes: rows there are.
            limit: edges to keep of each seed, None for all.
            order: returns for rows, shape (m,), numbers that order their ids.
            budget: bytes of memory to use.
            stack: closes the scratch file.
            id_bytes: how long ids are on average, which `order` looks at.
            check: raises an error if edges of one seed are too many to be cut to the best.
        """
        self._check = check
        self._limit = limit
        self._order = order
        partitions = max(1, min(1024, nodes))
        self._width = -(-nodes // partitions) or 1
        self._spilled = SpilledPartitions(EDGE, partitions, budget / 4, stack)
        # Long ids that decide between edges of one weight are there once, and a little more.
        per_edge = RANKING_BYTES + 1.1 * id_bytes
        least = TUNING.least_edges * RANKING_BYTES / per_edge
        most_id_bytes = 1 << 30  # well below what one array of texts holds
        most = min(TUNING.most_edges, most_id_bytes / max(1.0, id_bytes))
        self._most = max(1, int(np.clip(budget / per_edge, min(least, most), most)))
        self._pending = [np.empty(0, EDGE)]
        self._count = 0
        # With more nodes, ids that decide between equal weights are compared for all edges at once.
        few_nodes = 1 << 20
        self._ascending = nodes <= few_nodes
        self._open = np.empty(0, EDGE)

    @property
    def described(self) -> str:
        """Where edges waited so far, in words."""
        return "by way of scratch files" if self._spilled.spilled else "in memory"

    def add(self, sources: Rows, targets: Rows, weights: npt.NDArray[np.float64]) -> None:
        """Add m edges, from seed rows to node rows."""
        edges = np.empty(len(sources), EDGE)
        edges["source"], edges["target"], edges["weight"] = sources, targets, weights
        if self._ascending:
            edges = self._closed(np.concatenate([self._open, edges]))
        self._pending.append(edges)
        self._count += len(edges)
        if self._count > self._most:
            self._compact()
            if self._count > self._most // 2:
                self._spill()

    def _closed(self, edges: Records) -> Records:
        """Return the best edges of all sources but the last, which is still open; or all edges.

        All, if sources do not ascend, or if the last one has too many to keep it open.
        """
        sources = edges["source"]
        end = int(np.searchsorted(sources, sources[-1])) if len(edges) else 0
        few = len(edges) - end <= TUNING.open_edges
        self._ascending = few and bool((sources[1:] >= sources[:-1]).all())
        self._open = edges[end if self._ascending else len(edges) :].copy()
        return self._best(edges[:end]) if self._ascending else edges

    def _compact(self) -> None:
        edges = np.concatenate([*self._pending, self._open])
        self._pending, self._open = [self._best(edges)], edges[:0]
        self._count = len(self._pending[0])
        self._ascending = False

    def _spill(self) -> None:
        (edges,) = self._pending
        self._spilled.add(edges, edges["source"] // self._width)
        self._pending, self._count = [np.empty(0, EDGE)], 0

    def best(self) -> Iterator[Records]:
        """Yield the edges kept, by seed and rank, some whole seeds at a time."""
        if self._ascending:
            yield np.concatenate([*self._pending, self._best(self._open)])
            return
        self._compact()
        if not self._spilled.sizes().any():
            yield from self._pending
            return
        self._spill()
        for partitions in group_partitions(self._spilled.sizes(), self._most):
            edges = self._spilled.read(partitions.start, partitions.stop)
            yield from map(self._best, self._parts(edges))

    def _parts(self, edges: Records) -> Iterator[Records]:
        """Yield edges by source, at most as many as may wait, or those of one source."""
        if len(edges) <= self._most:
            yield edges
            return
        edges = edges.take(np.argsort(edges["source"], kind="stable"))
        firsts = np.flatnonzero(np.diff(edges["source"], prepend=-1))
        ends = np.append(firsts[1:], len(edges))
        part = (ends - 1) // self._most
        cuts = firsts[1:][np.diff(part) > 0].tolist()
        for start, end in pairwise([0, *cuts, len(edges)]):
            if end - start > self._most:
                self._check(edges[start:end])
            yield edges[start:end]

    def _best(self, edges: Records) -> Records:
        edges = _without_repeats(edges)
        order = rank_edges(
            edges["source"],
            edges["weight"],
            lambda places: self._order(edges["target"][places].astype(np.int64)),
        )
        edges = edges.take(order)
        if self._limit is None:
            return edges
        return edges.take(np.flatnonzero(rank_in_group(edges["source"]) < self._limit))


def _without_repeats(edges: Records) -> Records:
    """Keep the largest weight of each pair of source and target."""
    pairs = edges["source"].astype(np.uint64) << HALF_WORD | edges["target"]
    ordered = np.sort(pairs)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(repeated):
        return edges
    places = np.minimum(np.searchsorted(repeated, pairs), len(repeated) - 1)
    members = np.flatnonzero(repeated[places] == pairs)
    weights = edges["weight"][members]
    # 0.0 before -0.0, which is equal to it, so that the order of edges makes no difference.
    order = members[np.lexsort((np.signbit(weights), -weights, pairs[members]))]
    again = order[1:][pairs[order[1:]] == pairs[order[:-1]]]
    kept = np.ones(len(edges), np.bool_)
    kept[again] = False
    return edges.take(np.flatnonzero(kept))
