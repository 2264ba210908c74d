"""The nodes of a graph as rows, numbered as their ids come: labeled ones first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nsl_tools.arrays.fingerprints import Words, fingerprints
from nsl_tools.errors import UsageError
from nsl_tools.memory import shown_size
from nsl_tools.memory_budget import sufficient_for
from nsl_tools.spill.id_texts import IdTexts

if TYPE_CHECKING:
    import contextlib

    from nsl_tools.memory_budget import MemoryBudget

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Level:
    """Some nodes, ascending by fingerprint, shapes (m,)."""

    high: Words
    low: Words
    rows: npt.NDArray[np.uint32]

    def find(self, high: Words, low: Words) -> Rows:
        """Return the row of each fingerprint, -1 for one that is not here."""
        found = np.full(len(high), -1)
        places = np.searchsorted(self.high, high)
        left = np.arange(len(high))
        # More than one step only where the first 64 bits of two ids are the same.
        while len(left):
            at = places[left]
            left = left[(at < len(self.high)) & (self.high.take(at, mode="clip") == high[left])]
            at = places[left]
            hit = self.low[at] == low[left]
            found[left[hit]] = self.rows[at[hit]]
            left = left[~hit]
            places[left] += 1
        return found

    def merged(self, other: _Level) -> _Level:
        """Return both as one."""
        high, low = np.append(self.high, other.high), np.append(self.low, other.low)
        rows = np.append(self.rows, other.rows)
        order = _order(high, low)
        return _Level(high[order], low[order], rows[order])


def _order(high: Words, low: Words) -> Rows:
    """Return the order in which fingerprints ascend; in which equal ones come is left open."""
    order: Rows = np.argsort(high)
    high, low = high[order], low[order]
    # Sorting by half of the bits is faster, and enough unless two ids share just that half.
    if ((high[1:] == high[:-1]) & (low[1:] < low[:-1])).any():
        order = order[np.lexsort((low, high))]
    return order


def _changes(high: Words, low: Words) -> npt.NDArray[np.bool_]:
    """Tell which fingerprints, shape (n,), differ from the one before."""
    changed = np.ones(len(high), np.bool_)
    changed[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    return changed


class GraphNodes:
    """Rows by id, for nodes that become known one batch after the other.

    The index has levels, each more than twice as large as the next: so a node is moved a few
    times, however many there are.
    """

    def __init__(self, memory: MemoryBudget, stack: contextlib.ExitStack) -> None:
        """Hold the index in a share of the memory; `stack` closes the scratch file of ids."""
        self._memory = memory
        self._texts = IdTexts(memory, stack)
        self._levels: list[_Level] = []

    def __len__(self) -> int:
        return len(self._texts)

    @property
    def mean_id_bytes(self) -> float:
        """How many bytes an id has on average."""
        return self._texts.mean_size

    def rows(self, ids: pa.Array) -> Rows:
        """Return the row of each of m ids; unknown ones get the next rows, in order.

        Raises:
            UsageError: there are more nodes than the memory can hold.
        """
        high, low = fingerprints(ids)
        order = _order(high, low)
        high, low = high[order], low[order]
        is_first = _changes(high, low)
        firsts = np.flatnonzero(is_first)
        groups = np.empty(len(order), np.int64)
        groups[order] = np.cumsum(is_first) - 1
        high, low = high[firsts], low[firsts]
        found = self._find(high, low)
        new = np.flatnonzero(found < 0)
        if len(new):
            places = np.minimum.reduceat(order, firsts)[new]
            found[new[np.argsort(places)]] = np.arange(len(self), len(self) + len(new))
            self._add(ids.take(pa.array(np.sort(places))), high, low, found, new)
        return np.asarray(found[groups])

    def ends(self, sources: pa.Array, targets: pa.Array) -> Rows:
        """Return the rows of the ends of m edges, shape (2, m), as `rows` does.

        Edges of one source follow each other in most graphs: its id is looked up once.
        """
        import pyarrow.compute as pc  # here, since it takes long to import

        runs = pc.run_end_encode(sources)
        found = self.rows(pa.concat_arrays([runs.values, targets]))
        lengths = np.diff(runs.run_ends.to_numpy(), prepend=0)
        return np.stack([np.repeat(found[: len(lengths)], lengths), found[len(lengths) :]])

    def known(self, ids: pa.Array) -> Rows:
        """Return the row of each of m ids, -1 of one that no node has."""
        return self._find(*fingerprints(ids))

    def _find(self, high: Words, low: Words) -> Rows:
        found = np.full(len(high), -1)
        for level in self._levels:
            left = np.flatnonzero(found < 0)
            found[left] = level.find(high[left], low[left])
        return found

    def _add(self, ids: pa.Array, high: Words, low: Words, rows: Rows, new: Rows) -> None:
        self._texts.add(ids)
        self._check_size()
        self._levels.append(_Level(high[new], low[new], rows[new].astype(np.uint32)))
        while len(self._levels) > 1:
            last, before = self._levels[-1], self._levels[-2]
            if len(before.rows) > 2 * len(last.rows):
                break
            self._levels[-2:] = [before.merged(last)]

    def _check_size(self) -> None:
        node_bytes = 64  # in the index, while two of its levels become one
        size = node_bytes * len(self)
        if size > self._memory.bound("node_index") or len(self) >= 1 << 32:
            needed = shown_size(sufficient_for(size, "node_index"))
            raise UsageError(
                f"--memory-limit: expected at least {needed} "
                f"for {len(self):,} nodes, received {shown_size(self._memory.limit)}"
            )

    def forget_index(self) -> None:
        """Give the memory of the index back: no more ids come."""
        self._levels.clear()

    def ids(self, rows: Rows) -> pa.Array:
        """Return the ids of ascending rows, shape (m,), as a binary array."""
        return self._texts.fetch(rows)
