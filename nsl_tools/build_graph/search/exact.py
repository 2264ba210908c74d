"""Exact nearest neighbours by cosine.

Float32 products, by BLAS, only *propose* pairs, with a margin that
covers their rounding; every proposed pair is then weighed in float64, in an
order of summation that depends on the pair alone. So the result does not
depend on threads, blocks or the BLAS at hand.

The weight of a pair is the dot product of the two float32 vectors, divided by the
product of their norms, all in float64; it is 1 for vectors that are parallel, but for
their rounding to float32. The `k` best of a node are those with the largest
weight *as written* (millionths), ties to the larger id: what packing chooses.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.buffers import Buffers
from nsl_tools.arrays.cosines import exact_weights
from nsl_tools.arrays.edge_weights import MICRO, as_written, compact, restored
from nsl_tools.arrays.fingerprints import spans_of
from nsl_tools.arrays.groups import blocks, rank_in_group
from nsl_tools.arrays.ids import id_ranks, texts_at
from nsl_tools.arrays.ranking import rank_edges
from nsl_tools.build_graph.embeddings import UnitRows
from nsl_tools.build_graph.search.block_products import Wanted, all_pairs, pairs_between
from nsl_tools.build_graph.search.ivf import InvertedLists
from nsl_tools.build_graph.search.ties import Ties
from nsl_tools.spill.matrix import Rows, file_order, row_hashes
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nsl_tools.build_graph.embeddings import Embeddings
    from nsl_tools.spill.matrix import Matrix, MatrixStore
    from nsl_tools.threads import Workers


def bytes_per_thread(dimension: int) -> int:
    """Return the memory that each thread takes: products and units of a tile, pairs to weigh."""
    product_bytes = 6  # a float32, a mask, and what is picked of both
    weighed_bytes = 20  # of a number of two vectors: both in float64, one in float32 before
    return (
        TUNING.tile_rows * TUNING.tile_rows * product_bytes
        + max(TUNING.weighed_floats, dimension) * weighed_bytes
    )


@dataclass(frozen=True)
class Edges:
    """Directed edges between rows of the embeddings, all arrays of shape (m,).

    Sorted by source, then weight as written descending, then target id descending.
    """

    sources: Rows
    targets: Rows
    weights: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.weights)

    def cut(self, place: int) -> tuple[Edges, Edges]:
        """Return the edges before `place`, and the others."""
        before, after = slice(place), slice(place, None)
        return (
            Edges(self.sources[before], self.targets[before], self.weights[before]),
            Edges(self.sources[after], self.targets[after], self.weights[after]),
        )


class EdgeFlow:
    """Edges in order of their sources, to take part by part from one search.

    Args:
        found: batches of edges, ascending by source from batch to batch.
    """

    def __init__(self, found: Iterator[Edges]) -> None:
        self._found = found
        self._rest: list[Edges] = []

    def parts(self, sources: Iterable[Rows]) -> Iterator[Iterator[Edges]]:
        """Yield the edges that leave each part of all sources, ascending from part to part.

        Take all of a part before the next.
        """
        for rows in sources:
            yield self._until(int(rows[-1]) + 1) if len(rows) else iter(())

    def _until(self, end: int) -> Iterator[Edges]:
        for edges in chain(self._rest, self._found):
            before, after = edges.cut(int(np.searchsorted(edges.sources, end)))
            self._rest = [after] if len(after) else []
            yield before
            if self._rest:
                return


class NearestNeighbors:
    """Finds for each node its most similar others.

    Args:
        embeddings: the n nodes.
        k: neighbours per node at most, or None for all above the threshold.
        threshold: smallest weight of an edge.
        workers: the threads.
        store: keeps what may not fit the memory.

    Attributes:
        embeddings: the n nodes.
        k: neighbours per node at most, or None.
        workers: the threads.
        store: keeps what may not fit the memory.
    """

    def __init__(
        self,
        embeddings: Embeddings,
        k: int | None,
        threshold: float,
        workers: Workers,
        store: MatrixStore,
    ) -> None:
        self.embeddings = embeddings
        self.k = k
        self._threshold = threshold
        self.workers = workers
        self.store = store
        self._buffers = Buffers()
        # |fl(x.y) - x.y| <= d u / (1 - d u) for unit x, y, each number of which is off by 2 u;
        # thresholds are rounded, too.
        roundoff = 2.0**-24  # u of float32
        rounding = min(0.5, embeddings.vectors.shape[1] * roundoff)
        margin = rounding / (1 - rounding) + 6 * roundoff
        # One place more than k, since a row is its own best match.
        best = None if k is None else k + 1
        self._wanted = Wanted(best, threshold - margin, 2 * margin + 1 / MICRO)
        self._ranked = 0

    @cached_property
    def id_ranks(self) -> Rows:
        """The place of each node's id among all, in the order of their bytes, shape (n,)."""
        return id_ranks(self.embeddings.ids)

    def unit(self, rows: Rows) -> npt.NDArray[np.float64]:
        """Return the unit vectors of some rows, shape (m, d)."""
        return self.embeddings.unit(rows)

    @cached_property
    def _hashes(self) -> npt.NDArray[np.uint64]:
        return row_hashes(self.embeddings.vectors)

    def edges(self, queries: Rows, base: Rows) -> Iterator[Edges]:
        """Yield the edges from `queries` to `base` (ascending rows) in order of `queries`.

        Rows without direction (zero vectors) have no edges.
        """
        queries, base = (rows[self.embeddings.norms[rows] > 0] for rows in (queries, base))
        if not len(base):
            return
        search = self._within if np.array_equal(queries, base) else self._between
        yield from self.best_of_each(search(queries, base))

    def _within(self, rows: Rows, _: Rows) -> Iterator[tuple[Rows, Rows]]:
        """Yield candidates among `rows`, ascending by source from yield to yield."""
        surplus = self._surplus_duplicates(rows)
        rest, base = rows[surplus], rows[~surplus]
        done = 0
        units = UnitRows(self.embeddings, base)
        pool, ties = self.workers.products, self._ties(base, base)
        for i, j in all_pairs(units, self._wanted, pool, self.store, ties):
            sources, targets = [base[i]], [base[j]]
            # A row meets itself, so the largest source is the end of the batch.
            due = int(np.searchsorted(rest, sources[0].max()))
            for more in self._between(rest[done:due], base):
                sources.append(more[0])
                targets.append(more[1])
            done = due
            yield np.concatenate(sources), np.concatenate(targets)
        yield from self._between(rest[done:], base)

    def _surplus_duplicates(self, rows: Rows) -> npt.NDArray[np.bool_]:
        """Tell which rows need not be candidates: those with k + 1 equal vectors of larger ids.

        Without this, n equal vectors would mean n * n ties to be weighed.
        """
        surplus = np.zeros(len(rows), np.bool_)
        if self.k is None:
            return surplus
        hashes = self._hashes[rows]
        order = np.lexsort((-self.id_ranks[rows], hashes))
        ranks = rank_in_group(hashes[order])
        repeated = np.flatnonzero(ranks)
        first = order[repeated - ranks[repeated]]
        same = self._same_vectors(rows[first], rows[order[repeated]])
        # Equal hashes are only a hint: where different vectors share one, all stay candidates.
        certain = ~np.isin(hashes[first], hashes[first[~same]])
        surplus[order[repeated[certain & (ranks[repeated] > self.k)]]] = True
        return surplus

    def _same_vectors(self, left: Rows, right: Rows) -> npt.NDArray[np.bool_]:
        same = np.empty(len(left), np.bool_)
        vectors = self.embeddings.vectors
        for block in blocks(len(left), vectors.shape[1]):
            bits = (vectors[rows[block]].view(np.uint32) for rows in (left, right))
            same[block] = np.equal(*bits).all(axis=1)
        return same

    def _between(self, queries: Rows, base: Rows) -> Iterator[tuple[Rows, Rows]]:
        if len(queries):
            units = UnitRows(self.embeddings, queries), UnitRows(self.embeddings, base)
            pool, ties = self.workers.products, self._ties(queries, base)
            for sources, targets in pairs_between(*units, self._wanted, pool, self.store, ties):
                yield queries[sources], base[targets]

    def _ties(self, queries: Rows, base: Rows) -> Ties | None:
        best = self._wanted.best
        return None if best is None else Ties(self, queries, base, best, self._threshold)

    def best(self, sources: Rows, targets: Rows) -> Edges:
        """Weigh distinct pairs, in any order, and keep the best of each source."""
        others = sources != targets
        sources, targets = sources[others], targets[others]
        weights = self.weigh(sources, targets)
        near = weights >= self._threshold
        return self.select(sources[near], targets[near], weights[near])

    def best_of_each(self, pairs: Iterable[tuple[Rows, Rows]]) -> Iterator[Edges]:
        """Yield `best` of each batch of pairs, in order; other threads work some batches ahead."""
        return self.workers.ahead(lambda batch: self.best(*batch), pairs)

    def weigh_compactly(self, sources: Rows, targets: Rows) -> npt.NDArray[np.int32]:
        """Return the weight of each pair as `compact` does; negative below the threshold."""
        weights = self.weigh(sources, targets)
        return np.where(weights >= self._threshold, compact(weights), np.int32(-1))

    def choose_of_each(
        self, pairs: Iterable[tuple[Rows, Rows, npt.NDArray[np.int32]]]
    ) -> Iterator[Edges]:
        """Yield the best of each source of each batch of pairs, weighed by `weigh_compactly`.

        In order; other threads work some batches ahead.
        """

        def choose(sources: Rows, targets: Rows, weights: npt.NDArray[np.int32]) -> Edges:
            near = weights >= 0
            return self.select(sources[near], targets[near], restored(weights[near]))

        return self.workers.ahead(lambda batch: choose(*batch), pairs)

    def inverted_lists(self, rows: Rows, seed: int) -> InvertedLists:
        """Return the inverted lists that find about the k best among `rows`."""
        units, wanted = self.units(rows), self._wanted
        return InvertedLists(units, self.k or 0, wanted.threshold, wanted.slack, self.workers, seed)

    def reordered(self, rows: Rows) -> NearestNeighbors:
        """Return the same for `rows` only; vectors as `spill.matrix.reordered` returns them."""
        found = copy.copy(self)
        found.embeddings = self.embeddings.reordered(rows, self.store)
        return found

    def units(self, rows: Rows) -> UnitRows:
        """Return the unit vectors of `rows`, ascending."""
        return UnitRows(self.embeddings, rows)

    def weigh(self, sources: Rows, targets: Rows) -> npt.NDArray[np.float64]:
        """Return the weight of each pair, shape (m,), symmetric to the bit."""
        norms, far = self.embeddings.norms, self.embeddings.vectors
        near, places, order = far, sources, np.arange(len(sources))
        if not isinstance(far, np.ndarray):
            # The sources of a batch are few; targets are read in the order of the file.
            distinct, places = np.unique(sources, return_inverse=True)
            near, order = far[distinct], file_order(far, targets)
        weights = np.empty(len(sources), np.float64)
        step = max(1, TUNING.weighed_floats // max(1, far.shape[1]))
        for start in range(0, len(sources), step):
            pairs = order[start : start + step]
            weights[pairs] = exact_weights(
                self._exact_rows("near", near, places.take(pairs)),
                self._exact_rows("far", far, targets.take(pairs)),
                norms.take(sources.take(pairs)) * norms.take(targets.take(pairs)),
            )
        return weights

    def _exact_rows(self, name: str, matrix: Matrix, rows: Rows) -> npt.NDArray[np.float64]:
        """Return rows in float64, in which the product of two float32 numbers is exact."""
        shape = len(rows), matrix.shape[1]
        found = self._buffers.array(name, np.float64, *shape)
        if isinstance(matrix, np.ndarray):
            taken = self._buffers.array("taken", np.float32, *shape)
            # Nothing is clipped: but in the default mode, `take` would fill a copy of `out` first.
            found[:] = matrix.take(rows, axis=0, out=taken, mode="clip")
        else:
            found[:] = matrix[rows]
        return found

    def _ranks(self, rows: Rows) -> Rows:
        """Return numbers that order `rows`, shape (m,), as their ids are ordered, by bytes."""
        ids = self.embeddings.ids
        self._ranked += len(rows)
        # Where few nodes have edges, most ids are nobody's target: once a quarter was asked for,
        # all are ranked.
        if self._ranked * 4 > len(ids):
            return self.id_ranks[rows]
        distinct, places = np.unique(rows, return_inverse=True)
        return id_ranks(texts_at(*spans_of(ids, distinct)))[places]

    def select(self, sources: Rows, targets: Rows, weights: npt.NDArray[np.float64]) -> Edges:
        """Return the best edges of each source, of distinct ones, shapes (m,)."""
        written = as_written(weights).astype(np.float64)
        order = rank_edges(sources, written, lambda places: self._ranks(targets[places]))
        sources, targets, weights = sources[order], targets[order], weights[order]
        if self.k is not None:
            kept = rank_in_group(sources) < self.k
            sources, targets, weights = sources[kept], targets[kept], weights[kept]
        return Edges(sources, targets, weights)
