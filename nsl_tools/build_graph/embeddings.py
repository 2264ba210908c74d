"""Embeddings: ids, vectors and their norms, in memory or in a scratch file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nsl_tools.spill.matrix import reordered, select

if TYPE_CHECKING:
    from nsl_tools.spill.matrix import Floats, Matrix, MatrixStore


@dataclass(frozen=True)
class Embeddings:
    """The vectors of n nodes.

    Attributes:
        ids: binary array of length n, unique.
        vectors: shape (n, d), float32, C order, as read; all finite.
        norms: Euclidean lengths, shape (n,), float64.
    """

    ids: pa.Array
    vectors: Matrix
    norms: npt.NDArray[np.float64]

    def taken(self, rows: npt.NDArray[np.int64]) -> Embeddings:
        """Return some of the nodes, their vectors where they are now."""
        ids = self.ids.take(pa.array(rows))
        return Embeddings(ids, select(self.vectors, rows), self.norms[rows])

    def reordered(self, rows: npt.NDArray[np.int64], store: MatrixStore) -> Embeddings:
        """Return the nodes, with vectors as `nsl_tools.spill.matrix.reordered` does."""
        return replace(self, vectors=reordered(self.vectors, rows, store))

    @cached_property
    def scales(self) -> Floats:
        """What to multiply each vector by for a unit vector, shape (n,), float32.

        0 where float32 has no good inverse of a norm.
        """
        smallest = 2.0**-100  # well within the range of float32, as its inverse is
        good = (self.norms > smallest) & (self.norms < 1 / smallest)
        scales = np.divide(1.0, self.norms, out=np.zeros(len(self.norms)), where=good)
        return scales.astype(np.float32)

    def unit(self, rows: npt.NDArray[np.int64] | slice) -> npt.NDArray[np.float64]:
        """Return the vectors at `rows` divided by their norms, float64; zero stays zero."""
        norms = self.norms[rows, np.newaxis]
        return np.asarray(self.vectors[rows] / np.where(norms > 0, norms, 1.0))

    def rounded_unit(self, rows: npt.NDArray[np.int64] | slice) -> Floats:
        """Return `unit` rounded to float32."""
        vectors = self.vectors[rows]
        norms = self.norms[rows, np.newaxis]
        found = np.empty(vectors.shape, np.float32)
        # In float64, since float32 has no inverse of a very small or large norm.
        scales = 1.0 / np.where(norms > 0, norms, 1.0)
        return np.multiply(vectors, scales, out=found, casting="same_kind", dtype=np.float64)


@dataclass(frozen=True)
class UnitRows:
    """The unit vectors of some nodes, `rows` ascending, made when asked for.

    Float32, correct to 2 units in the last place.
    """

    embeddings: Embeddings
    rows: npt.NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (n, d)."""
        return len(self.rows), self.embeddings.vectors.shape[1]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice) -> Floats:
        rows = self.rows[part]
        if not len(rows) or rows[-1] - rows[0] + 1 != len(rows):
            return self._made(rows, np.empty((len(rows), self.shape[1]), np.float32))
        together = slice(int(rows[0]), int(rows[-1]) + 1)
        scales = self.embeddings.scales[together, np.newaxis]
        if not scales.all():
            return self.embeddings.rounded_unit(together)
        return np.multiply(self.embeddings.vectors[together], scales)

    def take(self, places: npt.NDArray[np.int64], out: Floats) -> Floats:
        """Fill `out`, shape (m, d), with some rows, in any order."""
        return self._made(self.rows.take(places), out)

    def _made(self, rows: npt.NDArray[np.int64], out: Floats) -> Floats:
        vectors = self.embeddings.vectors
        scales = self.embeddings.scales.take(rows)[:, np.newaxis]
        if not scales.all():
            out[:] = self.embeddings.rounded_unit(rows)
            return out
        if isinstance(vectors, np.ndarray):
            # Nothing is clipped: but in the default mode, `take` would fill a copy of `out` first.
            vectors.take(rows, axis=0, out=out, mode="clip")
        else:
            out[:] = vectors[rows]
        return np.multiply(out, scales, out=out)
