"""Candidates that float32 products cannot tell apart, cut to those that may be among the best.

Weights rank as written, in millionths, ties by the larger id. Where many rows are nearly
parallel, float32 products propose all pairs of them, and every one could be among the best.
There the last of the best of a row is known by its *key*, the weight as written and the rank
of the id in one number, and what has a smaller key is left out:

- a tile with too many candidates is multiplied once more in float64, which is exact but for a
  millionth of what is written;
- if that leaves too many, the best of each row stay, and raise its key;
- before all that, a row's key is raised by the rows with the largest ids, since those
  win the ties. So a row with many parallel ones soon leaves most of them out.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.cosines import PARALLEL
from nsl_tools.arrays.edge_weights import MICRO, as_written
from nsl_tools.arrays.groups import rank_in_group
from nsl_tools.build_graph.search.candidate_spill import Pairs
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from nsl_tools.spill.matrix import Rows

    Keys = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]

_ID_BITS = 32  # of a key, for the rank of an id; the weight as written is above them
_LOW = (1 << _ID_BITS) - 1
_NO_KEY = -(1 << 62)  # less than the key of any weight, and far from the least int64


class ExactRows(Protocol):
    """Rows whose weights can be computed exactly."""

    @property
    def id_ranks(self) -> Rows:
        """The place of each row's id among all, shape (n,)."""

    def unit(self, rows: Rows) -> npt.NDArray[np.float64]:
        """Return the unit vectors of some rows, shape (m, d)."""

    def weigh(self, sources: Rows, targets: Rows) -> npt.NDArray[np.float64]:
        """Return the weights of pairs of rows, shape (m,)."""


class Ties:
    """What is known of the last of the best candidates of each query.

    Args:
        exact: computes weights and ranks ids.
        queries: the rows that want candidates, shape (m,).
        base: the rows that may be candidates, shape (n,).
        best: how many a query wants, itself counted.
        threshold: smallest weight of an edge: what is below it is no candidate.
    """

    def __init__(
        self, exact: ExactRows, queries: Rows, base: Rows, best: int, threshold: float
    ) -> None:
        self._exact, self._queries, self._base, self._best = exact, queries, base, best
        self._threshold = threshold
        # What is heavier than parallel vectors weighs as much as can be.
        self._least = min(threshold, PARALLEL) * MICRO
        self._keys = np.full(len(queries), _NO_KEY)
        self._seeded: set[int] = set()
        self._lock = threading.Lock()
        self._top: Rows | None = None

    def settled(self, tile: slice, others: slice) -> bool:
        """Tell whether the ids of the others are too small to be among the best of any query."""
        if not self.known(tile):
            return False
        highest = self._exact.id_ranks[self._base[others]].max() + (MICRO << _ID_BITS)
        return bool(self._keys[tile].min() > highest)

    def known(self, tile: slice) -> bool:
        """Tell whether candidates of these queries were too many before."""
        return tile.start in self._seeded

    def least_weights(self, tile: slice) -> npt.NDArray[np.float64]:
        """Return the weights as written that candidates of these queries have to reach."""
        return np.asarray((self._keys[tile] >> _ID_BITS) / MICRO)

    def narrow(self, mask: Mask, tile: slice, others: slice, most: int) -> None:
        """Leave out candidates of the queries of a tile that cannot be among the best.

        Args:
            mask: which pairs are candidates, shape (queries, others), possibly a view.
            tile: the queries.
            others: the rows of the base.
            most: how many are too many.
        """
        self._seed(tile)
        rows = self._base[others]
        ids = self._exact.id_ranks[rows]
        self._narrow_by_ids(mask, tile, ids)
        if np.count_nonzero(mask) <= most:
            return
        units = self._exact.unit(rows)
        for start in range(0, len(mask), TUNING.strip_rows):
            part = mask[start : start + TUNING.strip_rows]
            own = slice(tile.start + start, tile.start + start + len(part))
            self._narrow_by_weights(part, own, units, ids, most * len(part) // len(mask))

    def _narrow_by_ids(self, mask: Mask, tile: slice, ids: Rows) -> None:
        """Leave out candidates of queries whose best are all as heavy as can be."""
        keys = self._keys[tile]
        last = np.where(keys >> _ID_BITS < MICRO, -1, keys & _LOW).astype(np.int32)
        # It has the memory layout of `mask`, which makes combining both fast.
        late = np.empty_like(mask)
        mask &= np.greater_equal(ids.astype(np.int32), last[:, np.newaxis], out=late)

    def _narrow_by_weights(
        self, part: Mask, own: slice, units: npt.NDArray[np.float64], ids: Rows, most: int
    ) -> None:
        """Leave out candidates by float64 products; if that leaves too many, all but the best.

        Args:
            part: which pairs are candidates.
            own: the queries.
            units: the unit vectors of the others.
            ids: the ranks of their ids.
            most: how many are too many.
        """
        cosines, doubt = self._cosines(own, units, part), _doubt(units)
        keys = self._keys[own, np.newaxis]
        weights = keys >> _ID_BITS
        late = np.greater_equal(ids, keys & _LOW, out=np.empty_like(part))
        late &= cosines >= np.maximum(weights - 0.5, self._least) - doubt
        late |= cosines >= np.maximum(weights + 0.5, self._least) - doubt
        part &= late
        if np.count_nonzero(part) > most:
            self._raise(own, cosines - doubt, ids)
            part &= _keys(cosines + doubt, ids) >= self._keys[own, np.newaxis]

    def _cosines(
        self, own: slice, units: npt.NDArray[np.float64], like: Mask
    ) -> npt.NDArray[np.float64]:
        """Return the cosines of some queries and other rows, in millionths.

        They have the shape and memory layout of `like`, which makes combining both fast.
        """
        near = self._exact.unit(self._queries[own])
        near *= MICRO
        found = np.empty_like(like, np.float64)
        if found.flags.c_contiguous:
            return np.matmul(near, units.T, out=found)
        np.matmul(units, near.T, out=found.T)
        return found

    def _raise(self, own: slice, cosines: npt.NDArray[np.float64], ids: Rows) -> None:
        """Raise the keys of some queries by what the cosines with other rows are at least."""
        if len(ids) >= self._best:
            keys = _keys(cosines, ids)
            keys[cosines < self._least] = _NO_KEY
            last = np.partition(keys, -self._best, axis=1)[:, -self._best]
            # Two threads may raise a key at a time: the lower of both is one as well.
            np.maximum(self._keys[own], last, out=self._keys[own])

    def _seed(self, tile: slice) -> None:
        """Raise the keys of the queries of a tile by the rows with the largest ids, once."""
        with self._lock:
            if tile.start in self._seeded:
                return
            self._seeded.add(tile.start)
            if self._top is None:
                ranks = self._exact.id_ranks[self._base]
                top = self._base[np.argsort(ranks)[-TUNING.tied_rows :]]
                width = self._exact.unit(top[-1:]).shape[1]
                most_floats = 1 << 20  # of these rows: fewer where vectors are long
                self._top = top[-max(1, most_floats // max(1, width)) :]
        ids, units = self._exact.id_ranks[self._top], self._exact.unit(self._top)
        for start in range(tile.start, tile.stop, TUNING.strip_rows):
            own = slice(start, min(start + TUNING.strip_rows, tile.stop))
            cosines = self._cosines(own, units, np.empty((own.stop - start, len(ids)), np.bool_))
            self._raise(own, cosines - _doubt(units), ids)

    def hopeful(self, pairs: Pairs, tile: slice) -> Pairs:
        """Return those of the candidates of a tile that reach the keys."""
        ids = self._exact.id_ranks[self._base[pairs.others]]
        # What even the largest weight would not help is not weighed.
        pairs = _some(pairs, ids + (MICRO << _ID_BITS) >= self._keys[tile][pairs.rows])
        return _some(pairs, self._weighed(pairs, tile) >= self._keys[tile][pairs.rows])

    def best(self, pairs: Pairs, tile: slice) -> Pairs:
        """Return the best candidates of each query of a tile, and raise the keys."""
        self._seed(tile)
        pairs = self.hopeful(pairs, tile)
        keys = self._weighed(pairs, tile)
        order = np.lexsort((-keys, pairs.rows))
        ranks = rank_in_group(pairs.rows[order])
        last = order[ranks == self._best - 1]
        own = self._keys[tile]
        own[pairs.rows[last]] = np.maximum(own[pairs.rows[last]], keys[last])
        return _some(pairs, np.sort(order[ranks < self._best]))

    def _weighed(self, pairs: Pairs, tile: slice) -> Keys:
        """Return the keys of candidates of a tile; of those that are no edges, less than any."""
        sources, targets = self._queries[tile][pairs.rows], self._base[pairs.others]
        weights = self._exact.weigh(sources, targets)
        keys = (as_written(weights) << _ID_BITS) + self._exact.id_ranks[targets]
        keys[weights < self._threshold] = _NO_KEY - 1
        return keys


def _doubt(units: npt.NDArray[np.float64]) -> float:
    """Return by how much products of unit vectors, in millionths, are off at most."""
    roundoff = 2.0**-53  # of float64
    return float((units.shape[1] + 8) * roundoff * MICRO)


def _keys(millionths: npt.NDArray[np.float64], ids: Rows) -> Keys:
    """Return the keys of pairs of weights, shape (m, n), and of ids, shape (n,)."""
    written = np.floor(millionths + 0.5).astype(np.int64)
    written <<= _ID_BITS
    written += ids
    return written


def _some(pairs: Pairs, kept: Mask | Rows) -> Pairs:
    return Pairs(pairs.rows[kept], pairs.others[kept], pairs.similarities[kept])
