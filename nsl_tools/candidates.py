"""Candidate pairs from float32 products: every pair that could be an edge, and few others.

A row keeps a *floor*: no pair below it can be among the row's k best. Floors
start at the threshold and rise as better pairs are found, always short of the
k-th value by a slack that covers float32 rounding, so that nothing is lost
whatever the order of the work.

The products are cut into square tiles. All pairs of one set are a triangle of
them: a tile's product serves the rows of both its sides, so half the products
are enough. Queries against another set are a rectangle, which serves one side.
"""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.groups import group_maxima, kth_largest
from nsl_tools.pending import Pairs, Pending

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nsl_tools.matrix import Floats, Matrix, MatrixStore, Rows

TILE = 1024
_CROWD = 4


@dataclass(frozen=True)
class Wanted:
    """Which pairs are wanted.

    Attributes:
        best: pairs per row at most, the row itself counted; None for all.
        floor: smallest similarity.
        slack: how far float32 similarities must differ to be surely in that order.
    """

    best: int | None
    floor: float
    slack: float


@contextlib.contextmanager
def workers(threads: int) -> Iterator[Executor]:
    """Run threads for products; work that has not begun is dropped at the end.

    Yields:
        The pool.
    """
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def all_pairs(
    unit: Matrix, wanted: Wanted, pool: Executor, store: MatrixStore
) -> Iterator[tuple[Rows, Rows]]:
    """Yield candidates `(sources, targets)` among the rows of `unit`, shape (n, d), itself.

    One yield a tile of sources, in order; a row may be paired with itself.
    """
    return _Sweep(unit, unit, wanted, pool, store).pairs()


def pairs_between(
    queries: Matrix, base: Matrix, wanted: Wanted, pool: Executor, store: MatrixStore
) -> Iterator[tuple[Rows, Rows]]:
    """Yield candidates `(row of queries, row of base)`, shapes (m, d) and (n, d).

    One yield a tile of queries, in order.
    """
    return _Sweep(queries, base, wanted, pool, store).pairs()


class _Sweep:
    """The state of one sweep: floors, and the candidates found so far for each tile of queries.

    If `queries` is `base`, it is a triangle. The tiles of queries are taken by bands: one in
    memory, where reading costs nothing, and as many as the budget holds of a scratch file,
    so that the base is read once a band.
    """

    def __init__(
        self, queries: Matrix, base: Matrix, wanted: Wanted, pool: Executor, store: MatrixStore
    ) -> None:
        self._queries, self._base = queries, base
        self._triangle = queries is base
        self._wanted = wanted
        self._pool = pool
        self._floors = np.full(len(queries), wanted.floor, np.float32)
        self._tiles, self._base_tiles = _tiles(len(queries)), _tiles(len(base))
        self._pending = Pending(len(self._tiles), store)
        self._band = 1
        if not isinstance(queries, np.ndarray):
            self._band = max(1, store.budget // 2 // (4 * TILE * max(1, queries.shape[1])))
        self._local = threading.local()

    def pairs(self) -> Iterator[tuple[Rows, Rows]]:
        products = self._start(0)
        for first in range(0, len(self._tiles), self._band):
            for sides in products:
                for tile, pairs in sides:
                    self._keep(tile, pairs)
            # The next band is under way while the caller weighs this one's pairs.
            products = self._start(first + self._band)
            for i in range(first, min(first + self._band, len(self._tiles))):
                pairs = self._pruned(i, self._pending.take(i))
                yield (
                    pairs.rows.astype(np.int64) + self._tiles[i].start,
                    pairs.others.astype(np.int64),
                )

    def _start(self, first: int) -> Iterator[list[tuple[int, Pairs]]]:
        """Start multiplying a band with each tile of the base that is due."""
        band = range(first, min(first + self._band, len(self._tiles)))
        if not band:
            return iter(())
        rows = slice(self._tiles[band[0]].start, self._tiles[band[-1]].stop)
        due = range(first if self._triangle else 0, len(self._base_tiles))
        return self._pool.map(partial(self._multiply_band, band, self._queries[rows]), due)

    def _multiply_band(self, band: range, queries: Floats, j: int) -> list[tuple[int, Pairs]]:
        """Multiply a band with tile `j`; return candidates by tile."""
        base = self._base[self._base_tiles[j]]
        start = self._tiles[band[0]].start
        found: list[tuple[int, Pairs]] = []
        for i in band:
            if not self._triangle or i <= j:
                tile = self._tiles[i]
                left = queries[tile.start - start : tile.stop - start]
                found += zip((i, j), self._multiply(i, j, left, base), strict=False)
        return found

    def _multiply(self, i: int, j: int, queries: Floats, base: Floats) -> list[Pairs]:
        """Multiply two tiles; return the candidates of `i`, in a triangle of `j` too."""
        left, right = self._tiles[i], self._base_tiles[j]
        both = self._triangle and i != j
        products, mask = self._buffers(len(queries), len(base))
        np.matmul(queries, base.T, out=products)
        lowest = self._floors[left].min()
        if both:
            lowest = min(lowest, self._floors[right].min())
        loose = np.flatnonzero(np.greater_equal(products, lowest, out=mask))
        sides = [(0, left, right), (1, right, left)][: 1 + both]
        return [self._passing(products, mask, loose, *side) for side in sides]

    def _buffers(self, rows: int, columns: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Return this thread's own arrays: fresh ones would cost page faults at every tile."""
        local = self._local
        if not hasattr(local, "products"):
            local.products = np.empty(TILE * TILE, np.float32)
            local.mask = np.empty(TILE * TILE, np.bool_)
        size, shape = rows * columns, (rows, columns)
        return local.products[:size].reshape(shape), local.mask[:size].reshape(shape)

    def _passing(
        self,
        products: Floats,
        mask: npt.NDArray[np.bool_],
        loose: Rows,
        axis: int,
        own: slice,
        other: slice,
    ) -> Pairs:
        """Return the products that reach the floors of the rows along `axis`.

        `loose` are the places of those that reach the lowest floor of all: the answer is
        among them, and where they are few, they are all that is looked at.
        """
        floors = self._floors[own]
        if len(loose) > _CROWD * sum(products.shape):
            every = np.greater_equal(products, np.expand_dims(floors, 1 - axis), out=mask)
            if self._crowded(int(np.count_nonzero(every)), len(floors)):
                self._raise_by_products(products, axis, own)
                np.greater_equal(products, np.expand_dims(floors, 1 - axis), out=mask)
            loose = np.flatnonzero(mask)
        places = np.divmod(loose, products.shape[1])
        similarities = products.ravel()[loose]
        kept = similarities >= floors[places[axis]]
        rows, others = (place[kept].astype(np.int32) for place in (places[axis], places[1 - axis]))
        return Pairs(rows, others + np.int32(other.start), similarities[kept])

    def _raise_by_products(self, products: Floats, axis: int, own: slice) -> None:
        """Raise floors by the `best`-th largest of group maxima: at least as many reach it."""
        best = self._wanted.best or 0
        maxima = group_maxima(products, axis, _CROWD * best)
        if best <= len(maxima):
            kth = np.partition(maxima, -best, axis=0)[-best]
            self._raise_floors(own, np.arange(len(kth)), kth)

    def _crowded(self, pairs: int, rows: int) -> bool:
        return self._wanted.best is not None and pairs > _CROWD * self._wanted.best * rows

    def _raise_floors(self, tile: slice, rows: Rows, kth: Floats) -> None:
        # Two threads may raise one floor at a time: the lower of both is a floor as well.
        floors = self._floors[tile]
        floors[rows] = np.maximum(floors[rows], kth - np.float32(self._wanted.slack))

    def _keep(self, i: int, pairs: Pairs) -> None:
        self._pending.add(i, pairs)
        tile = self._tiles[i]
        if self._crowded(self._pending.held(i), tile.stop - tile.start):
            self._pending.add(i, self._pruned(i, self._pending.take_held(i)))

    def _pruned(self, i: int, pairs: Pairs) -> Pairs:
        """Raise the floors of tile `i` by its pairs, and drop what is below them."""
        if self._wanted.best is None:
            return pairs
        floors = self._floors[self._tiles[i]]
        kth = kth_largest(pairs.rows, pairs.similarities, self._wanted.best)
        self._raise_floors(self._tiles[i], *kth)
        kept = pairs.similarities >= floors[pairs.rows]
        return Pairs(pairs.rows[kept], pairs.others[kept], pairs.similarities[kept])


def _tiles(rows: int) -> list[slice]:
    return [slice(i, min(i + TILE, rows)) for i in range(0, rows, TILE)]
