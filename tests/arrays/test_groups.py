"""Groups of equal numbers, blocks and digits: against what a loop over them says."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.arrays.groups import blocks, digit_counts, one_of_each, rank_in_group

GROUPS = st.lists(st.integers(0, 5), max_size=40)


@given(GROUPS)
def test_rank_in_group_counts_equal_predecessors(groups: list[int]) -> None:
    groups.sort()
    expected = [groups[:i].count(group) for i, group in enumerate(groups)]
    assert rank_in_group(np.array(groups, np.int64)).tolist() == expected


@given(GROUPS)
def test_one_of_each_is_the_first_or_the_last(groups: list[int]) -> None:
    numbers = np.array(groups, np.int64)
    firsts = [place for place, group in enumerate(groups) if group not in groups[:place]]
    lasts = [place for place, group in enumerate(groups) if group not in groups[place + 1 :]]
    assert one_of_each(numbers).tolist() == firsts
    assert one_of_each(numbers, last=True).tolist() == lasts


@given(st.integers(0, 1000), st.sampled_from([0, 1, 784, 20_000, 10**7]))
def test_blocks_cover_all_rows_once(rows: int, width: int) -> None:
    """And are small, however wide the rows."""
    cut = [range(rows)[block] for block in blocks(rows, width)]
    assert [row for block in cut for row in block] == list(range(rows))
    assert all(len(block) == 1 or len(block) * width <= 1 << 18 for block in cut)


def test_digits_are_those_of_the_decimal_text() -> None:
    numbers = [0, 1, 9, 10, 11, 99, 100, 12345, 10**9 - 1, 10**9]
    assert digit_counts(np.array(numbers)).tolist() == [len(str(number)) for number in numbers]
