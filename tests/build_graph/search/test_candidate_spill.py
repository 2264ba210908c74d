"""Pairs that wait: all come back, by ranges of rows, from memory and from scratch files."""

from itertools import chain, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.build_graph.search.candidate_spill import Pairs, Pending, by_rows
from nsl_tools.progress import Progress
from nsl_tools.spill.matrix import MatrixStore

HEIGHT = 40
PAIRS = st.lists(st.tuples(st.integers(0, HEIGHT - 1), st.integers(0, 99)), max_size=30)


def pairs_of(places: list[tuple[int, int]]) -> Pairs:
    rows, others = np.array(places, np.int32).reshape(-1, 2).T
    return Pairs(rows, others, (others / 100).astype(np.float32))


def listed(pairs: Pairs) -> list[tuple[int, int, float]]:
    columns = pairs.rows.tolist(), pairs.others.tolist(), pairs.similarities.tolist()
    return list(zip(*columns, strict=True))


@given(
    batches=st.lists(st.tuples(st.integers(0, 2), PAIRS), max_size=80),
    budget=st.sampled_from([0, 300, 1 << 20]),
    most=st.sampled_from([1, 7, 100]),
    taken=st.booleans(),
)
def test_what_was_added_comes_back_by_ranges_of_rows(
    batches: list[tuple[int, list[tuple[int, int]]]], budget: int, most: int, taken: bool
) -> None:
    """In any order within a range; some taken and added again, as pruning does."""
    with MatrixStore(budget) as store:
        pending = Pending(3, HEIGHT, store)
        for tile, places in batches:
            held = pending.add(tile, pairs_of(places))
            if taken and held > 20:
                pending.add(tile, pending.take_held(tile))
        for tile in range(3):
            expected = [listed(pairs_of(places)) for owner, places in batches if owner == tile]
            parts = [part for some in pending.take(tile, most) for part in by_rows(some, most)]
            rows = [set(part.rows.tolist()) for part in parts if len(part)]
            assert all(max(low) < min(high) for low, high in pairwise(rows))
            assert all(len(part) <= most or len(set(part.rows.tolist())) == 1 for part in parts)
            assert sorted(chain(*map(listed, parts))) == sorted(chain(*expected))
            assert [len(part) for part in pending.take(tile, most)] == [0]


@pytest.mark.parametrize("budget", [0, 1 << 20])
def test_a_held_count_is_of_what_is_in_memory(budget: int) -> None:
    with MatrixStore(budget) as store:
        pending = Pending(1, HEIGHT, store)
        assert pending.add(0, pairs_of([(1, 2), (3, 4)])) == (2 if budget else 0)
        assert len(pending.take_held(0)) == (2 if budget else 0)


@pytest.mark.own_memory("sets the budget")
@pytest.mark.parametrize(("budget", "lines"), [(0, 1), (1 << 20, 0)])
def test_scratch_files_for_pairs_are_announced_once(
    capsys: pytest.CaptureFixture[str], budget: int, lines: int
) -> None:
    with MatrixStore(budget, Progress("build-graph", quiet=False)) as store:
        pending = Pending(3, HEIGHT, store)
        for tile in (0, 1, 2):
            pending.add(tile, pairs_of([(1, 2), (3, 4)]))
    said = capsys.readouterr().err.splitlines()
    assert len(said) == lines
    assert all("for pairs that may be edges, as many as are found" in line for line in said)
