"""Exact weights of pairs of nodes, and the best edges of each.

The weight of a pair is the dot product of the two float32 vectors, divided by the
product of their norms, all in float64; it is 1 for vectors that are parallel, but for
their rounding to float32. The `k` best of a node are those with the largest
weight *as written* (millionths), ties to the larger id: what packing chooses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.buffers import Buffers
from nsl_tools.arrays.cosines import exact_weights
from nsl_tools.arrays.edge_weights import as_written, compact, restored
from nsl_tools.arrays.fingerprints import spans_of
from nsl_tools.arrays.groups import rank_in_group
from nsl_tools.arrays.ids import id_ranks, texts_at
from nsl_tools.arrays.ranking import rank_edges
from nsl_tools.build_graph.edges import Edges
from nsl_tools.spill.matrix import Rows, file_order
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    import pyarrow as pa

    from nsl_tools.build_graph.embeddings import Embeddings
    from nsl_tools.spill.matrix import Matrix

    Weights = npt.NDArray[np.float64]
    Compact = npt.NDArray[np.int32]


class IdRanks:
    """The order of the ids of n nodes, by their bytes."""

    def __init__(self, ids: pa.Array) -> None:
        """Take a binary array of distinct ids."""
        self._ids = ids
        self._asked = 0

    @cached_property
    def all(self) -> Rows:
        """The place of each id among all, shape (n,)."""
        return id_ranks(self._ids)

    def of(self, rows: Rows) -> Rows:
        """Return numbers that order `rows`, shape (m,), as their ids are ordered."""
        self._asked += len(rows)
        # Where few nodes have edges, most ids are nobody's target: once a quarter was asked for,
        # all are ranked.
        if self._asked * 4 > len(self._ids):
            return self.all[rows]
        distinct, places = np.unique(rows, return_inverse=True)
        return id_ranks(texts_at(*spans_of(self._ids, distinct)))[places]


class Ranks(Protocol):
    """The order of the ids of some nodes, by their bytes."""

    @property
    def all(self) -> Rows:
        """Numbers that order the ids of all of them, shape (n,)."""

    def of(self, rows: Rows) -> Rows:
        """Return numbers that order `rows`, shape (m,), as their ids are ordered."""


@dataclass(frozen=True)
class KnownRanks:
    """The order of the ids of some nodes, known before.

    Attributes:
        all: numbers that order the ids of all of them, shape (n,).
    """

    all: Rows

    def of(self, rows: Rows) -> Rows:
        """Return numbers that order `rows`, shape (m,), as their ids are ordered."""
        return self.all[rows]


@dataclass(frozen=True)
class EdgeWeigher:
    """Weighs pairs of rows, and chooses the best edges of each.

    Attributes:
        embeddings: the n nodes.
        k: edges that leave a node at most, or None for all above the threshold.
        threshold: smallest weight of an edge.
        ids: the order of their ids.
    """

    embeddings: Embeddings
    k: int | None
    threshold: float
    ids: Ranks
    _buffers: Buffers = field(default_factory=Buffers, repr=False)

    @property
    def id_ranks(self) -> Rows:
        """The place of each node's id among all, in the order of their bytes, shape (n,)."""
        return self.ids.all

    def unit(self, rows: Rows) -> Weights:
        """Return the unit vectors of some rows, shape (m, d)."""
        return self.embeddings.unit(rows)

    def weigh(self, sources: Rows, targets: Rows) -> Weights:
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

    def _exact_rows(self, name: str, matrix: Matrix, rows: Rows) -> Weights:
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

    def weigh_compactly(self, sources: Rows, targets: Rows) -> Compact:
        """Return the weight of each pair as `compact` does; negative below the threshold."""
        weights = self.weigh(sources, targets)
        return np.where(weights >= self.threshold, compact(weights), np.int32(-1))

    def best(self, sources: Rows, targets: Rows) -> Edges:
        """Weigh distinct pairs, in any order, and keep the best of each source."""
        others = sources != targets
        sources, targets = sources[others], targets[others]
        weights = self.weigh(sources, targets)
        near = weights >= self.threshold
        return self.select(sources[near], targets[near], weights[near])

    def choose(self, sources: Rows, targets: Rows, weights: Compact) -> Edges:
        """Return the best edges of each source, of pairs weighed by `weigh_compactly`."""
        near = weights >= 0
        return self.select(sources[near], targets[near], restored(weights[near]))

    def select(self, sources: Rows, targets: Rows, weights: Weights) -> Edges:
        """Return the best edges of each source, of distinct ones, shapes (m,)."""
        written = as_written(weights).astype(np.float64)
        order = rank_edges(sources, written, lambda places: self.ids.of(targets[places]))
        sources, targets, weights = sources[order], targets[order], weights[order]
        if self.k is not None:
            kept = rank_in_group(sources) < self.k
            sources, targets, weights = sources[kept], targets[kept], weights[kept]
        return Edges(sources, targets, weights)
