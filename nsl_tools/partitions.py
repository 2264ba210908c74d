"""Approximate candidates: rounds of random partitions, each cell searched by dense products.

In each round some random rows are *leaders*, and every row joins the cell of
the leader most similar to it; cells that are too large are split again. Rows
that are near each other often share a cell, and within a cell all pairs are
compared. Each round draws other leaders, so that more neighbours meet; a row
keeps its best so far, and recall can only grow from round to round.

What is kept does not depend on threads: a pair counts in the first round in which
it meets, and pairs are totally ordered by similarity, then row. The similarities
themselves are float32 products, so that another BLAS may choose other pairs.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.groups import group_maxima, rank_in_group, rising_bits, unrising_bits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

    from nsl_tools.matrix import Floats, Matrix, Rows

CELL = 1024
_LARGEST = 2 * CELL
_BLOCK = 1024
_SPARE = 2
_CROWD = 4
_LEADERS = 1024
_JUDGED = 1 << 16  # rows of the base at a time, which may lie in a scratch file
_HALF = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)


class Partitions:
    """The best candidates of each row so far.

    Args:
        unit: unit vectors, shape (n, d).
        rows: those to find neighbours for, and among.
        best: how many neighbours a row wants.
        floor: smallest similarity.
        pool: of the threads for products.
        seed: of the leaders.

    Attributes:
        cost: pairs of rows multiplied so far.
    """

    def __init__(
        self, unit: Matrix, rows: Rows, best: int, floor: float, pool: Executor, seed: int
    ) -> None:
        self._unit = unit
        self._rows = rows
        # A few more than wanted: float32 may mistake the order of the last ones.
        self._depth = best + _SPARE
        self._pool = pool
        self._seed = seed
        # The bits of a similarity above, the other row below; 0 is none.
        self._best = np.zeros((len(unit), self._depth), np.uint64)
        self._floors = np.full(len(unit), floor, np.float32)
        self._cells: list[npt.NDArray[np.int32]] = []
        self.cost = 0

    def search(self) -> None:
        """Compare the rows that share a cell of one more partition."""
        random = np.random.default_rng((self._seed, len(self._cells)))
        numbers = np.empty(len(self._unit), np.int32)
        cells = list(self._split(self._rows, random))
        for number, rows in enumerate(cells):
            numbers[rows] = number
            self.cost += len(rows) ** 2
        # Each row is in one cell, so that no two threads change the same row.
        for _ in self._pool.map(self._search_cell, cells):
            pass
        self._cells.append(numbers)

    def pairs(self, rows: Rows) -> tuple[Rows, Rows]:
        """Return the candidates `(sources, targets)` of some rows, in order of `rows`."""
        keys = self._best[rows]
        places, columns = np.nonzero(keys)
        return rows[places], (keys[places, columns] & _LOW).astype(np.int64)

    def judged(self, rows: Rows) -> tuple[Rows, Rows]:
        """Return what FAISS finds nearest to some rows by brute force, as candidates.

        A search that shares no code with the one that it judges.
        """
        import faiss

        queries = self._unit[rows]
        sources, targets = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for start in range(0, len(self._rows), _JUDGED):
            base = self._rows[start : start + _JUDGED]
            depth = min(self._depth + _SPARE, len(base))
            _, found = faiss.knn(
                queries, self._unit[base], depth, metric=faiss.METRIC_INNER_PRODUCT
            )
            sources.append(np.repeat(rows, depth))
            targets.append(base[found.ravel()])
        return np.concatenate(sources), np.concatenate(targets)

    def _split(self, rows: Rows, random: np.random.Generator) -> Iterator[Rows]:
        if len(rows) <= _LARGEST:
            yield rows
            return
        count = min(_LEADERS, -(-len(rows) // CELL))
        leaders = self._unit[random.choice(rows, count, replace=False)]
        self.cost += len(rows) * count
        found = self._pool.map(partial(self._nearest, leaders), _cut(rows))
        nearest = np.concatenate(list(found))
        order = np.argsort(nearest, kind="stable")
        parts = np.split(rows[order], np.flatnonzero(np.diff(nearest[order])) + 1)
        if len(parts) == 1:
            # Nothing tells these rows apart: cut them anywhere.
            parts = [rows[i : i + CELL] for i in range(0, len(rows), CELL)]
        for part in parts:
            yield from self._split(part, random)

    def _nearest(self, leaders: Floats, rows: Rows) -> npt.NDArray[np.int32]:
        return np.asarray(np.argmax(self._unit[rows] @ leaders.T, axis=1), np.int32)

    def _search_cell(self, rows: Rows) -> None:
        unit = self._unit[rows]
        for start in range(0, len(rows), _BLOCK):
            block = slice(start, start + _BLOCK)
            self._offer(unit[block] @ unit.T, rows[block], rows)

    def _offer(self, products: Floats, own: Rows, others: Rows) -> None:
        """Let each of `own` choose among `others`, given their products, shape (own, others)."""
        floors = self._floors[own]
        places = np.flatnonzero(products >= floors[:, np.newaxis])
        if len(places) > _CROWD * self._depth * len(own):
            floors = self._raised(floors, products)
            places = np.flatnonzero(products >= floors[:, np.newaxis])
        near, far = np.divmod(places, products.shape[1])
        fresh = self._first_meetings(own[near], others[far])
        near, far, places = near[fresh], far[fresh], places[fresh]
        keys = rising_bits(products.ravel()[places]).astype(np.uint64) << _HALF
        self._merge(own, near, keys | others[far].astype(np.uint64))

    def _raised(self, floors: Floats, products: Floats) -> Floats:
        """Raise floors by the largest of groups of products: as many as are kept reach them."""
        # One more, since a row meets itself.
        rank = self._depth + 1
        maxima = group_maxima(products, 0, _CROWD * rank)
        if len(maxima) < rank:
            return floors
        return np.asarray(np.maximum(floors, np.partition(maxima, -rank, axis=0)[-rank]))

    def _first_meetings(self, near: Rows, far: Rows) -> npt.NDArray[np.bool_]:
        fresh = np.asarray(near != far)
        for numbers in self._cells:
            fresh &= numbers[near] != numbers[far]
        return fresh

    def _merge(self, own: Rows, near: Rows, keys: npt.NDArray[np.uint64]) -> None:
        """Keep the largest of what `own` had and of `keys`, which are of `own[near]`, ascending."""
        if not len(near):
            return
        ranks = rank_in_group(near)
        width = int(ranks.max()) + 1
        table = np.zeros((len(own), width + self._depth), np.uint64)
        table[:, width:] = self._best[own]
        table[near, ranks] = keys
        table.partition(width, axis=1)
        self._best[own] = table[:, width:]
        least = table[:, width]
        full = least > 0
        reached = unrising_bits((least[full] >> _HALF).astype(np.uint32))
        self._floors[own[full]] = np.maximum(self._floors[own[full]], reached)


def _cut(rows: Rows) -> list[Rows]:
    return [rows[i : i + _BLOCK] for i in range(0, len(rows), _BLOCK)]
