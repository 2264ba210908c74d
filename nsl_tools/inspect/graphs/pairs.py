"""Which edges a graph has in both directions, and which more than once, within bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.groups import HALF_WORD
from nsl_tools.errors import UsageError
from nsl_tools.memory import shown_size
from nsl_tools.memory_budget import sufficient_for
from nsl_tools.spill.partitions import SpilledPartitions

if TYPE_CHECKING:
    import contextlib

    from nsl_tools.memory_budget import MemoryBudget

Rows = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]


class PairCounts(NamedTuple):
    """What is known of the edges of a graph once all were seen.

    Attributes:
        distinct: edges, each counted once, however often it was given.
        repeated: how often an edge was given again.
        mutual: those of the distinct ones whose reverse is an edge, too; no self-loops.
    """

    distinct: int
    repeated: int
    mutual: int


class EdgePairs:
    """Edges, gathered to be compared with their reverses."""

    partitions = 256

    def __init__(self, memory: MemoryBudget, stack: contextlib.ExitStack) -> None:
        """Keep a share of the memory; `stack` closes the scratch file of what is more."""
        self._memory = memory
        budget = memory.share("spread_edges")
        self._edges = SpilledPartitions(np.uint64, self.partitions, budget, stack)

    def add(self, sources: Rows, targets: Rows) -> None:
        """Add m edges, of nodes below 2^32."""
        lower, upper = np.minimum(sources, targets), np.maximum(sources, targets)
        # An edge and its reverse are in one partition, which differ little in size: hubs have
        # one end, and the other tells where an edge goes.
        parts = (lower * 31 + upper) % self.partitions
        order = np.argsort(parts.astype(np.uint8), kind="stable")
        words = sources.astype(np.uint64) << HALF_WORD | targets.astype(np.uint64)
        self._edges.add(words[order], parts[order])

    def counted(self) -> PairCounts:
        """Return the counts.

        Raises:
            UsageError: the edges of a partition take more memory than there is.
        """
        sizes = self._edges.sizes()
        self._check_size(int(sizes.max()))
        found = [_counted(self._edges.read(i, i + 1)) for i in np.flatnonzero(sizes).tolist()]
        return PairCounts(*np.array(found, np.int64).reshape(-1, 3).sum(axis=0).tolist())

    def _check_size(self, most: int) -> None:
        size = 40 * most  # bytes, while an edge of a partition is sorted with its reverse
        if size > self._memory.bound("sorted_edges"):
            needed = shown_size(sufficient_for(size, "sorted_edges"))
            raise UsageError(
                f"--memory-limit: expected at least {needed} for the edges of this graph, "
                f"received {shown_size(self._memory.limit)}"
            )


def _counted(edges: Words) -> PairCounts:
    distinct = np.sort(edges)
    is_first = np.ones(len(distinct), np.bool_)
    is_first[1:] = distinct[1:] != distinct[:-1]
    distinct = distinct[is_first]
    sources, targets = distinct >> HALF_WORD, distinct & np.uint64((1 << 32) - 1)
    lower, upper = np.minimum(sources, targets), np.maximum(sources, targets)
    pairs = np.sort((lower << HALF_WORD | upper)[lower != upper])
    # An edge and its reverse are one pair, which so comes twice.
    mutual = 2 * int(np.count_nonzero(pairs[1:] == pairs[:-1]))
    return PairCounts(len(distinct), len(edges) - len(distinct), mutual)
