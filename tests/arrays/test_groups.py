"""Groups of equal things: against what a loop over them says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.arrays.groups import (
    blocks,
    kth_largest,
    rank_in_group,
    reached_by,
    true_places,
)

GROUPS = st.lists(st.integers(0, 5), max_size=40)


@given(GROUPS)
def test_rank_in_group_counts_equal_predecessors(groups: list[int]) -> None:
    groups.sort()
    expected = [groups[:i].count(group) for i, group in enumerate(groups)]
    assert rank_in_group(np.array(groups, np.int64)).tolist() == expected


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


@given(st.integers(0, 1000), st.sampled_from([0, 1, 784, 20_000, 10**7]))
def test_blocks_cover_all_rows_once(rows: int, width: int) -> None:
    """And are small, however wide the rows."""
    cut = [range(rows)[block] for block in blocks(rows, width)]
    assert [row for block in cut for row in block] == list(range(rows))
    assert all(len(block) == 1 or len(block) * width <= 1 << 18 for block in cut)


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
