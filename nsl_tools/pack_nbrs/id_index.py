"""From id to row, for all examples of a run.

A row is the place of an example among all, labeled ones first. The index is sorted by
fingerprint, and a list of starts finds a fingerprint by its first bits: 24 bytes a node.
Where that is too much, it is made in partitions, one after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nsl_tools.background import in_background
from nsl_tools.errors import UsageError
from nsl_tools.memory import shown_size
from nsl_tools.memory_budget import sufficient_for
from nsl_tools.progress import Work
from nsl_tools.spill.partitions import Records, SpilledPartitions
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Iterable, Iterator

    from nsl_tools.arrays.fingerprints import Words
    from nsl_tools.memory_budget import MemoryBudget
    from nsl_tools.pack_nbrs.graph_edges import Edges

Rows = npt.NDArray[np.int64]
Counts = npt.NDArray[np.uint32]
Weights = npt.NDArray[np.float64]

_ENTRY = np.dtype([("high", "<u8"), ("low", "<u8"), ("row", "<u4")])
_PARTITION_BITS = 6  # first bits of a fingerprint, which tell its partition
_PARTITIONS = 1 << _PARTITION_BITS


class Entries:
    """The fingerprints of all rows, appended in batches."""

    def __init__(self, memory: MemoryBudget, stack: contextlib.ExitStack) -> None:
        """Use a share of the memory, and one for the index."""
        self._memory = memory
        self._stack = stack
        self._partitions = SpilledPartitions(_ENTRY, _PARTITIONS, memory.share("id_entries"), stack)
        self._pending: list[Records] = []
        self._pending_size = 0
        self.count = 0

    def add(self, high: Words, low: Words) -> None:
        """Append the fingerprints of the next rows."""
        entries = np.empty(len(high), _ENTRY)
        entries["high"], entries["low"] = high, low
        entries["row"] = np.arange(self.count, self.count + len(high))
        self.count += len(high)
        self._pending.append(entries)
        self._pending_size += len(high)
        if self._pending_size >= TUNING.index_run:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            entries = np.concatenate(self._pending)
            partitions = _partitions_of(entries["high"])
            order = np.argsort(partitions, kind="stable")
            self._partitions.add(entries.take(order), partitions.take(order))
        self._pending, self._pending_size = [], 0

    def index(self) -> tuple[IdIndex | SplitIdIndex, Rows, Rows]:
        """Return the index, and the rows whose fingerprint is not their own.

        Of rows with one fingerprint, the index has the first one.

        Returns:
            The index; the rows that share a fingerprint, ascending; for each
            the first of those that it shares it with.

        Raises:
            UsageError: the memory limit is too small for so many nodes.
        """
        self._check_size()
        self._flush()
        node_bytes = 24  # in the index: 16, and up to two places of 4 bytes in its list of starts
        split = self.count * node_bytes > self._memory.share("id_index")
        found: IdIndex | SplitIdIndex = (
            SplitIdIndex(self._partitions, self.count, self._stack)
            if split
            else IdIndex(self.count, self.count)
        )
        shared, firsts = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for partition in range(_PARTITIONS):
            entries, members, first = _sorted(self._partitions.read(partition, partition + 1))
            if isinstance(found, IdIndex):
                found.add(entries)
            shared.append(members)
            firsts.append(first)
        if isinstance(found, IdIndex):
            found.seal()
        members = np.concatenate(shared)
        order = np.argsort(members)
        return found, members[order], np.concatenate(firsts)[order]

    def _check_size(self) -> None:
        least_bytes = 2  # that a node takes wherever its fingerprint is
        needed = sufficient_for(self.count * least_bytes, "id_index")
        if needed > self._memory.limit or self.count >= 1 << 32:  # row numbers have 32 bits
            raise UsageError(
                f"--memory-limit: expected at least {shown_size(needed)} for {self.count:,} "
                f"examples, received {shown_size(self._memory.limit)}"
            )


def _sorted(entries: Records) -> tuple[Records, Rows, Rows]:
    """Sort by fingerprint, keeping the first row of each.

    Returns:
        The entries; all rows that share a fingerprint; the first that each shares it with.
    """
    high = entries["high"].copy()
    entries = entries.take(np.argsort(high))
    high = entries["high"].copy()
    if (high[1:] != high[:-1]).all():
        return entries, np.empty(0, np.int64), np.empty(0, np.int64)
    entries = entries[np.lexsort((entries["row"], entries["low"], entries["high"]))]
    high, low = entries["high"], entries["low"]
    fresh = np.r_[True, (high[1:] != high[:-1]) | (low[1:] != low[:-1])]
    group = np.cumsum(fresh) - 1
    shared = np.bincount(group)[group] > 1
    firsts = entries["row"][fresh][group[shared]]
    return entries[fresh], entries["row"][shared].astype(np.int64), firsts.astype(np.int64)


class IdIndex:
    """Rows by fingerprint, for n nodes: add all in order, seal it, then look rows up.

    Attributes:
        described: where it is, in words.
    """

    described = "in memory"

    def __init__(self, count: int, rows: int, equal_bits: int = 0) -> None:
        """Allocate memory for `count` nodes, whose rows are below `rows`.

        The first `equal_bits` bits of all fingerprints, also of those sought, are the same.
        """
        bits = max(count.bit_length(), rows.bit_length() - equal_bits, 1)
        self._equal_bits = np.uint64(equal_bits)
        self._shift = np.uint64(64 - bits)
        # The bucket implies the first bits of a fingerprint: the row is stored in their place.
        self._implied = np.uint64(bits + equal_bits)
        self._row_mask = np.uint64((1 << bits + equal_bits) - 1)
        self._nodes = np.empty(count + 1, [("word", "<u8"), ("low", "<u8")])
        self._starts = np.zeros((1 << bits) + 1, np.uint32)
        self._count = 0

    def _buckets_of(self, high: Words) -> Rows:
        buckets: Words = (high << self._equal_bits) >> self._shift
        return buckets.view(np.int64)

    def add(self, entries: Records) -> None:
        """Add nodes, dtype `_ENTRY`, ascending by fingerprint, after those that are here."""
        for first in range(0, len(entries), TUNING.index_piece):
            piece = entries[first : first + TUNING.index_piece]
            end = self._count + len(piece)
            self._nodes["word"][self._count : end] = (piece["high"] << self._implied) | piece["row"]
            self._nodes["low"][self._count : end] = piece["low"]
            buckets = self._buckets_of(piece["high"])
            sizes = np.bincount(buckets - buckets[0]).astype(np.uint32)
            self._starts[buckets[0] + 1 :][: len(sizes)] += sizes
            self._count = end

    def seal(self) -> None:
        """End adding."""
        self._nodes[self._count :] = 0
        np.cumsum(self._starts, out=self._starts)

    def resolved(
        self, edges: Iterable[Edges], work: Work | None = None
    ) -> Iterator[tuple[Rows, Rows, Weights]]:
        """Yield the rows of both ends of edges, and their weights; to take `edges` is the work."""
        del work
        yield from in_background((self._rows_of_runs(*s), self.rows(*t), w) for s, t, w in edges)

    def _rows_of_runs(self, high: Words, low: Words) -> Rows:
        """Return what `rows` does, faster where equal fingerprints follow each other.

        So do the sources of most graphs.
        """
        if not len(high):
            return np.empty(0, np.int64)
        changes = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
        starts = np.append(0, np.flatnonzero(changes) + 1)
        found = self.rows(high.take(starts), low.take(starts))
        return np.repeat(found, np.diff(starts, append=len(high)))

    def rows(self, high: Words, low: Words) -> Rows:
        """Return the row of each of m fingerprints, -1 for an unknown one."""
        buckets = self._buckets_of(high)
        place, end = self._starts.take(buckets), self._starts.take(buckets + 1)
        words = high << self._implied
        found = self._rows_at(place, end, words, low)
        place += np.uint32(1)
        left = np.flatnonzero((found < 0) & (place < end))
        while len(left):
            at, ends = place.take(left), end.take(left)
            rows = self._rows_at(at, ends, words.take(left), low.take(left))
            found[left] = rows
            at += np.uint32(1)
            place[left] = at
            left = left.take(np.flatnonzero((rows < 0) & (at < ends)))
        return found

    def _rows_at(self, place: Counts, end: Counts, words: Words, low: Words) -> Rows:
        """Return the row of the node at each place if it has the wanted fingerprint, else -1."""
        near = self._nodes.take(place)  # the whole node: one access to memory for each
        rows: Words = near["word"] ^ words
        hit = rows <= self._row_mask
        hit &= near["low"] == low
        hit &= place < end
        rows[~hit] = np.uint64((1 << 64) - 1)  # -1, once it has a sign
        return rows.view(np.int64)

    def renumber(self, new: Rows) -> None:
        """Replace each row `r` by `new[r]`, below the number of rows too."""
        for first in range(0, self._count, TUNING.index_piece):
            words = self._nodes["word"][first : first + TUNING.index_piece]
            rows = words & self._row_mask
            words ^= rows ^ new.take(rows.view(np.int64)).view(np.uint64)


class SplitIdIndex:
    """Rows by fingerprint, where an index of all does not fit the memory.

    It is made in partitions, by the first bits of the fingerprints. Edges are spilled by the
    partition of their source, then by that of their target, so that each partition is made
    twice (a Grace hash join). Edges between the same nodes keep their order.

    Attributes:
        described: where it is, in words.
    """

    described = "in parts, by way of scratch files"

    def __init__(self, entries: SpilledPartitions, rows: int, stack: contextlib.ExitStack) -> None:
        """Take entries by partition, whose rows are below `rows`; `stack` closes scratch files."""
        self._entries = entries
        self._rows = rows
        self._stack = stack
        self._new: Rows | None = None

    def renumber(self, new: Rows) -> None:
        """Replace each row `r` by `new[r]`."""
        self._new = new

    def resolved(
        self, edges: Iterable[Edges], work: Work | None = None
    ) -> Iterator[tuple[Rows, Rows, Weights]]:
        """Yield the rows of both ends of edges, and their weights; in another order.

        To look up one end of all is about as much `work` as to take `edges`.
        """
        work = work or Work()
        size = work.total
        work.expect(2 * size)
        target = [("high", "<u8"), ("low", "<u8"), ("weight", "<f8")]
        unresolved = [("source_high", "<u8"), ("source_low", "<u8"), *target]
        half_resolved = [("source", "<i8"), *target]
        by_source = SpilledPartitions(unresolved, _PARTITIONS, 0, self._stack)
        by_target = SpilledPartitions(half_resolved, _PARTITIONS, 0, self._stack)
        for sources, targets, weights in edges:
            _add(by_source, sources[0], (*sources, *targets, weights))
        for partition in range(_PARTITIONS):
            index = self._part(partition)
            for found in by_source.pieces(partition, TUNING.index_piece // 4):
                rows = index.rows(found["source_high"], found["source_low"])
                columns = [found[name] for name in ("high", "low", "weight")]
                _add(by_target, columns[0], (rows, *columns))
            work.add(size // _PARTITIONS)
        for partition in range(_PARTITIONS):
            index = self._part(partition)
            for found in by_target.pieces(partition, TUNING.index_piece // 4):
                rows = index.rows(found["high"], found["low"])
                yield found["source"], rows, found["weight"]
            work.add(size // _PARTITIONS)

    def _part(self, partition: int) -> IdIndex:
        entries = _sorted(self._entries.read(partition, partition + 1))[0]
        index = IdIndex(len(entries), self._rows, _PARTITION_BITS)
        index.add(entries)
        index.seal()
        if self._new is not None:
            index.renumber(self._new)
        return index


def _add(spilled: SpilledPartitions, high: Words, columns: Iterable[npt.NDArray[Any]]) -> None:
    """Add records made of `columns` by the partition of the word `high`."""
    records = np.empty(len(high), spilled.dtype)
    for name, column in zip(spilled.dtype.names or (), columns, strict=True):
        records[name] = column
    partitions = _partitions_of(high)
    order = np.argsort(partitions, kind="stable")
    spilled.add(records.take(order), partitions.take(order))


def _partitions_of(high: Words) -> npt.NDArray[np.uint8]:
    return np.asarray(high >> np.uint64(64 - _PARTITION_BITS), np.uint8)
