"""Records by partition: against a list of them, in memory, in the scratch file, or both."""

from __future__ import annotations

import contextlib
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.spill.partitions import SpilledPartitions, group_partitions

_COUNT = 5
# Of 9 bytes: what is counted in records and what is in bytes have little in common.
_RECORD = np.dtype([("partition", "<u1"), ("value", "<i8")])
_RUNS = st.lists(st.lists(st.integers(0, _COUNT - 1), max_size=9).map(sorted), max_size=6)
_BUDGETS = st.sampled_from([0, 60, 120, 10_000])


def run_of(partitions: list[int], first: int) -> np.ndarray:
    """Return records of these partitions, each of another value."""
    values = range(first, first + len(partitions))
    return np.array([*zip(partitions, values, strict=True)], _RECORD)


def runs_of(drawn: list[list[int]]) -> list[np.ndarray]:
    """Return all runs."""
    return [run_of(partitions, 100 * number) for number, partitions in enumerate(drawn)]


def within(runs: list[np.ndarray], first: int, last: int) -> list[tuple[int, int]]:
    """Return the records of some partitions, run by run."""
    every = [record for run in runs for record in run.tolist()]
    return [record for record in every if first <= record[0] < last]


@given(drawn=_RUNS, budget=_BUDGETS, most=st.sampled_from([1, 4, 100]))
def test_partitions_give_back_what_they_have(
    drawn: list[list[int]], budget: int, most: int
) -> None:
    """By partition, by run and in pieces; also none, and empty runs."""
    runs = runs_of(drawn)
    with contextlib.ExitStack() as stack:
        spilled = SpilledPartitions(_RECORD, _COUNT, budget, stack)
        for run in runs:
            spilled.add(run, run["partition"])
        assert spilled.spilled == (sum(run.nbytes for run in runs) > budget)
        counts = [len(within(runs, i, i + 1)) for i in range(_COUNT)]
        assert spilled.sizes().tolist() == counts
        for first in range(_COUNT + 1):
            for last in range(first, _COUNT + 1):
                assert spilled.read(first, last).tolist() == within(runs, first, last)
        assert [spilled.sorted_run(i).tolist() for i in range(len(runs))] == [
            run.tolist() for run in runs
        ]
        for partition in range(_COUNT):
            pieces = [piece.tolist() for piece in spilled.pieces(partition, most)]
            assert sum(pieces, []) == within(runs, partition, partition + 1)  # noqa: RUF017 - few
            longest = max([most, *(run["partition"].tolist().count(partition) for run in runs)])
            assert all(len(piece) <= longest for piece in pieces)


@given(drawn=_RUNS.filter(lambda runs: len(runs) != 1), budget=_BUDGETS, data=st.data())
def test_some_runs_are_read_alone(drawn: list[list[int]], budget: int, data: st.DataObject) -> None:
    """Be they in the file or not."""
    runs = runs_of(drawn)
    first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(runs))] * 2)))
    with contextlib.ExitStack() as stack:
        spilled = SpilledPartitions(_RECORD, _COUNT, budget, stack)
        for run in runs:
            spilled.add(run, run["partition"])
        found = spilled.read(1, 4, slice(first, last))
        assert found.tolist() == within(runs[first:last], 1, 4)


@given(drawn=_RUNS, cuts=st.lists(st.integers(0, 9), max_size=3).map(sorted))
def test_a_run_may_be_written_in_parts(drawn: list[list[int]], cuts: list[int]) -> None:
    """Whether these are end to end in memory or not; at once, whatever the budget is."""
    with contextlib.ExitStack() as stack:
        spilled = SpilledPartitions(np.int64, _COUNT, 10_000, stack)
        for partitions in drawn:
            run = np.repeat(np.array(partitions, np.int64), 2)[::2]
            bounds = np.searchsorted(run, np.arange(_COUNT + 1))
            spilled.write([run[a:b] for a, b in pairwise([0, *cuts, None])], bounds)
        assert spilled.spilled == bool(drawn)
        for number, partitions in enumerate(drawn):
            assert spilled.sorted_run(number).tolist() == partitions
        assert spilled.read(1, 4).tolist() == [p for run in drawn for p in run if 1 <= p < 4]


def test_the_scratch_file_is_closed_with_its_stack() -> None:
    with contextlib.ExitStack() as stack:
        spilled = SpilledPartitions(np.uint8, 1, 0, stack)
        spilled.add(np.ones(4, np.uint8), np.zeros(4, np.int64))
        assert spilled.read(0, 1).tolist() == [1] * 4
    with pytest.raises(ValueError, match="closed"):
        spilled.read(0, 1)


@given(st.lists(st.integers(0, 9), max_size=12), st.integers(0, 12))
def test_partitions_are_grouped_up_to_a_size(sizes: list[int], most: int) -> None:
    """All, in order; no group has more, but one partition may; none could take the next one."""
    groups = group_partitions(np.array(sizes, np.int64), most)
    assert [i for group in groups for i in group] == list(range(len(sizes)))
    assert all(map(len, groups)) or not sizes
    totals = [sum(sizes[i] for i in group) for group in groups]
    assert all(total <= most or len(g) == 1 for g, total in zip(groups, totals, strict=True))
    for total, (_, after) in zip(totals, pairwise(groups), strict=False):
        assert total + sizes[after.start] > most
