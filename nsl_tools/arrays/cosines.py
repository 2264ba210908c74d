"""Norms and cosines of float32 vectors in float64, in which their products are exact."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.groups import blocks

_Floats = npt.NDArray[np.float64]

PARALLEL = 1 - 2.0**-42
"""A larger cosine is 1: the vectors are parallel, but for their rounding to float32."""


def norms_of(vectors: npt.NDArray[np.float32]) -> _Floats:
    """Return the Euclidean lengths of vectors, shape (n, d): shape (n,).

    Float32 squares overflow at 2e19 and vanish at 1e-23; in float64, those of finite numbers
    do neither, so that a norm is finite if its vector is.
    """
    norms = np.empty(len(vectors), np.float64)
    for block in blocks(*vectors.shape):
        with np.errstate(invalid="ignore"):  # of a signalling NaN, which is found by its norm
            wide = vectors[block].astype(np.float64)
        np.einsum("ij,ij->i", wide, wide, out=norms[block])
    return np.sqrt(norms, out=norms)


def exact_weights(left: _Floats, right: _Floats, norms: _Floats) -> _Floats:
    """Return the cosine of each pair of rows, shape (m,), of -1 to 1.

    It depends on the two rows alone, and is the same to the bit if they change sides.

    Args:
        left: vectors as read, in float64, shape (m, d).
        right: the other ones, shape (m, d).
        norms: the product of the norms of both, shape (m,).
    """
    weights: _Floats = np.einsum("ij,ij->i", left, right)
    weights /= norms
    # Rounding may leave the range of a cosine by an ulp, and so miss a threshold of -1 or 1.
    weights[weights >= PARALLEL] = 1.0
    np.maximum(weights, -1.0, out=weights)
    return weights
