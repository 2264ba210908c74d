"""Keys of candidates sort as the candidates do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.build_graph.search.candidate_keys import (
    NO_KEY,
    PairKeys,
    best_of_each,
    merge_top_k,
)

SIMILARITIES = st.floats(-1.0000002384185791, 1.0000002384185791, width=32)


@given(
    rows=st.integers(2, 1 << 28),
    pairs=st.lists(st.tuples(st.integers(0), st.integers(0), SIMILARITIES), min_size=1),
)
def test_keys_sort_by_owner_then_similarity(rows: int, pairs: list[tuple[int, int, float]]) -> None:
    owners, others, similarities = (np.array(part) for part in zip(*pairs, strict=True))
    owners, others = owners % rows, others % (rows - 1)
    others = np.where(others >= owners, others + 1, others).astype(np.int64)
    owners, similarities = owners.astype(np.int64), similarities.astype(np.float32)
    layout = PairKeys(rows)
    keys = layout.pack(owners, others, similarities)
    assert layout.owners(keys).tolist() == owners.tolist()
    assert layout.others(keys).tolist() == others.tolist()
    assert (keys < NO_KEY).all()
    assert (keys >= layout.first_of(owners)).all()
    assert (keys < layout.first_of(owners + 1)).all() or rows - 1 in owners


@given(
    rows=st.integers(1, 300),
    many=st.lists(st.tuples(st.integers(0), st.integers(0, 2**40)), max_size=100),
    depth=st.integers(1, 5),
    wide=st.sampled_from([1, 4, 64]),
)
def test_the_best_of_each_owner_are_its_first_keys(
    rows: int, many: list[tuple[int, int]], depth: int, wide: int
) -> None:
    """Whether all keys are sorted at once, where one owner has many, or those of each."""
    expected: dict[int, list[int]] = {row: [] for row in range(rows)}
    for owner, rest in many:
        expected[owner % rows].append((owner % rows) << 50 | rest)
    keys = np.array([(owner % rows) << 50 | rest for owner, rest in many], np.uint64)
    owners = np.array([owner % rows for owner, _ in many], np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nsl_tools.build_graph.search.candidate_keys._WIDE", wide)
        best = best_of_each(keys, owners, rows, depth)
    found = [[key for key in row if key != NO_KEY] for row in best.tolist()]
    assert found == [sorted(row)[:depth] for row in expected.values()]


@given(
    rows=st.integers(1, 20),
    batches=st.lists(st.lists(st.tuples(st.integers(0), st.integers(0, 2**40)), max_size=60)),
    depth=st.integers(1, 6),
)
def test_merging_batches_keeps_the_best_of_them_all(
    rows: int, batches: list[list[tuple[int, int]]], depth: int
) -> None:
    """However the candidates are cut into batches."""
    table = np.full((rows, depth), NO_KEY)
    known: set[int] = set()
    for batch in batches:
        pairs = {(owner % rows) << 50 | rest: owner % rows for owner, rest in batch}
        new = {key: owner for key, owner in pairs.items() if key not in known}
        known |= set(new)
        keys, owners = np.array(list(new), np.uint64), np.array(list(new.values()), np.int64)
        merge_top_k(table, keys, owners)
    for row in range(rows):
        best = sorted(key for key in known if key >> 50 == row)[:depth]
        assert [key for key in table[row].tolist() if key != NO_KEY] == best


@given(st.integers(2, 1 << 28), SIMILARITIES, SIMILARITIES)
def test_what_is_nearer_passes_the_threshold_of_a_key(rows: int, left: float, right: float) -> None:
    layout, both = PairKeys(rows), np.array([left, right], np.float32)
    keys = layout.pack(np.zeros(2, np.int64), np.ones(2, np.int64), both)
    threshold = layout.thresholds(keys)[0]
    assert threshold <= both[0]
    assert both[1] >= threshold or keys[1] > keys[0]
    step = 4 / 2 ** (64 - 2 * max(16, (rows - 1).bit_length()))
    assert both[0] - threshold <= 2 * step + 1e-6


@pytest.mark.parametrize("rows", [3, 70_000, 1 << 22])
def test_farther_is_by_no_less_than_asked_for(rows: int) -> None:
    keys = PairKeys(rows)
    near = keys.pack(np.array([1]), np.array([2]), np.array([0.5], np.float32))
    limit = keys.farther(near, 1e-3)
    within, beyond = keys.pack(
        np.array([1, 1]), np.array([rows - 1, 0]), np.array([0.4991, 0.4985], np.float32)
    )
    assert within <= limit[0] < beyond
    assert keys.owners(limit).tolist() == [1]
    assert keys.farther(np.array([NO_KEY]), 1e-3).tolist() == [NO_KEY]
