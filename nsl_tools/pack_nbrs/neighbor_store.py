"""The blocks of all neighbours, handed out for some seeds at a time.

Seeds are cut into consecutive ranges whose blocks fit the memory. While they
are few enough, all blocks are held once and serve every range; else each range
gets copies of what it needs, in runs on scratch (a Grace join).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.byte_spans import Bytes, Places, copy_spans, offsets_of
from nsl_tools.pack_nbrs.neighbor_blocks import GAP_BYTES
from nsl_tools.spill.partitions import Records, SpilledPartitions
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Iterator

META = np.dtype([("key", "<u8"), ("length", "<u4"), ("gaps", "<u4")])
DIGITS_BITS = 4  # of a key, below its row: digits of a rank


def need_keys(rows: npt.NDArray[np.integer], digits: npt.NDArray[np.integer]) -> Records:
    """Return one number for each row and number of digits of a rank, ordered by row."""
    keys: Records = rows.astype(np.uint64) << np.uint64(DIGITS_BITS)
    return keys | digits.astype(np.uint64)


def rows_of(keys: Records) -> Places:
    """Return the row that each of `need_keys` was made of."""
    return np.asarray(keys >> np.uint64(DIGITS_BITS), np.int64)


def digits_of(keys: Records) -> Places:
    """Return the number of digits that each of `need_keys` was made of."""
    return np.asarray(keys & np.uint64((1 << DIGITS_BITS) - 1), np.int64)


@dataclass(frozen=True)
class Pool:
    """The blocks that some range needs.

    Attributes:
        keys: `need_keys` of each block, ascending, shape (n,).
        starts: where it starts in `data`.
        lengths: its bytes.
        gaps: how many places follow it, as `nsl_tools.pack_nbrs.neighbor_blocks` says.
        data: the blocks, each with what follows it.
    """

    keys: Records
    starts: Places
    lengths: Places
    gaps: Places
    data: Bytes

    def places_of(self, keys: Records) -> Places:
        """Return the place of the block with each of `keys`, shape (m,), all of which are here."""
        if self._index is None:
            return np.asarray(np.searchsorted(self.keys, keys))
        first, index = self._index
        places: Places = index.take(rows_of(keys) - first)
        while (behind := self.keys.take(places) < keys).any():
            places += behind
        return places

    @cached_property
    def _index(self) -> tuple[int, Places] | None:
        """The first row, and for it and those after it where their keys start, unless few have."""
        sparse = 8  # rows for each key: with more, it would be mostly empty
        rows = rows_of(self.keys)
        if not len(rows) or (span := int(rows[-1] - rows[0]) + 1) > len(rows) * sparse:
            return None
        starts = np.zeros(span, np.int64)
        starts[rows[::-1] - rows[0]] = np.arange(len(rows))[::-1]
        return int(rows[0]), starts


class BlockStore:
    """Collects blocks, in the order of rows.

    Attributes:
        copied: bytes that were copied to scratch files so far.
    """

    def __init__(
        self, ranges: int, budget: float, expected: float, stack: contextlib.ExitStack
    ) -> None:
        """Hold `budget` bytes, of about `expected`; hand out blocks for each of `ranges`."""
        self._ranges, self.copied = ranges, 0
        self._most = budget / 2 if ranges > 1 else math.inf
        # Memory that is never written to is never taken.
        self._data = np.empty(int(min(expected, self._most)), np.uint8)
        self._meta = SpilledPartitions(META, ranges, 0, stack)
        self._bytes = SpilledPartitions(np.uint8, ranges, 0, stack)
        self._start()

    @property
    def described(self) -> str:
        """In words, how many ranges there are, and where their blocks are."""
        place = "copied to scratch files for each" if self._meta.spilled else "held once, in memory"
        return f"in {self._ranges:,} ranges, their neighbours {place}"

    def _start(self) -> None:
        self._blocks = [np.empty(0, META)]
        self._needs: list[tuple[Places, Places]] = []
        self._count = self._end = 0

    def add(self, meta: Records, data: Bytes, blocks: Places, ranges: Places) -> None:
        """Add m blocks, end to end in `data`.

        Args:
            meta: about each block, dtype `META`, shape (m,).
            data: their bytes.
            blocks: places in `meta` of what a range needs, shape (needs,).
            ranges: the range that needs each.
        """
        self._needs.append((blocks + self._count, ranges))
        self._blocks.append(meta)
        self._append(data)
        self._count += len(meta)
        if self._end > self._most:
            self._spill()

    def _append(self, data: Bytes) -> None:
        end = self._end + len(data)
        if end > len(self._data):
            larger = np.empty(2 * end, np.uint8)
            larger[: self._end] = self._data[: self._end]
            self._data = larger
        self._data[self._end : end] = data
        self._end = end

    def _spill(self) -> None:
        meta = np.concatenate(self._blocks)
        starts = offsets_of(block_sizes(meta))[:-1]
        blocks, ranges = (np.concatenate(parts) for parts in zip(*self._needs, strict=True))
        order = np.argsort(ranges, kind="stable")
        blocks, bounds = blocks[order], np.searchsorted(ranges[order], np.arange(self._ranges + 1))
        meta, starts = meta[blocks], starts[blocks]
        self._meta.write([meta], bounds)
        offsets = offsets_of(block_sizes(meta))
        self._bytes.write(self._counted(copies(self._data, starts, offsets)), offsets[bounds])
        self._start()

    def _counted(self, pieces: Iterator[Bytes]) -> Iterator[Bytes]:
        for piece in pieces:
            yield piece
            self.copied += len(piece)

    def will_copy(self, share: float) -> bool:
        """Return whether blocks are copied, if more come as they did in a share of the records."""
        return bool(self._meta.spilled) or self._end > share * self._most

    def complete(self) -> None:
        """Copy the last blocks, if others were copied."""
        if self._meta.spilled and self._count:
            self._spill()

    def pools(self) -> Iterator[Pool]:
        """Yield what each range needs, in order; one pool is to be used at a time."""
        self.complete()
        if not self._meta.spilled:
            pool = pool_of(np.concatenate(self._blocks), self._data)
            for _ in range(self._ranges):
                yield pool
            return
        del self._data
        for i in range(self._ranges):
            yield pool_of(self._meta.read(i, i + 1), self._bytes.read(i, i + 1))


def copies(data: Bytes, starts: Places, offsets: Places) -> Iterator[Bytes]:
    """Yield the spans of `data` at `starts` end to end, some MiB at a time.

    Args:
        data: holds them.
        starts: where each starts there, shape (n,).
        offsets: where each is to start, and the last to end, shape (n + 1,).
    """
    cuts = np.searchsorted(offsets, np.arange(0, int(offsets[-1]), TUNING.copied_bytes))
    for first, last in pairwise(np.unique(np.append(cuts, len(starts))).tolist()):
        places = offsets[first : last + 1] - offsets[first]
        out = np.empty(places[-1], np.uint8)
        copy_spans(data, starts[first:last], np.diff(places), out, places[:-1])
        yield out


def block_sizes(meta: Records) -> Places:
    """Return the bytes of each block and of what follows it."""
    return meta["length"].astype(np.int64) + GAP_BYTES * meta["gaps"].astype(np.int64)


def pool_of(meta: Records, data: Bytes) -> Pool:
    """Return the blocks that lie end to end in `data`, n of them, of which `meta` tells, (n,)."""
    starts = offsets_of(block_sizes(meta))[:-1]
    order = np.argsort(meta["key"], kind="stable")
    meta, starts = meta[order], starts[order]
    lengths, gaps = (meta[name].astype(np.int64) for name in ("length", "gaps"))
    return Pool(meta["key"].copy(), starts, lengths, gaps, data)
