"""From id to row, for all examples of a run.

A row is the place of an example among all, labeled ones first. The table is
sorted by fingerprint and has an index by its first bits: 24 bytes a node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.errors import UsageError
from nsl_tools.memory import shown_size
from nsl_tools.runs import Records, Runs

if TYPE_CHECKING:
    import contextlib

    from nsl_tools.fingerprints import Words

Rows = npt.NDArray[np.int64]

_ENTRY = np.dtype([("high", "<u8"), ("low", "<u8"), ("row", "<u4")])
_SLOTS = 64
_SLOT_SHIFT = np.uint64(58)
_ENTRIES_PER_RUN = 1 << 16
_BYTES_PER_NODE = 24
_MOST_NODES = 1 << 32
_SHARE = 0.65
_PIECE = 1 << 20


class Entries:
    """The fingerprints of all rows, appended in batches."""

    def __init__(self, limit: int, stack: contextlib.ExitStack) -> None:
        """Use `limit` bytes of memory at most, for the table too."""
        self._limit = limit
        self._runs = Runs(_ENTRY, _SLOTS, limit / 8, stack)
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
        if self._pending_size >= _ENTRIES_PER_RUN:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            entries = np.concatenate(self._pending)
            slots = (entries["high"] >> _SLOT_SHIFT).astype(np.uint8)
            order = np.argsort(slots, kind="stable")
            self._runs.add(entries[order], slots[order])
        self._pending, self._pending_size = [], 0

    def table(self) -> tuple[NodeTable, Rows, Rows]:
        """Return the table, and the rows whose fingerprint is not their own.

        Of rows with one fingerprint, the table has the first one.

        Returns:
            The table; the rows that share a fingerprint, ascending; for each
            the first of those that it shares it with.

        Raises:
            UsageError: the memory limit is too small for so many nodes.
        """
        self._check_size()
        self._flush()
        table = np.empty(self.count, _ENTRY)
        shared, firsts = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        end = 0
        for slot in range(_SLOTS):
            entries, members, first = _sorted(self._runs.read(slot, slot + 1))
            start, end = end, end + len(entries)
            table[start:end] = entries
            shared.append(members)
            firsts.append(first)
        members = np.concatenate(shared)
        order = np.argsort(members)
        return NodeTable(table[:end]), members[order], np.concatenate(firsts)[order]

    def _check_size(self) -> None:
        needed = self.count * _BYTES_PER_NODE / _SHARE
        if needed > self._limit or self.count >= _MOST_NODES:
            raise UsageError(
                f"--memory-limit: expected at least {shown_size(needed)} for {self.count:,} "
                f"examples, received {shown_size(self._limit)}"
            )


def _sorted(entries: Records) -> tuple[Records, Rows, Rows]:
    """Sort by fingerprint, keeping the first row of each.

    Returns:
        The entries; all rows that share a fingerprint; the first that each shares it with.
    """
    entries = entries[np.argsort(entries["high"], kind="stable")]
    if (np.diff(entries["high"].view(np.int64)) != 0).all():
        return entries, np.empty(0, np.int64), np.empty(0, np.int64)
    entries = entries[np.lexsort((entries["row"], entries["low"], entries["high"]))]
    high, low = entries["high"], entries["low"]
    fresh = np.r_[True, (high[1:] != high[:-1]) | (low[1:] != low[:-1])]
    group = np.cumsum(fresh) - 1
    shared = np.bincount(group)[group] > 1
    firsts = entries["row"][fresh][group[shared]]
    return entries[fresh], entries["row"][shared].astype(np.int64), firsts.astype(np.int64)


class NodeTable:
    """Rows by fingerprint, for n nodes."""

    def __init__(self, entries: Records) -> None:
        """Take fingerprints, ascending, and their rows, dtype `_ENTRY`, shape (n,)."""
        self._entries = entries
        bits = max(len(entries).bit_length() - 1, 1)
        self._shift = np.uint64(64 - bits)
        self._starts = _starts_of(entries["high"], bits)

    def rows(self, high: Words, low: Words) -> Rows:
        """Return the row of each of m fingerprints, -1 for an unknown one."""
        found = np.full(len(high), -1, np.int64)
        bucket = (high >> self._shift).astype(np.int64)
        place, end = self._starts.take(bucket), self._starts.take(bucket + 1)
        left = np.flatnonzero(place < end)
        while len(left):
            at = place.take(left)
            near = self._entries.take(at)  # whole entries: one access to memory for each
            hit = (near["high"] == high.take(left)) & (near["low"] == low.take(left))
            found[left[hit]] = near["row"][hit]
            at += np.uint32(1)
            place[left] = at
            left = left[~hit & (at < end.take(left))]
        return found

    def renumber(self, new: Rows) -> None:
        """Replace each row `r` by `new[r]`."""
        self._entries["row"] = new[self._entries["row"]]


def _starts_of(high: Words, bits: int) -> npt.NDArray[np.uint32]:
    """Return where words with each value of their first `bits` bits start, and the end."""
    starts = np.full((1 << bits) + 1, len(high), np.uint32)
    done = 0
    for first in range(0, len(high), _PIECE):
        buckets = high[first : first + _PIECE] >> np.uint64(64 - bits)
        last = int(buckets[-1]) + 1
        borders = np.arange(done, last, dtype=np.uint64)
        starts[done:last] = first + np.searchsorted(buckets, borders)
        done = max(done, last)
    return starts
