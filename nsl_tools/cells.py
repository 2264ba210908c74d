"""Approximate candidates: k-means cells, and each row compared with the cells nearest to it.

FAISS places centroids on a sample of the rows. A row is a *member* of the cell
nearest to it, and *visits* the next nearest ones: one dense product of the members of
a cell and its visitors serves both. Each search lets rows visit a few cells more, so
that more neighbours meet; a row keeps its best so far, and recall can only grow.

What is kept does not depend on threads, nor on when a row learns what was found: a
pair meets once, and candidates are totally ordered, by similarity, then row. The
similarities are float32 products, so that another BLAS may choose other pairs.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from nsl_tools.groups import group_maxima
from nsl_tools.pair_keys import NO_KEY, PairKeys

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from nsl_tools.matrix import Floats, Matrix, Rows
    from nsl_tools.pair_keys import Keys

_MOST_CELLS = 1 << 15
_SAMPLED = 20  # rows for each centroid, at least
_SAMPLED_SHARE = 10  # one row of so many, since small clusters want to be seen
_MOST_SAMPLED = 1 << 16
_ITERATIONS = 3  # of k-means: more would cost more than denser cells save
_LARGEST = 8  # times the mean cell
_VISITS = 16
_SPARE = 2
_CROWD = 4
_BLOCK = 1024
_CELLS_AT_ONCE = 64
_TABLE_ROWS = 1 << 14
Numbers = npt.NDArray[np.uint16]


class Cells:
    """The best candidates of each row so far.

    Inside, a row is its place among `rows`.

    Args:
        unit: unit vectors, shape (n, d).
        rows: those to find neighbours for, and among; at least one.
        best: how many neighbours a row wants.
        floor: smallest similarity.
        pool: of the threads for products.
        seed: of the centroids.

    Attributes:
        visited: how many cells each row has been compared with.
        cost: pairs of rows multiplied so far.
    """

    def __init__(
        self, unit: Matrix, rows: Rows, best: int, floor: float, pool: Executor, seed: int
    ) -> None:
        self._unit, self._rows, self._pool = unit, rows, pool
        self._keys = PairKeys(len(rows))
        # A few more than wanted: float32 may mistake the order of the last ones.
        self._best = np.full((len(rows), best + _SPARE), NO_KEY)
        self._floors = np.full(len(rows), floor, np.float32)
        self._centroids = _centroids(unit, rows, seed)
        self._nearest = self._assign(_VISITS)
        self.visited = 0
        self.cost = len(rows) * len(self._centroids)

    def search(self, visits: int) -> None:
        """Compare each row with the members of the `visits` cells nearest to it, 1 at first."""
        first, self.visited = self.visited, min(visits, len(self._centroids))
        if self.visited > self._nearest.shape[1]:
            self._nearest = self._assign(2 * self.visited)
        cells = int(self._nearest.max()) + 1
        members = _by_cell(self._nearest[:, :1], cells)
        visitors = _by_cell(self._nearest[:, first : self.visited], cells)
        meetings = list(zip(members, visitors, strict=True))
        self.cost += sum(len(own) * len(others) for own, others in meetings)
        found: list[Keys] = []
        for start in range(0, cells, _CELLS_AT_ONCE):
            some = meetings[start : start + _CELLS_AT_ONCE]
            found += self._pool.map(partial(self._meet, first), some)
            if sum(map(len, found)) > self._best.size:
                self._keep(found)
                found = []
        self._keep(found)

    def pairs(self, rows: Rows) -> tuple[Rows, Rows]:
        """Return the candidates `(sources, targets)` of some of the rows, in their order."""
        keys = self._best[np.searchsorted(self._rows, rows)]
        keys = keys[keys != NO_KEY]
        return self._rows[self._keys.owners(keys)], self._rows[self._keys.others(keys)]

    def _assign(self, count: int) -> Numbers:
        """Return the cells nearest to each row, nearest first, shape (rows, count)."""
        count = min(count, len(self._centroids))
        blocks = (self._rows[i : i + _BLOCK] for i in range(0, len(self._rows), _BLOCK))
        nearest = np.concatenate(list(self._pool.map(partial(self._nearest_to, count), blocks)))
        sizes = np.bincount(nearest[:, 0], minlength=len(self._centroids))
        largest = max(_BLOCK, _LARGEST * len(nearest) // len(sizes))
        cells = len(sizes)
        for cell in np.flatnonzero(sizes > largest).tolist():
            more = int(sizes[cell]) // largest
            _divide(nearest, cell, range(cells, cells + more))
            cells += more
        return nearest

    def _nearest_to(self, count: int, rows: Rows) -> Numbers:
        # One sort of integers: the distance above, the cell below.
        bits = np.uint32(len(self._centroids).bit_length())
        distances = np.float32(1.5) - self._unit[rows] @ self._centroids.T
        keys = (distances * np.float32(1 << (30 - int(bits)))).astype(np.uint32) << bits
        keys |= np.arange(keys.shape[1], dtype=np.uint32)
        if count < keys.shape[1]:
            keys.partition(count, axis=1)
        nearest = np.sort(keys[:, :count], axis=1) & ((np.uint32(1) << bits) - np.uint32(1))
        return np.asarray(nearest, np.uint16)

    def _meet(self, first: int, meeting: tuple[Rows, Rows]) -> Keys:
        """Return candidates, sorted, among the members of a cell and its visitors."""
        members, visitors = meeting
        base = self._unit[self._rows[members]]
        found = [np.empty(0, np.uint64)]
        for start in range(0, len(visitors), _BLOCK):
            block = visitors[start : start + _BLOCK]
            products = self._unit[self._rows[block]] @ base.T
            found.append(self._passing(first, products, 0, (block, members)))
            if first:  # else the visitors are the members
                found.append(self._passing(first, products, 1, (block, members)))
        keys = np.concatenate(found)
        keys.sort()
        return keys

    def _passing(self, first: int, products: Floats, axis: int, sides: tuple[Rows, Rows]) -> Keys:
        """Return what the rows along `axis` of `products`, shape (visitors, members), let pass."""
        own, depth = sides[axis], self._best.shape[1]
        floors = self._floors[own]
        places = np.flatnonzero(products >= np.expand_dims(floors, 1 - axis))
        crowd = _CROWD * depth * len(own)
        if len(places) > crowd:
            floors = _raised(floors, products, axis, depth)
            places = np.flatnonzero(products >= np.expand_dims(floors, 1 - axis))
        pair = np.divmod(places, products.shape[1])
        visitors, members = sides[0][pair[0]], sides[1][pair[1]]
        fresh = self._first_meeting(first, visitors, members)
        both = visitors[fresh], members[fresh]
        keys = self._keys.pack(both[axis], both[1 - axis], products.ravel()[places[fresh]])
        return self._keys.best(keys, depth)[0] if len(keys) > crowd else keys

    def _first_meeting(self, first: int, visitors: Rows, members: Rows) -> npt.NDArray[np.bool_]:
        """Tell which pairs did not meet before, and do not meet in a cell of smaller number too."""
        if not first:
            return np.asarray(visitors != members)
        homes = self._nearest[visitors, 0]
        hosts = self._nearest[members, : self.visited] == homes[:, np.newaxis]
        twice = hosts[:, first:].any(axis=1) & (homes < self._nearest[members, 0])
        return np.asarray(~(twice | hosts[:, :first].any(axis=1)))

    def _keep(self, found: list[Keys]) -> None:
        """Keep the best of what was kept and of `found`, which are sorted each."""
        starts = np.arange(0, len(self._best), _TABLE_ROWS)
        borders = self._keys.first_of(starts[1:])
        cuts = [[0, *np.searchsorted(keys, borders).tolist(), len(keys)] for keys in found]
        parts = (
            [keys[cut[i] : cut[i + 1]] for keys, cut in zip(found, cuts, strict=True)]
            for i in range(len(starts))
        )
        for _ in self._pool.map(self._keep_rows, starts.tolist(), parts):
            pass

    def _keep_rows(self, start: int, found: list[Keys]) -> None:
        table = self._best[start : start + _TABLE_ROWS]
        held = table[table != NO_KEY]
        keys, owners, ranks = self._keys.best(np.concatenate([held, *found]), table.shape[1])
        table[:] = NO_KEY
        table[owners - start, ranks] = keys
        full = np.flatnonzero(table[:, -1] != NO_KEY)
        reached = self._keys.floors(table[full, -1])
        floors = self._floors[start : start + _TABLE_ROWS]
        floors[full] = np.maximum(floors[full], reached)


def _centroids(unit: Matrix, rows: Rows, seed: int) -> Floats:
    """Return centroids of the cells of some rows, shape (cells, d)."""
    import faiss

    count = min(len(rows), _MOST_CELLS, math.isqrt(len(rows)))
    sampled = max(_SAMPLED * count, min(_MOST_SAMPLED, len(rows) // _SAMPLED_SHARE))
    random = np.random.default_rng(seed)
    sample = np.sort(random.choice(rows, min(len(rows), sampled), replace=False))
    means = faiss.Kmeans(
        unit.shape[1],
        count,
        niter=_ITERATIONS,
        spherical=True,
        seed=int(random.integers(1 << 31)),
        min_points_per_centroid=1,
        max_points_per_centroid=sampled,
    )
    with threadpool_limits(1):  # more threads might add up in another order
        means.train(unit[sample])
    return np.asarray(means.centroids)


def _by_cell(nearest: Numbers, cells: int) -> list[Rows]:
    """Return for each cell the rows of `nearest`, shape (rows, columns), where it occurs."""
    order = np.argsort(nearest.ravel(), kind="stable") // nearest.shape[1]
    sizes = np.bincount(nearest.ravel(), minlength=cells)
    return np.split(order, np.cumsum(sizes)[:-1])


def _divide(nearest: Numbers, cell: int, more: range) -> None:
    """Cut a cell that is too large anywhere, and let its visitors visit one part."""
    parts = np.array([cell, *more], np.uint16)
    for column in nearest.T:
        places = np.flatnonzero(column == cell)
        column[places] = np.resize(parts, len(places))


def _raised(floors: Floats, products: Floats, axis: int, depth: int) -> Floats:
    """Raise floors by the largest of groups of products: as many as are kept reach them."""
    # One more, since a row meets itself.
    maxima = group_maxima(products, axis, _CROWD * (depth + 1))
    if len(maxima) <= depth:
        return floors
    return np.asarray(np.maximum(floors, np.partition(maxima, -depth - 1, axis=0)[-depth - 1]))
