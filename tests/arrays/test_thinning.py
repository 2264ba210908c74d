"""`arrays.thinning`: what is kept of counts, by a random share of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nsl_tools.arrays.thinning import capped_counts


@settings(max_examples=20)
@given(
    few=st.integers(0, 30),
    many=st.integers(0, 60),
    part=st.floats(0, 1),
    k=st.integers(3, 40),
    share=st.floats(0.3, 0.9),
    seed=st.integers(0, 99),
)
def test_what_is_kept_is_told_by_a_share(
    few: int, many: int, part: float, k: int, share: float, seed: int
) -> None:
    """Of nodes with few and with many neighbours, where each keeps `k` at most."""
    random = np.random.default_rng(seed)
    counts = np.where(random.random(1500) < part, few, many)
    seen = random.binomial(counts, share).astype(float)
    found = capped_counts(np.zeros(1500), seen, np.full(1500, share), k)
    truth = np.minimum(counts, k).mean()
    assert found.mean() == pytest.approx(truth, rel=0.12, abs=0.35)
    assert found.min() >= 0
    assert found.max() <= k + 1e-9


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.floats(0.1, 1)), min_size=1))
def test_all_are_as_many_as_the_share_says(rows: list[tuple[int, int, float]]) -> None:
    close, others, share = (np.array(column, float) for column in zip(*rows, strict=True))
    found = capped_counts(close, others, share, None)
    assert found.tolist() == pytest.approx((close + others / share).tolist())


def test_those_seen_for_certain_leave_less_room() -> None:
    close, others = np.array([0.0, 4.0, 9.0]), np.ones(3)
    found = capped_counts(close, others, np.full(3, 0.5), 5)
    assert found[0] < found[1] <= found[2]
    assert found[2] == pytest.approx(5)


@given(st.lists(st.integers(0, 50), min_size=1), st.integers(1, 30))
def test_where_all_are_seen_they_are_counted(counts: list[int], k: int) -> None:
    seen = np.array(counts, float)
    found = capped_counts(np.zeros(len(seen)), seen, np.ones(len(seen)), k)
    assert found.tolist() == pytest.approx(np.minimum(seen, k).tolist())
