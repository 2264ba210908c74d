"""Exact nearest neighbours by cosine.

Float32 products, by FAISS and BLAS, only *propose* pairs, with a margin that
covers their rounding; every proposed pair is then weighed in float64, in an
order of summation that depends on the pair alone. So the result does not
depend on threads, blocks or the BLAS at hand.

The weight of a pair is the dot product of the two float32 vectors, each divided
by its norm, all in float64. The `k` best of a node are those with the largest
weight *as written* (millionths), ties to the larger id: what packing chooses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import faiss
import numpy as np
import numpy.typing as npt

from nsl_tools.groups import rank_in_group
from nsl_tools.ids import id_ranks
from nsl_tools.weights import MICRO, as_written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nsl_tools.embeddings import Embeddings

Rows = npt.NDArray[np.int64]

_SPARE = 8
_CELLS = 1 << 24
_QUERIES = 2048
_PAIR_FLOATS = 1 << 22


@dataclass(frozen=True)
class Edges:
    """Directed edges between rows of the embeddings, all arrays of shape (m,).

    Sorted by source, then weight as written descending, then target id descending.
    """

    sources: Rows
    targets: Rows
    weights: npt.NDArray[np.float64]


class NearestNeighbors:
    """Finds for each node its most similar others.

    Args:
        embeddings: the n nodes.
        k: neighbours per node at most, or None for all above the threshold.
        threshold: smallest weight of an edge.
    """

    def __init__(self, embeddings: Embeddings, k: int | None, threshold: float) -> None:
        self._embeddings = embeddings
        self._k = k
        self._threshold = threshold
        self._unit = embeddings.unit(slice(None)).astype(np.float32)
        # |fl(x.y) - x.y| <= d u / (1 - d u) for unit x, y, and both were rounded themselves.
        self._margin = (embeddings.vectors.shape[1] + 8) * 2.0**-24
        self._id_ranks = id_ranks(embeddings.ids)

    def edges(self, queries: Rows, base: Rows) -> Iterator[Edges]:
        """Yield the edges from `queries` to `base`, some sources at a time, in order of `queries`.

        Rows without direction (zero vectors) have no edges.
        """
        queries = queries[self._embeddings.norms[queries] > 0]
        base = base[self._embeddings.norms[base] > 0]
        if not len(base):
            return
        columns = self._unit if len(base) == len(self._unit) else self._unit[base]
        block = max(1, min(_QUERIES, _CELLS // len(base)))
        for start in range(0, len(queries), block):
            rows = queries[start : start + block]
            yield self.best(*self._propose(rows, base, columns))

    def _propose(
        self, rows: Rows, base: Rows, columns: npt.NDArray[np.float32]
    ) -> tuple[Rows, Rows]:
        """Return pairs (sources, targets) among which are all edges from `rows` to `base`."""
        vectors = self._unit[rows]
        floors = np.full(len(rows), self._threshold - self._margin, np.float64)
        if self._k is None or self._k + 1 + _SPARE >= len(base):
            return _above(vectors, columns, floors, rows, base)
        similarities, found = faiss.knn(
            vectors, columns, self._k + 1 + _SPARE, metric=faiss.METRIC_INNER_PRODUCT
        )
        # At least k others reach the (k+1)-th value, since self takes one place at most.
        kth = similarities[:, self._k].astype(np.float64)
        floors = np.maximum(floors, kth - 2 * self._margin - 1 / MICRO)
        settled = similarities[:, -1] < floors
        i, j = np.nonzero((similarities >= floors[:, np.newaxis]) & settled[:, np.newaxis])
        more = ~settled
        rest = _above(vectors[more], columns, floors[more], rows[more], base)
        return np.concatenate([rows[i], rest[0]]), np.concatenate([base[found[i, j]], rest[1]])

    def best(self, sources: Rows, targets: Rows) -> Edges:
        """Weigh distinct pairs, in any order, and keep the best of each source."""
        others = sources != targets
        sources, targets = sources[others], targets[others]
        weights = self._weigh(sources, targets)
        near = weights >= self._threshold
        return self._select(sources[near], targets[near], weights[near])

    def _weigh(self, sources: Rows, targets: Rows) -> npt.NDArray[np.float64]:
        """Return the weight of each pair, shape (m,), symmetric to the bit."""
        weights = np.empty(len(sources), np.float64)
        step = max(1, _PAIR_FLOATS // max(1, self._unit.shape[1]))
        for start in range(0, len(sources), step):
            pairs = slice(start, start + step)
            left = self._embeddings.unit(sources[pairs])
            right = self._embeddings.unit(targets[pairs])
            weights[pairs] = np.einsum("ij,ij->i", left, right)
        # Rounding may leave the range of a cosine by an ulp, and so miss a threshold of -1.
        return np.clip(weights, -1.0, 1.0)

    def _select(self, sources: Rows, targets: Rows, weights: npt.NDArray[np.float64]) -> Edges:
        order = np.lexsort((-self._id_ranks[targets], -as_written(weights), sources))
        sources, targets, weights = sources[order], targets[order], weights[order]
        if self._k is not None:
            kept = rank_in_group(sources) < self._k
            sources, targets, weights = sources[kept], targets[kept], weights[kept]
        return Edges(sources, targets, weights)


def _above(
    vectors: npt.NDArray[np.float32],
    columns: npt.NDArray[np.float32],
    floors: npt.NDArray[np.float64],
    rows: Rows,
    base: Rows,
) -> tuple[Rows, Rows]:
    """Return the pairs (row, base row) whose float32 product reaches the row's floor."""
    i, j = np.nonzero(vectors @ columns.T >= floors[:, np.newaxis].astype(np.float32))
    return rows[i], base[j]
