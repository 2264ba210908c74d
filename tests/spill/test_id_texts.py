"""The ids of all rows: against a list of them, in memory, in a scratch file, or both."""

from __future__ import annotations

import contextlib
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.errors import UsageError
from nsl_tools.memory_budget import SHARES, MemoryBudget
from nsl_tools.spill import id_texts
from nsl_tools.spill.id_texts import IdTexts

_LENGTHS = st.sampled_from([0, 1, 1, 1, 8, 100])
_BUDGETS = st.sampled_from([0, 40, 300, 10**9])


@st.composite
def batches(draw: st.DrawFn) -> list[list[bytes]]:
    """Draw batches of ids, each another; of one length in some batches, of many in others."""
    found = []
    for number in range(draw(st.integers(0, 6))):
        count, uniform = draw(st.integers(0, 8)), draw(st.booleans())
        lengths = [draw(_LENGTHS)] * count if uniform else draw(st.lists(_LENGTHS, max_size=8))
        # What is last tells them apart: they are in another order than their rows.
        ends = (97 * (10 * number + i) % 89 for i in range(len(lengths)))
        found.append([b"x" * size + b"%02d" % e for size, e in zip(lengths, ends, strict=True)])
    return found


def texts_of(
    parts: list[list[bytes]], memory: MemoryBudget, stack: contextlib.ExitStack
) -> IdTexts:
    """Return the ids, added in parts: each is a slice of an array."""
    texts = IdTexts(memory, stack)
    for part in parts:
        texts.add(pa.array([b"before", *part, b"after"], pa.binary()).slice(1, len(part)))
    return texts


@given(parts=batches(), budget=_BUDGETS, data=st.data())
def test_ids_come_back(parts: list[list[bytes]], budget: int, data: st.DataObject) -> None:
    """Those of any rows: all, few of many, or none."""
    ids = [node for part in parts for node in part]
    chosen = data.draw(st.lists(st.booleans(), min_size=len(ids), max_size=len(ids)))
    with contextlib.ExitStack() as stack, mock.patch.dict(SHARES, id_texts=1):
        texts = texts_of(parts, MemoryBudget(budget), stack)
        assert len(texts) == len(ids)
        assert texts.mean_size == pytest.approx(sum(map(len, ids)) / max(1, len(ids)))
        assert texts.fetch(np.arange(len(ids))).to_pylist() == ids
        for rows in (np.flatnonzero(chosen), np.flatnonzero(chosen)[:1]):
            assert texts.fetch(rows).to_pylist() == [ids[row] for row in rows.tolist()]


def test_few_of_many_ids_are_read_by_themselves() -> None:
    """Those between them stay on the disk."""
    ids = [b"%05d" % i * (1 + i % 2) for i in range(1000)]
    with contextlib.ExitStack() as stack:
        texts = texts_of([ids], MemoryBudget(0), stack)
        with mock.patch.object(IdTexts, "_read", side_effect=AssertionError):
            assert texts.fetch(np.array([3, 500, 998])).to_pylist() == [ids[3], ids[500], ids[998]]


@given(parts=batches(), budget=_BUDGETS, data=st.data())
def test_ranks_order_rows_as_their_ids(
    parts: list[list[bytes]], budget: int, data: st.DataObject
) -> None:
    """Asked for once or again, for few of the rows or all, in any order and repeatedly."""
    ids = [node for part in parts for node in part]
    numbers = st.lists(st.integers(0, max(0, len(ids) - 1)), max_size=20 if ids else 0)
    shares = mock.patch.dict(SHARES, id_texts=1, ranked_ids=10**9)
    with contextlib.ExitStack() as stack, shares:
        texts = texts_of(parts, MemoryBudget(budget + 1), stack)
        for _ in range(2):
            rows = data.draw(numbers)
            ranks = texts.ranks(np.array(rows, np.int64)).tolist()
            assert len(ranks) == len(rows)
            by_rank = [row for _, row in sorted(zip(ranks, rows, strict=True))]
            assert by_rank == sorted(rows, key=lambda row: ids[row])


@pytest.mark.own_memory("sets the limit itself")
def test_ranks_of_all_ids_are_kept() -> None:
    """If they fit; and are not computed for a few rows."""
    ids = [b"%03d" % (i * 7 % 100) for i in range(100)]
    with contextlib.ExitStack() as stack:
        texts = texts_of([ids], MemoryBudget(10**6), stack)
        assert texts.ranks(np.array([1, 0])).tolist() == [1, 0]
        assert texts.ranks(np.arange(100)).tolist() == list(map(int, ids))
        with mock.patch.object(IdTexts, "fetch", side_effect=AssertionError):
            assert texts.ranks(np.array([1, 99])).tolist() == [7, 93]


@pytest.mark.own_memory("sets the limit itself")
def test_ids_too_long_to_be_ranked_within_the_limit_are_a_usage_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Which says what they need; as long as fewer decide, they are ranked."""
    ids = [b"%03d" % i + b"x" * 997 for i in range(300)]
    with contextlib.ExitStack() as stack:
        texts = texts_of([ids], MemoryBudget(200_000), stack)
        assert texts.ranks(np.array([7, 3, 7])).tolist() == [1, 0, 1]
        problem = "--memory-limit: expected at least 202 kB for 101 ids, 101 kB together, which "
        with pytest.raises(UsageError, match=problem):
            texts.ranks(np.arange(101))
        monkeypatch.setattr(id_texts, "MOST_BYTES", 50_000)
        problem = "51 ids, 51 kB together, which decide .* weight, expected 50 kB at most"
        with pytest.raises(UsageError, match=problem):
            texts.ranks(np.arange(51))
