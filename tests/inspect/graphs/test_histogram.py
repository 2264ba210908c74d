"""The histogram: counts and quantiles of numpy, closely."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.inspect.graphs.histogram import Histogram

_VALUES = st.lists(
    st.one_of(
        st.floats(-1, 1, width=32),
        st.floats(-(2.0**100), 2.0**100, width=32),
        st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.8, 0.8000001]),
    ),
    min_size=1,
    max_size=60,
)
_CLOSE = 1 / 2048  # of a number: its first bits are kept


def of(values: list[float]) -> Histogram:
    found = Histogram()
    for part in np.array_split(np.array(values, np.float64), 3):
        found.add(part)
    return found


@given(_VALUES)
def test_quantiles_are_near_those_of_numpy(values: list[float]) -> None:
    shares = [0, 0.1, 0.5, 0.9, 1]
    found = of(values).quantiles(shares)
    expected = np.quantile(values, shares, method="inverted_cdf")
    lower = np.quantile(values, shares, method="lower")
    assert found[0] == min(values)
    assert found[-1] == max(values)
    for value, one, other in zip(found, expected, lower, strict=True):
        assert value is not None
        slack = _CLOSE * max(abs(one), abs(other)) + 1e-37
        assert min(one, other) - slack <= value <= max(one, other) + slack


@given(_VALUES, st.integers(1, 30))
def test_all_are_in_one_of_the_bins(values: list[float], count: int) -> None:
    histogram = of(values)
    edges = histogram.edges(count)
    assert sum(histogram.counts(edges)) == len(values) == histogram.count
    assert edges[0] <= min(values)
    assert edges[-1] >= max(values)
    assert 1 <= len(edges) - 1 <= count + 2
    assert (np.diff(edges) > 0).all()


def test_bins_are_those_of_numpy_but_for_numbers_at_their_bounds() -> None:
    values = np.random.default_rng(1).normal(size=5000)
    histogram = of(values.tolist())
    edges = histogram.edges(10)
    expected, _ = np.histogram(values, edges)
    assert np.abs(np.array(histogram.counts(edges)) - expected).max() <= 5
    assert histogram.mean == pytest.approx(values.mean())


def test_nothing_has_no_quantiles() -> None:
    assert Histogram().quantiles([0, 0.5]) == [None, None]
    assert Histogram().mean is None
    assert len(Histogram().edges(10)) == 0
    assert Histogram().counts(np.empty(0)) == []
