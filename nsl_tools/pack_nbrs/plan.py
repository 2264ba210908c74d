"""Which neighbours each seed gets, and which seeds are packed together.

Seeds are cut into consecutive ranges, so that the blocks of the neighbours of one range fit
the memory. A range needs some rows, each for ranks of some number of digits. Needs are sorted
by row, the order in which records are read.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.groups import digit_counts, rank_in_group
from nsl_tools.arrays.ids import shown
from nsl_tools.arrays.ranking import RANKING_BYTES
from nsl_tools.errors import UsageError
from nsl_tools.memory import shown_size, sufficient_limit
from nsl_tools.pack_nbrs.neighbor_store import DIGITS_BITS, need_keys, rows_of
from nsl_tools.pack_nbrs.top_edges import EDGE
from nsl_tools.spill.partitions import Records, SpilledPartitions

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Iterable

    from nsl_tools.arrays.byte_spans import Places
    from nsl_tools.memory_budget import MemoryBudget
    from nsl_tools.pack_nbrs.nodes import NodeRows

NEED = np.dtype([("key", "<u8"), ("range", "<u4")])
_PARTITIONS = 256  # parts that rows are cut into: what is needed of one is sorted in memory


class JoinPlan:
    """The edges to pack, by ranges of seeds, and what they need.

    Attributes:
        ends: of each range, the row after its last one; the last is the number of rows.
        edges: how many there are.
        seeds: how many seeds have an edge.
        hub_edges: edges that lead to the 1 % of all nodes to which most do.
        bytes: about how many the blocks of all ranges have.
    """

    def __init__(
        self,
        best: Iterable[Records],
        nodes: NodeRows,
        memory: MemoryBudget,
        stack: contextlib.ExitStack,
        most_bytes: float = math.inf,
    ) -> None:
        """Cut seeds into ranges.

        Args:
            best: edges by seed and rank, some whole seeds at a time.
            nodes: all nodes, which tell about how long their records are.
            memory: of which a share is for the blocks of one range.
            stack: closes scratch files.
            most_bytes: of the blocks of one range, where that is less.

        Raises:
            UsageError: the neighbours of one seed take more memory than there is.
        """
        self.ends: list[int] = []
        self.edges = self.seeds = 0
        self.bytes = 0.0
        self._width = -(-nodes.count // _PARTITIONS) or 1
        self._nodes = nodes
        self._limit = memory.limit
        self._budget = min(memory.share("blocks"), most_bytes)
        self._edges = SpilledPartitions(EDGE, 1, memory.share("plan_edges"), stack)
        self._needs = SpilledPartitions(NEED, _PARTITIONS, memory.share("plan_needs"), stack)
        self._partition, self._loaded = 0, np.empty(0, NEED)
        uses = np.zeros(nodes.count, np.uint32)
        for edges in best:
            np.add.at(uses, edges["target"], np.uint32(1))
            self.seeds += int(np.count_nonzero(np.diff(edges["source"], prepend=-1)))
            self._cut(edges)
        self.hub_edges = _edges_to_hubs(uses)
        if self.ends:
            self.ends[-1] = nodes.count

    def _cut(self, edges: Records) -> None:
        """Add ranges for these edges: one, if the blocks that they need fit."""
        self.edges += len(edges)
        keys = distinct(edge_keys(edges))
        needed = float(_block_sizes(self._nodes, rows_of(keys)).sum())
        if needed <= self._budget:
            self.bytes += needed
            self._add_range(edges, keys)
            return
        sources = edges["source"]
        sizes = _block_sizes(self._nodes, edges["target"])
        before = np.cumsum(sizes) - sizes
        firsts = np.flatnonzero(np.r_[True, sources[1:] != sources[:-1]][: len(sources)])
        # A seed that does not fit has a range of its own, which is held against the limit.
        large = np.add.reduceat(sizes, firsts) > self._budget
        steps = (np.diff(before[firsts] // self._budget) > 0) | large[1:]
        bounds = [0, *firsts[1:][steps].tolist(), len(edges)]
        self.bytes += float(sizes.sum())
        for start, end in pairwise(bounds):
            one = sources[start] == sources[end - 1]
            if one:
                refuse_many(edges[start:end], self._nodes, self._limit)
            self._add_range(edges[start:end], distinct(edge_keys(edges[start:end])))

    def _add_range(self, edges: Records, keys: Records) -> None:
        needs = np.empty(len(keys), NEED)
        needs["key"], needs["range"] = keys, len(self.ends)
        self._needs.add(needs, rows_of(keys) // self._width)
        self._edges.add_run(edges, np.array([0, len(edges)]))
        self.ends.append(int(edges["source"][-1]) + 1 if len(edges) else 0)

    def edges_of(self, index: int) -> Records:
        """Return the edges of a range, by seed and rank."""
        return self._edges.sorted_run(index)

    def needs_before(self, row: int) -> tuple[Records, Places, Places]:
        """Return what is needed of the rows before `row` that were not asked for yet.

        Returns:
            The keys, ascending; the place of the key, and the range, of each need.
        """
        parts = [self._loaded]
        while self._partition < _PARTITIONS and self._partition * self._width < row:
            parts.append(self._needs.read(self._partition, self._partition + 1))
            self._partition += 1
        if len(parts) > 1:
            self._loaded = np.concatenate(parts)
            self._loaded = self._loaded[np.argsort(self._loaded["key"], kind="stable")]
        end = np.searchsorted(self._loaded["key"], np.uint64(row << DIGITS_BITS))
        found, self._loaded = self._loaded[:end], self._loaded[end:]
        keys, places = np.unique(found["key"], return_inverse=True)
        return keys, places, found["range"].astype(np.int64)


def _edges_to_hubs(uses: npt.NDArray[np.uint32]) -> int:
    """Return how many edges lead to the hundredth of the nodes to which most lead.

    Args:
        uses: how many edges lead to each node, shape (n,); its order is lost.
    """
    hubs = len(uses) // 100
    if not hubs:
        return 0
    uses.partition(len(uses) - hubs)
    return int(uses[-hubs:].sum(dtype=np.int64))


def _block_sizes(nodes: NodeRows, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """Return for each of `rows` about how long its block is."""
    # A guess of what names, weight and headers add to a neighbour's record, in bytes.
    margin, names = 1.25, 128
    return nodes.mean_sizes(rows) * margin + names


def _bytes_for(edges: Records, nodes: NodeRows) -> float:
    """Return about how much memory the neighbours that edges lead to take together."""
    # Twice: as they are held, and as they are packed.
    return 2 * float(_block_sizes(nodes, edges["target"]).sum()) + RANKING_BYTES * len(edges)


def refuse_many(edges: Records, nodes: NodeRows, limit: float) -> None:
    """Raise UsageError if the neighbours that edges of one seed lead to do not fit the memory."""
    if _bytes_for(edges, nodes) > limit:
        raise _too_many(edges, nodes, limit)


def refuse_hub(edges: Records, nodes: NodeRows, limit: float) -> None:
    """Raise UsageError if even the edges, all of one seed, are more than the memory holds."""
    if RANKING_BYTES * len(edges) > limit:
        raise _too_many(edges, nodes, limit)


def _too_many(edges: Records, nodes: NodeRows, limit: float) -> UsageError:
    seed = shown(nodes.id_of(int(edges["source"][0])))
    # The record that they make must fit, too, or a user would be refused a second time.
    record = float(_block_sizes(nodes, edges["target"]).sum())
    needed = max(_bytes_for(edges, nodes), sufficient_limit(record))
    return UsageError(
        f"--memory-limit: expected about {shown_size(needed)} for the "
        f"{len(edges):,} neighbours of {seed}, received {shown_size(limit)}: raise it, or lower "
        "--max-nbrs"
    )


def distinct(keys: Records) -> Records:
    """Return each of `keys` once, ascending; faster than by a hash table."""
    ordered = np.sort(keys)
    fresh = np.r_[True, ordered[1:] != ordered[:-1]][: len(ordered)]
    return np.asarray(ordered[fresh])


def edge_keys(edges: Records) -> Records:
    """Return the key of the block that each edge needs; edges of a seed are together, by rank."""
    return need_keys(edges["target"], digit_counts(rank_in_group(edges["source"])))
