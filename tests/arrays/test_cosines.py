"""Norms and cosines, against rational numbers."""

from __future__ import annotations

from fractions import Fraction
from math import fsum, hypot, isqrt

import hypothesis.strategies as st
import numpy as np
from hypothesis import given
from hypothesis.extra import numpy as hnp

from nsl_tools.arrays.cosines import exact_weights, norms_of

VECTORS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)


@given(VECTORS)
def test_norms_neither_overflow_nor_vanish(vectors: np.ndarray) -> None:
    found = norms_of(vectors)
    right = [hypot(*row) for row in vectors.astype(np.float64).tolist()]
    assert np.allclose(found, right, rtol=1e-12, atol=0)


def test_a_vector_that_is_not_finite_has_no_finite_norm() -> None:
    vectors = np.array([[1, np.nan], [np.inf, 1], [3, 4]], np.float32)
    assert np.isfinite(norms_of(vectors)).tolist() == [False, False, True]


def _cosine(left: list[float], right: list[float]) -> float:
    product = sum(Fraction(a) * Fraction(b) for a, b in zip(left, right, strict=True))
    squares = [sum(Fraction(a) ** 2 for a in side) for side in (left, right)]
    scale = 1 << 200
    root = isqrt(int(squares[0] * squares[1] * scale))
    return float(product * isqrt(scale) / root)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_weights_are_cosines_and_symmetric(seed: int, dimension: int) -> None:
    random = np.random.default_rng(seed)
    left, right = random.normal(size=(2, 7, dimension)).astype(np.float32)
    right[0], right[1] = left[0], -left[1]
    norms = norms_of(left) * norms_of(right)
    wide = left.astype(np.float64), right.astype(np.float64)
    found = exact_weights(*wide, norms)
    assert np.array_equal(found, exact_weights(*wide[::-1], norms))
    assert found.min() >= -1
    assert found[0] == 1
    expected = [_cosine(a.tolist(), b.tolist()) for a, b in zip(*wide, strict=True)]
    assert np.allclose(found, expected, rtol=0, atol=1e-12 * fsum([1, dimension]))


def test_parallel_vectors_have_weight_1() -> None:
    """Also where rounding leaves an ulp more or less."""
    random = np.random.default_rng(0)
    left = random.normal(size=(1000, 24)).astype(np.float32)
    right = left * np.float32(2.0)
    norms = norms_of(left) * norms_of(right)
    assert (exact_weights(left.astype(np.float64), right.astype(np.float64), norms) == 1).all()
