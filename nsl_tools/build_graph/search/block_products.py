"""Candidate pairs from float32 products: every pair that could be an edge, and few others.

Each row has a threshold: no pair below it can be among the row's k best. It begins as the
smallest similarity of an edge, and rises as better pairs are found. It stays below the
k-th value by a slack that covers float32 rounding, so that nothing is lost whatever the
order of the work. Where float32 cannot tell candidates apart, and so keeps too many, `Ties`
can.

The products are cut into square tiles. All pairs of one set are a triangle of
them: a tile's product serves the rows of both its sides, so half the products
are enough. Queries against another set are a rectangle, which serves one side.

Tiles of queries are taken by bands, so that each tile of the base is made once for each
band. Threads multiply the next band while the pairs of the one before are weighed. What
they find goes to `Pending`, which spills what its memory budget does not hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.buffers import Buffers
from nsl_tools.arrays.top_k import kth_largest, mark_top_k, true_places
from nsl_tools.build_graph.search.candidate_spill import Pairs, Pending, by_rows
from nsl_tools.progress import Work
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor, Future

    from nsl_tools.build_graph.search.ties import Ties
    from nsl_tools.spill.matrix import Floats, MatrixStore, Rows


class Units(Protocol):
    """Unit vectors, shape (n, d), float32: a block of rows at a time."""

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (n, d)."""

    def __len__(self) -> int:
        """Return n."""

    def __getitem__(self, rows: slice, /) -> Floats:
        """Return consecutive rows."""


@dataclass(frozen=True)
class Wanted:
    """Which pairs are wanted.

    Attributes:
        best: pairs per row at most, the row itself counted; None for all.
        threshold: smallest similarity.
        slack: how far float32 similarities differ if their order is certain.
    """

    best: int | None
    threshold: float
    slack: float


def all_pairs(
    unit: Units,
    wanted: Wanted,
    pool: Executor,
    store: MatrixStore,
    ties: Ties | None = None,
    apart: int = 0,
    work: Work | None = None,
) -> Iterator[tuple[Rows, Rows]]:
    """Yield candidates `(sources, targets)` among the rows of `unit`, shape (n, d), itself.

    By batches of consecutive sources, in order; a row may be paired with itself. Without `ties`
    all that float32 cannot tell apart are candidates. If `apart` is not 0, only pairs of a row
    before it and one from it on are compared. `work` counts products.
    """
    return _Sweep(unit, unit, wanted, pool, store, ties, apart, work).pairs()


def pairs_between(
    queries: Units,
    base: Units,
    wanted: Wanted,
    pool: Executor,
    store: MatrixStore,
    ties: Ties | None = None,
    work: Work | None = None,
) -> Iterator[tuple[Rows, Rows]]:
    """Yield candidates `(row of queries, row of base)`, shapes (m, d) and (n, d).

    By batches of consecutive queries, in order; `work` and `ties` as of `all_pairs`.
    """
    return _Sweep(queries, base, wanted, pool, store, ties, 0, work).pairs()


class _Sweep:
    """The state of one sweep: thresholds, and the candidates found so far for each tile of queries.

    If `queries` is `base`, it is a triangle; with `apart`, the rectangle in it of the rows before
    that and those from it on.
    """

    def __init__(
        self,
        queries: Units,
        base: Units,
        wanted: Wanted,
        pool: Executor,
        store: MatrixStore,
        ties: Ties | None,
        apart: int,
        work: Work | None,
    ) -> None:
        self._queries, self._base = queries, base
        self._ties = ties
        self._triangle = queries is base
        self._wanted = wanted
        self._pool = pool
        self._thresholds = np.full(len(queries), wanted.threshold, np.float32)
        height = tile_height(store.budget, queries.shape[1])
        self._tiles = _tiles(0, apart, height) + _tiles(apart, len(queries), height)
        self._base_tiles = self._tiles if self._triangle else _tiles(0, len(base), height)
        self._first_tiles = -(-apart // height)  # of the rows before `apart`
        self._pending = Pending(len(self._tiles), height, store)
        self._limits = [TUNING.crowd * (wanted.best or 0) * height] * len(self._tiles)
        tile_floats = height * max(1, queries.shape[1])
        self._band = band_tiles(len(self._tiles), tile_floats, store.budget)
        self._batch_size = pairs_of_batch(store)
        self._buffers = Buffers()
        self._stopped = False
        self._work = work or Work()
        self._work.expect(self._products(apart))

    def _products(self, apart: int) -> int:
        """Return how many products all tiles are."""
        if apart:
            return apart * (len(self._queries) - apart)
        products = len(self._queries) * len(self._base)
        if not self._triangle:
            return products
        return int(products + sum((tile.stop - tile.start) ** 2 for tile in self._tiles)) // 2

    def pairs(self) -> Iterator[tuple[Rows, Rows]]:
        tiles = len(self._tiles)
        bands = [range(i, min(i + self._band, tiles)) for i in range(0, tiles, self._band)]
        started: list[list[Future[None]]] = []
        try:
            for band, following in zip(bands, [*bands[1:], None], strict=True):
                started = started or [self._start(band)]
                if following is not None:
                    started.append(self._start(following))
                with self._work.awaited():
                    for done in started.pop(0):
                        done.result()
                yield from self._batches(band)
        finally:
            self._stopped = True

    def _start(self, band: range) -> list[Future[None]]:
        """Start multiplying a band with each tile of the base that is due."""
        due = [*range(len(self._base_tiles))]
        if self._triangle:
            # The tiles of the band itself come last, and those with the most work first.
            due = [*due[band.stop :], *reversed(band)]
        due = [j for j in due if any(self._is_due(i, j) for i in band)]
        if not due:
            return []
        queries = self._queries[slice(self._tiles[band[0]].start, self._tiles[band[-1]].stop)]
        return [self._pool.submit(self._multiply_band, band, queries, j) for j in due]

    def _is_due(self, i: int, j: int) -> bool:
        """Tell whether tile `i` of the queries is multiplied with tile `j` of the base."""
        if self._first_tiles:
            return i < self._first_tiles <= j
        return not self._triangle or i <= j

    def _batches(self, band: range) -> Iterator[tuple[Rows, Rows]]:
        """Yield the candidates of a band, a batch at a time."""
        batch, size = [], 0
        for i in band:
            for taken in self._pending.take(i, self._batch_size):
                for pairs in by_rows(self._pruned(i, taken), self._batch_size):
                    sources = pairs.rows.astype(np.int64) + self._tiles[i].start
                    batch.append((sources, pairs.others.astype(np.int64)))
                    size += len(pairs)
                    if size >= self._batch_size:
                        yield _concatenated(batch)
                        batch, size = [], 0
        if size:
            yield _concatenated(batch)

    def _multiply_band(self, band: range, queries: Floats, j: int) -> None:
        """Multiply a band with tile `j`, and keep the candidates."""
        base = self._base[self._base_tiles[j]]
        start = self._tiles[band[0]].start
        for i in band:
            if not self._stopped and self._is_due(i, j):
                tile = self._tiles[i]
                own = queries[tile.start - start : tile.stop - start]
                self._multiply(i, j, own, base)
                self._work.add(len(own) * len(base))

    def _multiply(self, i: int, j: int, queries: Floats, base: Floats) -> None:
        """Multiply two tiles; keep the candidates of `i`, in a triangle of `j` too."""
        left, right = self._tiles[i], self._base_tiles[j]
        sides = [(i, 0, right), (j, 1, left)][: 1 + (self._triangle and i != j)]
        if self._ties:
            sides = [s for s in sides if not self._ties.settled(self._tiles[s[0]], s[2])]
        if not sides:
            return
        products = self._buffers.array("products", np.float32, len(queries), len(base))
        mask = self._buffers.array("mask", np.bool_, len(queries), len(base))
        np.matmul(queries, base.T, out=products)
        lowest = min(self._thresholds[self._tiles[tile]].min() for tile, _, _ in sides)
        np.greater_equal(products, lowest, out=mask)
        few = np.count_nonzero(mask) <= TUNING.crowd * sum(products.shape)
        loose = true_places(mask) if few else None
        for tile, axis, other in sides:
            own = self._tiles[tile]
            crowd = self._crowd(products, mask, axis, own, other)
            places = crowd if loose is None else [loose]
            for some in places:
                self._keep(tile, self._passing(products, some, axis, own, other))

    def _crowd(
        self,
        products: Floats,
        mask: npt.NDArray[np.bool_],
        axis: int,
        own: slice,
        other: slice,
    ) -> Iterator[Rows]:
        """Yield the places that reach the thresholds of rows along `axis`, some at a time."""
        thresholds = self._thresholds[own]
        best, ties = self._wanted.best, self._ties
        known = ties is not None and ties.known(own)
        if best is None or known:
            np.greater_equal(products, np.expand_dims(thresholds, 1 - axis), out=mask)
        else:
            slack = self._wanted.slack
            self._raise_thresholds(own, mark_top_k(products, axis, thresholds, best, mask, slack))
        if best is not None and ties:
            most = TUNING.crowd * best * len(thresholds)
            if known or np.count_nonzero(mask) > most:
                ties.narrow(mask.T if axis else mask, own, other, most)
                self._raise_by_ties(own, ties)
        few = np.count_nonzero(mask) <= TUNING.crowd * sum(mask.shape)
        step = len(mask) if few else TUNING.strip_rows
        for start in range(0, len(mask), step):
            yield true_places(mask[start : start + step]) + start * mask.shape[1]

    def _passing(
        self, products: Floats, places: Rows, axis: int, own: slice, other: slice
    ) -> Pairs:
        """Return the products at `places` that reach the thresholds of `own`, along `axis`."""
        sides = np.divmod(places, products.shape[1])
        similarities = products.ravel()[places]
        kept = similarities >= self._thresholds[own][sides[axis]]
        rows, others = (side[kept].astype(np.int32) for side in (sides[axis], sides[1 - axis]))
        pairs = Pairs(rows, others + np.int32(other.start), similarities[kept])
        tied = self._ties and self._ties.known(own)
        return self._ties.hopeful(pairs, own) if self._ties and tied else pairs

    def _raise_thresholds(self, tile: slice, raised: Floats) -> None:
        # Two threads may raise one at a time: the lower of both values is right as well.
        np.maximum(self._thresholds[tile], raised, out=self._thresholds[tile])

    def _raise_by_ties(self, tile: slice, ties: Ties) -> None:
        least = ties.least_weights(tile) - self._wanted.slack / 2
        self._raise_thresholds(tile, least.astype(np.float32))

    def _keep(self, i: int, pairs: Pairs) -> None:
        if not len(pairs):
            return
        held = self._pending.add(i, pairs)
        if self._wanted.best is not None and held > self._limits[i]:
            fewer = self._pruned(i, self._pending.take_held(i))
            if self._ties and len(fewer) > self._limits[i] // 2:
                fewer = self._ties.best(fewer, self._tiles[i])
                self._raise_by_ties(self._tiles[i], self._ties)
            # Where ties keep many, look again only after as many more.
            self._limits[i] = max(self._limits[i], 2 * len(fewer))
            self._pending.add(i, fewer)

    def _pruned(self, i: int, pairs: Pairs) -> Pairs:
        """Raise the thresholds of tile `i` by its pairs, and drop what is below them."""
        if self._wanted.best is None:
            return pairs
        thresholds = self._thresholds[self._tiles[i]]
        rows, kth = kth_largest(pairs.rows, pairs.similarities, self._wanted.best)
        thresholds[rows] = np.maximum(thresholds[rows], kth - np.float32(self._wanted.slack))
        kept = pairs.similarities >= thresholds[pairs.rows]
        return Pairs(pairs.rows[kept], pairs.others[kept], pairs.similarities[kept])


def tile_height(budget: int, dimension: int) -> int:
    """Return the rows of a tile, where units of `dimension` may take a share of `budget` bytes."""
    tile_bytes = max(1 << 20, budget // 4)  # of unit vectors: where these are long, rows are few
    return max(1, min(TUNING.tile_rows, tile_bytes // (4 * max(1, dimension))))


def band_tiles(tiles: int, tile_floats: int, budget: int) -> int:
    """Return how many tiles a band has, where a tile and `budget` bytes are so large."""
    # Two bands of unit vectors, and the vectors of a batch of pairs as read, with some to spare.
    fitting = budget // 4 // (4 * tile_floats)
    # Several bands, so that weighing the pairs of one goes on beside the products of the next.
    eighth = tiles // 8
    least, most = 8, 64
    return max(1, min(fitting, max(least, eighth), most))


def pairs_of_batch(store: MatrixStore) -> int:
    """Return how many candidates are weighed together."""
    return pairs_at_once(store.budget, spilled=store.spilled)


def pairs_at_once(budget: int, *, spilled: bool) -> int:
    """Return how many candidates are weighed together, in so many bytes.

    Args:
        budget: the bytes.
        spilled: whether vectors are in a scratch file.
    """
    pair_bytes = 512  # some batches at a time, with all that weighing a pair takes
    # Reading a file wants large batches; without, those that stay in the cache are faster.
    largest = 1 << 20 if spilled else 1 << 16
    return min(max(TUNING.least_candidates, budget // pair_bytes), largest)


def _tiles(first: int, stop: int, height: int) -> list[slice]:
    return [slice(i, min(i + height, stop)) for i in range(first, stop, height)]


def _concatenated(batch: list[tuple[Rows, Rows]]) -> tuple[Rows, Rows]:
    sources, targets = zip(*batch, strict=True)
    return np.concatenate(sources), np.concatenate(targets)
