"""`spread_labels.class_values`: columns in, rows out, in memory and in a scratch file."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from nsl_tools.spread_labels.class_values import ClassValues
from nsl_tools.spread_labels.spreading import Class


@pytest.mark.parametrize("budget", [0, 1e9])
def test_rows_are_those_of_the_columns(budget: float) -> None:
    """Classes come in any order."""
    right = np.random.default_rng(0).random((50, 4)).astype(np.float32).astype(np.float64)
    with contextlib.ExitStack() as stack:
        values = ClassValues(50, 4, budget, stack)
        for number in (2, 0, 3, 1):
            values.add(Class(number, right[:, number], has_converged=True))
        for start, stop in ((0, 50), (7, 8), (20, 45)):
            np.testing.assert_array_equal(values.rows(start, stop), right[start:stop])
        np.testing.assert_allclose(values.masses, right.sum(axis=0))
