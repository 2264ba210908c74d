"""From fingerprint to row: against a dictionary, whatever the fingerprints have in common."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.memory_budget import MemoryBudget
from nsl_tools.pack_nbrs.id_index import Entries, IdIndex, SplitIdIndex
from nsl_tools.progress import Work
from nsl_tools.tuning import TUNING

# Few values of each half, so that many fingerprints share one: also the first and the last bucket.
_HALVES = st.sampled_from([0, 1, 5, 1 << 40, 1 << 62, 1 << 63, (1 << 63) + 1, (1 << 64) - 1])
_FINGERPRINTS = st.lists(st.tuples(_HALVES, _HALVES), max_size=40)
_MEMORY = MemoryBudget(1 << 30)


@pytest.fixture(autouse=True)
def _enough_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table in parts is asked for by name; whole ones stay whole under `--spill`."""
    monkeypatch.setattr(TUNING, "memory_share", 1)


def words(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return both halves as arrays."""
    halves = np.array(pairs, np.uint64).reshape(-1, 2)
    return halves[:, 0].copy(), halves[:, 1].copy()


def index_of(pairs: list[tuple[int, int]]) -> IdIndex:
    """Return the index of rows 0, 1, ... with these fingerprints."""
    entries = Entries(_MEMORY, contextlib.ExitStack())
    entries.add(*words(pairs))
    index, _, _ = entries.index()
    assert isinstance(index, IdIndex)
    return index


@given(known=_FINGERPRINTS, sought=_FINGERPRINTS)
def test_it_finds_the_first_row_of_a_fingerprint_and_no_other(
    known: list[tuple[int, int]], sought: list[tuple[int, int]]
) -> None:
    """A fingerprint that no node has is told by -1, also if half of it is some node's."""
    first: dict[tuple[int, int], int] = {}
    for row, pair in enumerate(known):
        first.setdefault(pair, row)
    wanted = [*known, *sought]
    found = index_of(known).rows(*words(wanted))
    assert found.tolist() == [first.get(pair, -1) for pair in wanted]


@given(known=st.lists(st.tuples(_HALVES, _HALVES), unique=True, max_size=40))
def test_it_finds_rows_by_their_new_numbers(known: list[tuple[int, int]]) -> None:
    """Renumbering changes what is found, and nothing of what is sought."""
    index = index_of(known)
    index.renumber(np.arange(len(known))[::-1].copy())
    assert index.rows(*words(known)).tolist() == list(range(len(known)))[::-1]


@pytest.mark.parametrize("count", [1, 2, 3, 1000, 70_000])
def test_an_index_in_parts_finds_what_the_whole_finds(count: int) -> None:
    """Edges are resolved alike, in memory and by parts, up to their order."""
    random = np.random.default_rng(count)
    high, low = random.integers(0, 1 << 64, (2, count), dtype=np.uint64)
    entries = Entries(_MEMORY, contextlib.ExitStack())
    entries.add(high, low)
    whole, _, _ = entries.index()
    assert isinstance(whole, IdIndex)
    source, target = random.integers(0, count, (2, 500))
    unknown = (high.take(target) ^ np.uint64(1), low.take(target))
    weights = random.random(500)
    edges = [
        ((high.take(source), low.take(source)), (high.take(target), low.take(target)), weights),
        ((high.take(source), low.take(source)), unknown, weights),
    ]
    with contextlib.ExitStack() as stack:
        parts = SplitIdIndex(entries._partitions, count, stack)
        work = Work(64_000)
        found = [
            sorted(zip(*(np.concatenate(column).tolist() for column in columns), strict=True))
            for columns in (
                zip(*index.resolved(edges, work), strict=True) for index in (whole, parts)
            )
        ]
    assert found[0] == found[1]
    # To look up both ends, by parts; to take the edges is their own matter.
    assert (work.total, work.done) == (3 * 64_000, 2 * 64_000)
    expected = [*zip(source.tolist(), target.tolist(), weights.tolist(), strict=True)]
    assert set(expected) <= set(found[0])
