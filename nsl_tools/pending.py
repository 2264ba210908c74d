"""Candidate pairs that wait for their turn, in memory or, beyond a budget, in a scratch file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from nsl_tools.matrix import Floats, MatrixStore
    from nsl_tools.scratch import ScratchFile

_PAIR_BYTES = 12


@dataclass
class Pairs:
    """Candidates of one tile: its rows (from 0), the other rows, and similarities, shape (m,)."""

    rows: npt.NDArray[np.int32]
    others: npt.NDArray[np.int32]
    similarities: Floats

    def __len__(self) -> int:
        return len(self.rows)


class Pending:
    """The pairs of each of `tiles` tiles that were found so far, in any order."""

    def __init__(self, tiles: int, store: MatrixStore) -> None:
        self._store = store
        self._file: ScratchFile | None = None
        self._held: list[list[Pairs]] = [[] for _ in range(tiles)]
        self._spilled: list[list[tuple[int, int]]] = [[] for _ in range(tiles)]
        self._bytes = 0

    def add(self, tile: int, pairs: Pairs) -> None:
        """Add pairs to a tile."""
        self._held[tile].append(pairs)
        self._bytes += _PAIR_BYTES * len(pairs)
        if self._bytes > self._store.budget:
            self._spill()

    def held(self, tile: int) -> int:
        """Return how many pairs of a tile are in memory."""
        return sum(map(len, self._held[tile]))

    def take_held(self, tile: int) -> Pairs:
        """Remove and return the pairs of a tile that are in memory."""
        pairs = _joined(self._held[tile])
        self._held[tile] = []
        self._bytes -= _PAIR_BYTES * len(pairs)
        return pairs

    def take(self, tile: int) -> Pairs:
        """Remove and return all pairs of a tile."""
        spilled = [self._load(*place) for place in self._spilled[tile]]
        self._spilled[tile] = []
        return _joined([*spilled, self.take_held(tile)])

    def _spill(self) -> None:
        self._file = self._file or self._store.file()
        for tile, held in enumerate(self._held):
            pairs = self.take_held(tile) if held else _joined([])
            if len(pairs):
                self._spilled[tile].append((self._file.size, len(pairs)))
                for array in (pairs.rows, pairs.others, pairs.similarities):
                    self._file.write(array.data)

    def _load(self, offset: int, count: int) -> Pairs:
        columns = np.empty((3, count), np.int32)
        if count and self._file is not None:
            self._file.read_into(columns.data, offset)
        return Pairs(columns[0], columns[1], columns[2].view(np.float32))


def _joined(parts: list[Pairs]) -> Pairs:
    if not parts:
        return Pairs(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32))
    return Pairs(
        np.concatenate([pairs.rows for pairs in parts]),
        np.concatenate([pairs.others for pairs in parts]),
        np.concatenate([pairs.similarities for pairs in parts]),
    )
