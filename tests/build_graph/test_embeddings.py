"""Unit vectors made when asked for: as good as float32 allows, of norms of any size."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from nsl_tools.build_graph.embeddings import Embeddings, UnitRows

ROWS, DIMENSIONS = 40, 7
SMALLEST, LARGEST = 2.0**-120, 2.0**120  # float32 has no inverse of such a norm, or a bad one


def unit_rows(rows: list[int], *scales: float) -> UnitRows:
    """Return some of random vectors, the first ones scaled."""
    vectors = np.random.default_rng(0).normal(size=(ROWS, DIMENSIONS)).astype(np.float32)
    vectors[: len(scales)] *= np.array(scales, np.float32)[:, np.newaxis]
    wide = vectors.astype(np.float64)
    norms = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    ids = pa.array([b"%d" % row for row in range(ROWS)], pa.binary())
    return UnitRows(Embeddings(ids, vectors, norms), np.array(rows, np.int64))


@pytest.mark.parametrize("scales", [(), (SMALLEST, 1.0, LARGEST), (0.0,)])
@pytest.mark.parametrize("rows", [list(range(ROWS)), list(range(5, 20)), [0, 2, 3, 9], []])
def test_each_number_is_right_to_two_units_in_the_last_place(
    rows: list[int], scales: tuple[float, ...]
) -> None:
    """Whether rows lie side by side or not, and are asked for by a slice or by place."""
    units = unit_rows(rows, *scales)
    exact = units.embeddings.unit(units.rows)
    places = np.arange(len(units))[::-1]
    taken = units.take(places, np.empty(units.shape, np.float32))
    for found, expected in ((units[:], exact), (units[1:4], exact[1:4]), (taken, exact[::-1])):
        assert found.dtype == np.float32
        unit = np.spacing(np.abs(expected).astype(np.float32)).astype(np.float64)
        assert (np.abs(found - expected) <= 2 * unit).all()
