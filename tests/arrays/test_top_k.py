"""The largest of many numbers: against sorting them all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.arrays.top_k import (
    kth_largest,
    mark_top_k,
    product_top_k,
    reached_by,
    true_places,
)

SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 40))


@given(
    shape=SHAPES,
    axis=st.sampled_from([0, 1]),
    k=st.integers(1, 12),
    levels=st.sampled_from([1, 4, 1000]),
    least=st.sampled_from([-1.0, 0.5, 3.0]),
    seed=st.integers(0, 99),
)
def test_the_best_products_of_each_row_are_among_those_returned(
    shape: tuple[int, int], axis: int, k: int, levels: int, least: float, seed: int
) -> None:
    """And nothing below its threshold is; where too many reach it, at least k are left."""
    random = np.random.default_rng(seed)
    products = random.integers(0, levels, shape).astype(np.float32)
    thresholds = np.full(shape[axis], least, np.float32)
    thresholds[::3] = np.inf
    found = np.zeros(shape, np.bool_)
    found.ravel()[product_top_k(products, axis, thresholds, k)] = True
    rows, marked = (products, found) if axis == 0 else (products.T, found.T)
    for row, mask, threshold in zip(rows, marked, thresholds, strict=True):
        assert (row[mask] >= threshold).all()
        kth = np.sort(row)[::-1][:k][-1]
        wanted = row >= max(threshold, kth)
        assert mask[wanted].all()


def test_thresholds_rise_where_too_many_products_reach_them() -> None:
    """By what at least k reach, less the slack; and never fall."""
    products = np.random.default_rng(0).random((50, 400)).astype(np.float32)
    mask = np.empty(products.shape, np.bool_)
    low, slack = np.zeros(50, np.float32), 0.01
    raised = mark_top_k(products, 0, low, 5, mask, slack)
    fifth = np.sort(products, axis=1)[:, -5]
    assert (raised <= fifth - np.float32(slack)).all()
    assert (raised > 0.5).all()
    assert (mask == (products >= raised[:, np.newaxis])).all()
    high = np.full(50, 0.999, np.float32)
    assert mark_top_k(products, 0, high, 5, mask, slack) is high


@given(
    st.lists(st.tuples(st.integers(0, 5), st.floats(-2, 2, width=32)), max_size=40),
    st.integers(1, 4),
)
def test_kth_largest_is_what_sorting_each_group_gives(
    pairs: list[tuple[int, float]], k: int
) -> None:
    """Groups with fewer than k members are left out; both zeros count as one."""
    expected = {}
    for group in sorted({group for group, _ in pairs}):
        values = sorted((value for g, value in pairs if g == group), reverse=True)
        if len(values) >= k:
            expected[group] = values[k - 1]
    groups = np.array([group for group, _ in pairs], np.int32)
    values = np.array([value for _, value in pairs], np.float32)
    found_groups, found = kth_largest(groups, values, k)
    assert dict(zip(found_groups.tolist(), found.tolist(), strict=True)) == expected


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    axis=st.sampled_from([0, 1]),
    count=st.integers(1, 12),
    levels=st.sampled_from([1, 4, 1000]),
)
def test_a_bound_is_reached_by_as_many_as_asked_for(
    shape: tuple[int, int], axis: int, count: int, levels: int
) -> None:
    """It is one of the products, and there is none where there are fewer."""
    products = np.random.default_rng(0).integers(0, levels, shape).astype(np.float32)
    bounds = reached_by(products, axis, count)
    lines = products if axis == 0 else products.T
    if bounds is None:
        assert lines.shape[1] < count
        return
    assert bounds.shape == (len(lines),)
    assert ((lines >= bounds[:, np.newaxis]).sum(axis=1) >= count).all()
    assert (lines == bounds[:, np.newaxis]).any(axis=1).all()


@pytest.mark.parametrize("shape", [(0, 5), (1, 1), (3, 7), (4, 16), (128, 1024), (1024, 1000)])
@pytest.mark.parametrize("density", [0, 0.0005, 0.02, 0.5, 1])
def test_places_are_those_of_the_flat_mask(shape: tuple[int, int], density: float) -> None:
    """Be they few or many, and columns a multiple of eight or not."""
    mask = np.random.default_rng(0).random(shape) < density
    assert true_places(mask).tolist() == np.flatnonzero(mask).tolist()


def test_places_of_some_rows_of_a_mask() -> None:
    """Which need not begin where a number of eight bytes may."""
    mask = np.random.default_rng(0).random((64, 9)) < 0.01
    for start in range(56):
        part = mask[start : start + 8]
        assert true_places(part).tolist() == np.flatnonzero(part).tolist()
