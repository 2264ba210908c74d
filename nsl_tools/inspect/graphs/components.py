"""Connected components of a graph whose edges come one batch after the other.

A forest of nodes: each points to itself, or to one with a smaller number in its component.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]


class Components:
    """The nodes that edges connect, whatever the direction of these."""

    BYTES = 4  # of a node

    def __init__(self) -> None:
        self._parents = np.empty(0, np.uint32)

    def add(self, sources: Rows, targets: Rows, count: int) -> None:
        """Connect both ends of m edges between the first `count` nodes; `count` never falls."""
        self._grow(count)
        left, right = self._roots(sources), self._roots(targets)
        while len(apart := np.flatnonzero(left != right)):
            left, right = left[apart], right[apart]
            upper = np.maximum(left, right)
            # Of several lower ends one stays; the others are connected by the next round.
            self._parents[upper] = np.minimum(left, right)
            self._flatten(upper)
            left, right = self._roots(left), self._roots(right)

    def _grow(self, count: int) -> None:
        if count > len(self._parents):
            new = np.arange(len(self._parents), count, dtype=np.uint32)
            self._parents = np.concatenate([self._parents, new])

    def _roots(self, nodes: Rows | npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
        """Return where the way up from each of some nodes ends; shorten these ways."""
        found = self._parents[nodes]
        while not np.array_equal(above := self._parents[found], found):
            self._parents[nodes] = found = above
        return found

    def _flatten(self, nodes: npt.NDArray[np.uint32]) -> None:
        """Let nodes point to roots, if the ways up from them lead through such nodes alone."""
        found = self._parents[nodes]
        # Each round halves the ways, where going up one by one would take as many as there are.
        while not np.array_equal(above := self._parents[found], found):
            self._parents[nodes] = found = above

    def sizes(self, count: int) -> Rows:
        """Return how many of the first `count` nodes each component has, falling.

        A node without an edge is one of its own.
        """
        self._grow(count)
        every = np.arange(count, dtype=np.uint32)
        self._flatten(every)
        sizes = np.bincount(self._parents[:count], minlength=count)
        return np.sort(sizes[sizes > 0])[::-1]
