"""Candidate pairs that wait to be weighed: in memory or, beyond a budget, in a scratch file."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nsl_tools.spill.matrix import Floats, MatrixStore
    from nsl_tools.spill.scratch import ScratchFile

    Counts = npt.NDArray[np.int32]

PAIR_BYTES = 12
"""Of a row, another row and their similarity: 4 bytes each."""


@dataclass
class Pairs:
    """Candidates of one tile: its rows (from 0), the other rows, and similarities, shape (m,)."""

    rows: npt.NDArray[np.int32]
    others: npt.NDArray[np.int32]
    similarities: Floats

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class _Piece:
    """Pairs in the scratch file, sorted by row.

    Attributes:
        offset: where they start.
        bounds: how many come before each group of rows, and all, shape (groups + 1,).
    """

    offset: int
    bounds: Counts


class Pending:
    """The pairs of each of `tiles` tiles of `height` rows that were found so far, in any order.

    Threads may share it. `store` has the scratch file and the memory budget.
    """

    def __init__(self, tiles: int, height: int, store: MatrixStore) -> None:
        self._store = store
        self._groups = np.arange(0, height + TUNING.spilled_rows, TUNING.spilled_rows)
        self._file: ScratchFile | None = None
        self._held: list[list[Pairs]] = [[] for _ in range(tiles)]
        self._counts = [0] * tiles
        self._spilled: list[list[_Piece]] = [[] for _ in range(tiles)]
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, tile: int, pairs: Pairs) -> int:
        """Add pairs to a tile; return how many it has in memory."""
        with self._lock:
            parts = self._held[tile]
            parts.append(pairs)
            if len(parts) > TUNING.tile_parts:
                self._held[tile] = [_joined(parts)]
            self._counts[tile] += len(pairs)
            self._bytes += PAIR_BYTES * len(pairs)
            if self._bytes > self._store.budget:
                self._spill()
            return self._counts[tile]

    def take_held(self, tile: int) -> Pairs:
        """Remove and return the pairs of a tile that are in memory."""
        with self._lock:
            return self._take_held(tile)

    def take(self, tile: int, most: int) -> Iterator[Pairs]:
        """Remove and yield all pairs of a tile.

        By ranges of rows, in order: of spilled pairs `most` at a time, or those of few rows.
        """
        with self._lock:
            pieces, self._spilled[tile] = self._spilled[tile], []
            if pieces and self._counts[tile]:
                pieces.append(self._written(self._take_held(tile)))
            held = self._take_held(tile)
        if not pieces:
            yield held
            return
        before = np.add.reduce([piece.bounds for piece in pieces], dtype=np.int64)
        sizes = before[1:] - before[:-1]
        for start, stop in _ranges(sizes, most):
            yield _joined([self._load(piece, start, stop) for piece in pieces])

    def _take_held(self, tile: int) -> Pairs:
        pairs = _joined(self._held[tile])
        self._held[tile], self._counts[tile] = [], 0
        self._bytes -= PAIR_BYTES * len(pairs)
        return pairs

    def _spill(self) -> None:
        self._store.announce("pairs that may be edges")
        for tile, count in enumerate(self._counts):
            if count:
                self._spilled[tile].append(self._written(self._take_held(tile)))

    def _written(self, pairs: Pairs) -> _Piece:
        """Put pairs into the scratch file."""
        self._file = self._file or self._store.file()
        order = np.argsort(pairs.rows.astype(np.uint16), kind="stable")
        table = np.empty((len(pairs), 3), np.int32)
        table[:, 0] = pairs.rows[order]
        table[:, 1] = pairs.others[order]
        table[:, 2] = pairs.similarities[order].view(np.int32)
        bounds = np.searchsorted(table[:, 0], self._groups).astype(np.int32)
        piece = _Piece(self._file.size, bounds)
        self._file.write(table.data)
        return piece

    def _load(self, piece: _Piece, start: int, stop: int) -> Pairs:
        """Return the pairs of a piece in the groups of rows from `start` to `stop`."""
        before, after = int(piece.bounds[start]), int(piece.bounds[stop])
        table = np.empty((after - before, 3), np.int32)
        if len(table) and self._file is not None:
            self._file.read_into(table.data, piece.offset + PAIR_BYTES * before)
        return Pairs(table[:, 0], table[:, 1], table[:, 2].copy().view(np.float32))


def by_rows(pairs: Pairs, most: int) -> Iterator[Pairs]:
    """Yield pairs by ranges of rows, in order: `most` at a time, or those of one row."""
    if len(pairs) <= most:
        yield pairs
        return
    order = np.argsort(pairs.rows.astype(np.uint16), kind="stable")
    sizes = np.bincount(pairs.rows).astype(np.int64)
    ends = np.cumsum(sizes)
    for start, stop in _ranges(sizes, most):
        part = order[ends[start] - sizes[start] : ends[stop - 1]]
        yield Pairs(pairs.rows[part], pairs.others[part], pairs.similarities[part])


def _ranges(sizes: npt.NDArray[np.int64], most: int) -> Iterator[tuple[int, int]]:
    """Yield starts and ends of consecutive places whose sizes add up to `most`, or of one place."""
    start, total = 0, 0
    for place, size in enumerate(sizes.tolist()):
        if place > start and total + size > most:
            yield start, place
            start, total = place, 0
        total += size
    yield start, len(sizes)


def _joined(parts: list[Pairs]) -> Pairs:
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return Pairs(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32))
    return Pairs(
        np.concatenate([pairs.rows for pairs in parts]),
        np.concatenate([pairs.others for pairs in parts]),
        np.concatenate([pairs.similarities for pairs in parts]),
    )
