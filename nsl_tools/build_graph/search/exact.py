"""Exact nearest neighbours by cosine.

Float32 products, by BLAS, only *propose* pairs, with a margin that
covers their rounding; every proposed pair is then weighed in float64, in an
order of summation that depends on the pair alone (`weigher`). So the result does not
depend on threads, blocks or the BLAS at hand.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.edge_weights import MICRO
from nsl_tools.arrays.groups import blocks, rank_in_group
from nsl_tools.build_graph.embeddings import UnitRows
from nsl_tools.build_graph.search.block_products import (
    Wanted,
    all_pairs,
    pairs_between,
    pairs_of_batch,
)
from nsl_tools.build_graph.search.ivf import InvertedLists
from nsl_tools.build_graph.search.ties import Ties
from nsl_tools.progress import Progress, Work
from nsl_tools.spill.matrix import Rows, row_hashes
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nsl_tools.build_graph.edges import Edges
    from nsl_tools.build_graph.search.candidate_keys import Keys
    from nsl_tools.build_graph.search.candidates import Candidates, WeighedCandidates
    from nsl_tools.build_graph.search.ivf import ListRunner, ListSearcher
    from nsl_tools.build_graph.weigher import EdgeWeigher
    from nsl_tools.spill.matrix import MatrixStore
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
class Threads:
    """Searches lists, and weighs what was found, on threads of this process.

    Attributes:
        workers: the threads.
        progress: how to report progress.
    """

    workers: Workers
    progress: Progress = field(default_factory=Progress)

    def found(
        self, searcher: ListSearcher, searches: Iterator[tuple[Rows, Rows]], at_once: int
    ) -> Iterator[list[Keys]]:
        """Yield what each search of some members and queries finds, `at_once` of them together."""
        while some := list(islice(searches, at_once)):
            yield list(self.workers.products.map(searcher.search, some))

    def weighed(
        self, candidates: Candidates, rows: Rows, weigher: EdgeWeigher
    ) -> WeighedCandidates:
        """Return candidates, those of `rows` weighed as far as they may be among the best."""
        with self.progress.phase("weighing", unit="nodes") as work:
            return candidates.weigh(rows, weigher.weigh_compactly, self.workers.products, work)


class NearestNeighbors:
    """Finds for each node its most similar others.

    Args:
        weigher: weighs pairs of the n nodes and chooses the best.
        workers: the threads.
        store: keeps what may not fit the memory.
        runner: searches lists; None for the threads.
        progress: how to report progress.

    Attributes:
        weigher: as given.
        embeddings: the n nodes.
        k: neighbours per node at most, or None.
        workers: the threads.
        store: keeps what may not fit the memory.
        runner: searches lists.
        progress: how to report progress.
    """

    def __init__(
        self,
        weigher: EdgeWeigher,
        workers: Workers,
        store: MatrixStore,
        runner: ListRunner | None = None,
        progress: Progress = Progress(),  # noqa: B008 - quiet, it keeps nothing
    ) -> None:
        self.weigher = weigher
        self.runner = runner or Threads(workers, progress)
        self.progress = progress
        self.embeddings, self.k = weigher.embeddings, weigher.k
        self.workers = workers
        self.store = store
        # |fl(x.y) - x.y| <= d u / (1 - d u) for unit x, y, each number of which is off by 2 u;
        # thresholds are rounded, too.
        roundoff = 2.0**-24  # u of float32
        rounding = min(0.5, self.embeddings.vectors.shape[1] * roundoff)
        margin = rounding / (1 - rounding) + 6 * roundoff
        # One place more than k, since a row is its own best match.
        best = None if self.k is None else self.k + 1
        self._wanted = Wanted(best, weigher.threshold - margin, 2 * margin + 1 / MICRO)

    @cached_property
    def _hashes(self) -> npt.NDArray[np.uint64]:
        return row_hashes(self.embeddings.vectors)

    def edges(self, queries: Rows, base: Rows, work: Work | None = None) -> Iterator[Edges]:
        """Yield the edges from `queries` to `base` (ascending rows) in order of `queries`.

        Rows without direction (zero vectors) have no edges. `work` counts products; without it,
        to compare is a phase of the run.
        """
        if work is not None:
            yield from self._edges(queries, base, work)
            return
        with self.progress.phase("comparing", unit="products") as own_work:
            yield from self._edges(queries, base, own_work)

    def _edges(self, queries: Rows, base: Rows, work: Work) -> Iterator[Edges]:
        queries, base = (rows[self.embeddings.norms[rows] > 0] for rows in (queries, base))
        if not len(base):
            return
        same = np.array_equal(queries, base)
        pairs = self._within(base, work) if same else self._between(queries, base, work)
        yield from self.best_of_each(pairs)

    def edges_across(self, first: Rows, others: Rows) -> Iterator[Edges]:
        """Yield the edges between two sets of rows, in both directions, in order of their sources.

        Args:
            first: ascending.
            others: ascending, all after the last of `first`.
        """
        first, others = (rows[self.embeddings.norms[rows] > 0] for rows in (first, others))
        if len(first) and len(others):
            rows = np.concatenate([first, others])
            yield from self.best_of_each(self._within(rows, Work(), len(first)))

    def _within(self, rows: Rows, work: Work, apart: int = 0) -> Iterator[tuple[Rows, Rows]]:
        """Yield candidates among `rows`, ascending by source from yield to yield.

        With `apart`, only those of a row before that place and one from it on; a few others may
        be among them.
        """
        surplus = self._surplus_duplicates(rows)
        rest, base = rows[surplus], rows[~surplus]
        done = 0
        units = UnitRows(self.embeddings, base)
        pool, ties = self.workers.products, self._ties(base, base)
        apart -= int(np.count_nonzero(surplus[:apart]))
        for i, j in all_pairs(units, self._wanted, pool, self.store, ties, apart, work):
            if not len(i):
                continue
            due = int(np.searchsorted(rest, base[i].max()))
            yield from self._with_surplus(base[i], base[j], rest[done:due], base, work)
            done = due
        yield from self._between(rest[done:], base, work)

    def _with_surplus(
        self, sources: Rows, targets: Rows, surplus: Rows, base: Rows, work: Work
    ) -> Iterator[tuple[Rows, Rows]]:
        """Yield pairs, and the candidates of surplus rows that come before the last source.

        Of as many of these at a time as make a batch.
        """
        step = max(TUNING.tile_rows, pairs_of_batch(self.store) // (self._wanted.best or 1))
        for first in range(0, len(surplus), step):
            some = surplus[first : first + step]
            early = sources <= some[-1]
            parts = [(sources[early], targets[early]), *self._between(some, base, work)]
            yield np.concatenate([i for i, _ in parts]), np.concatenate([j for _, j in parts])
            sources, targets = sources[~early], targets[~early]
        yield sources, targets

    def _surplus_duplicates(self, rows: Rows) -> npt.NDArray[np.bool_]:
        """Tell which rows need not be candidates: those with k + 1 equal vectors of larger ids.

        Without this, n equal vectors would mean n * n ties to be weighed.
        """
        surplus = np.zeros(len(rows), np.bool_)
        if self.k is None:
            return surplus
        hashes = self._hashes[rows]
        order = np.lexsort((-self.weigher.id_ranks[rows], hashes))
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

    def _between(self, queries: Rows, base: Rows, work: Work) -> Iterator[tuple[Rows, Rows]]:
        if len(queries):
            units = UnitRows(self.embeddings, queries), UnitRows(self.embeddings, base)
            pool, ties = self.workers.products, self._ties(queries, base)
            for sources, targets in pairs_between(
                *units, self._wanted, pool, self.store, ties, work
            ):
                yield queries[sources], base[targets]

    def _ties(self, queries: Rows, base: Rows) -> Ties | None:
        best = self._wanted.best
        return (
            None
            if best is None
            else Ties(self.weigher, queries, base, best, self.weigher.threshold)
        )

    def best_of_each(self, pairs: Iterable[tuple[Rows, Rows]]) -> Iterator[Edges]:
        """Yield `best` of each batch of pairs, in order; other threads work some batches ahead."""
        return self.workers.ahead(lambda batch: self.weigher.best(*batch), pairs)

    def choose_of_each(
        self, pairs: Iterable[tuple[Rows, Rows, npt.NDArray[np.int32]]]
    ) -> Iterator[Edges]:
        """Yield the best of each source of each batch of pairs, weighed by `weigh_compactly`.

        In order; other threads work some batches ahead.
        """
        return self.workers.ahead(lambda batch: self.weigher.choose(*batch), pairs)

    def inverted_lists(self, rows: Rows, seed: int, work: Work) -> InvertedLists:
        """Return the inverted lists that find about the k best among `rows`.

        `work` counts the products that it takes to place and to list their cells.
        """
        units, wanted = self.units(rows), self._wanted
        return InvertedLists(
            units, self.k or 0, wanted.threshold, wanted.slack, self.workers, self.runner, seed,
            work,
        )  # fmt: skip

    def reordered(self, rows: Rows) -> NearestNeighbors:
        """Return the same for `rows` only; vectors as `spill.matrix.reordered` returns them."""
        embeddings = self.embeddings.reordered(rows, self.store)
        weigher = replace(self.weigher, embeddings=embeddings)
        return NearestNeighbors(weigher, self.workers, self.store, self.runner, self.progress)

    def units(self, rows: Rows) -> UnitRows:
        """Return the unit vectors of `rows`, ascending."""
        return UnitRows(self.embeddings, rows)
