"""The edges of a graph as a symmetric matrix, by row, in memory or in a scratch file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.errors import UsageError
from nsl_tools.memory import shown_size
from nsl_tools.memory_budget import sufficient_for
from nsl_tools.progress import Work
from nsl_tools.spill.partitions import SpilledPartitions
from nsl_tools.spill.scratch import ScratchFile

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Iterator

    from nsl_tools.memory_budget import MemoryBudget
    from nsl_tools.spill.partitions import Records

Rows = npt.NDArray[np.int64]
Columns = npt.NDArray[np.float64]

_EDGE = np.dtype([("source", "<u4"), ("target", "<u4"), ("weight", "<f4")])
_PARTS = 256  # row r is in part r modulo this, so that nobody needs to know how many rows come
_AT_ONCE = 1 << 16  # edges that are multiplied together; how sums are rounded depends on it


class Adjacency:
    """Weights between n nodes; of both directions of an edge, and of repeated ones, the largest.

    Add edges, seal it, then multiply.

    Attributes:
        degrees: sum of the weights of each node, shape (n,), float64, once it is sealed.
        edges: number of pairs of nodes that have a weight.
    """

    degrees: npt.NDArray[np.float64]

    def __init__(self, memory: MemoryBudget, stack: contextlib.ExitStack) -> None:
        """Keep edges in a share of the memory; `stack` closes the scratch files."""
        self._memory = memory
        self._stack = stack
        self._budget = memory.share("spread_edges") / 2
        self._added: SpilledPartitions | None = SpilledPartitions(
            _EDGE, _PARTS, self._budget, stack
        )
        self._kept: Records | None = None
        self._file: ScratchFile | None = None
        self._count = 0

    @property
    def edges(self) -> int:
        """How many pairs of nodes have a weight."""
        return self._count // 2

    @property
    def described(self) -> str:
        """Where the matrix is, once it is sealed, in words."""
        return "in memory" if self._file is None else "in a scratch file"

    def add(self, sources: Rows, targets: Rows, weights: npt.NDArray[np.float64]) -> None:
        """Add m edges between different nodes, of positive weight."""
        both = np.empty(2 * len(sources), _EDGE)
        both["source"] = np.concatenate([sources, targets])
        both["target"] = np.concatenate([targets, sources])
        both["weight"] = np.concatenate([weights, weights])
        parts = (both["source"] % _PARTS).astype(np.uint16)
        order = np.argsort(parts, kind="stable")
        if self._added is not None:
            self._added.add(both[order], parts[order])

    def seal(self, nodes: int, work: Work | None = None) -> None:
        """End adding: `nodes` is n; `work` counts weights that were added.

        Raises:
            UsageError: the edges of some nodes take more memory than there is.
        """
        if self._added is None:
            return
        self._check_size(int(self._added.sizes().max()))
        self.degrees = np.zeros(nodes)
        work = work or Work()
        work.expect(int((sizes := self._added.sizes()).sum()))
        waiting: list[Records] = []
        for part in range(_PARTS):
            edges = _merged(self._added.read(part, part + 1))
            self._count += len(edges)
            np.add.at(self.degrees, edges["source"], edges["weight"])
            waiting.append(edges)
            if self._count * _EDGE.itemsize > self._budget:
                self._write(waiting)
            work.add(int(sizes[part]))
        self._added = None
        if self._file is None:
            self._kept = np.concatenate(waiting)

    def _check_size(self, edges: int) -> None:
        size = 48 * edges  # bytes, while those of one part are sorted
        if size > self._memory.bound("sorted_edges"):
            needed = shown_size(sufficient_for(size, "sorted_edges"))
            raise UsageError(
                f"--memory-limit: expected at least {needed} for the edges of this graph, "
                f"received {shown_size(self._memory.limit)}"
            )

    def _write(self, waiting: list[Records]) -> None:
        if self._file is None:
            self._file = self._stack.enter_context(ScratchFile())
        for edges in waiting:
            self._file.write(edges.view(np.uint8).data)
        waiting.clear()

    def product(self, columns: Columns) -> Columns:
        """Return the matrix times `columns`, shape (n, c)."""
        out = np.zeros_like(columns)
        for edges in self._pieces():
            terms = columns.take(edges["target"], axis=0)
            terms *= edges["weight"][:, np.newaxis]
            sources = edges["source"]
            starts = np.flatnonzero(np.r_[True, sources[1:] != sources[:-1]])
            out[sources[starts]] += np.add.reduceat(terms, starts, axis=0)
        return out

    def _pieces(self) -> Iterator[Records]:
        for first in range(0, self._count, _AT_ONCE):
            count = min(_AT_ONCE, self._count - first)
            if self._file is None and self._kept is not None:
                yield self._kept[first : first + count]
            elif self._file is not None:
                edges = np.empty(count, _EDGE)
                self._file.read_into(edges.view(np.uint8).data, first * _EDGE.itemsize)
                yield edges


def _merged(edges: Records) -> Records:
    """Return edges by source and target, each pair once, with its largest weight."""
    keys = edges["source"].astype(np.uint64) << np.uint64(32) | edges["target"]
    order = np.lexsort((-edges["weight"], keys))
    keys = keys[order]
    return edges[order[np.r_[True, keys[1:] != keys[:-1]]]] if len(edges) else edges
