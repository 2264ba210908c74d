"""`build_graph.dry_run.buckets`: the pairs that share a bucket, by a count of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from estimating import asked_for, clustered, sampled
from hypothesis import given, settings
from hypothesis import strategies as st

from nsl_tools.build_graph.dry_run.buckets import bucket_search

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.own_memory("an estimate is of the usual sizes")


@settings(max_examples=10)
@given(splits=st.integers(1, 6), rounds=st.integers(1, 3), rows=st.integers(1, 400))
def test_pairs_of_all_rounds_are_counted(
    tmp_path_factory: pytest.TempPathFactory, splits: int, rounds: int, rows: int
) -> None:
    vectors = clustered(rows, 5, 20)
    folder = tmp_path_factory.mktemp("b")
    asked = asked_for(folder, vectors, lsh_splits=splits, lsh_rounds=rounds)
    with sampled(asked) as (_, nearest):
        found = bucket_search(nearest, asked.options)
    random, pairs = np.random.RandomState(0), 0.0
    for _ in range(rounds):
        sides = vectors @ (random.rand(splits, 5) * 2 - 1).T > 0
        counts = np.unique(sides, axis=0, return_counts=True)[1]
        pairs += (counts.astype(float) ** 2).sum() / 2
    assert found.products == pytest.approx(pairs)
    assert found.seconds > 0
    assert found.weighing >= 0


def test_large_buckets_are_searched(tmp_path: Path) -> None:
    asked = asked_for(tmp_path, clustered(3000, 5, 20), lsh_splits=1, lsh_rounds=1)
    with sampled(asked) as (_, nearest):
        found = bucket_search(nearest, asked.options)
    assert found.weighing == 0
