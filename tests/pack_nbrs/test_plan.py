"""Which seeds are packed together, and what of which row they need: against sets."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.arrays.ranking import RANKING_BYTES
from nsl_tools.errors import UsageError
from nsl_tools.memory_budget import MemoryBudget
from nsl_tools.pack_nbrs.neighbor_store import DIGITS_BITS
from nsl_tools.pack_nbrs.plan import JoinPlan, distinct, edge_keys, refuse_hub
from nsl_tools.pack_nbrs.top_edges import EDGE

if TYPE_CHECKING:
    from collections.abc import Iterator

_RECORD = 100.0
"""Bytes of the record of each node."""
_BLOCK = 1.25 * _RECORD + 128
"""Bytes that its block is taken to have."""
_BLOCKS = st.sampled_from([0, 4, 9, 1000])


@dataclass(frozen=True)
class Nodes:
    """What a plan asks of nodes."""

    count: int

    def mean_sizes(self, rows: np.ndarray) -> np.ndarray:
        """Return how long the records of rows are."""
        return np.full(len(rows), _RECORD)

    def id_of(self, row: int) -> bytes:
        """Return the id of a row."""
        return b"node %d" % row


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[np.ndarray]]:
    """Draw a number of nodes and edges by seed, some whole seeds at a time, or of no seed."""
    nodes = draw(st.sampled_from([12, 300, 70_000]))
    apart = draw(st.sampled_from([1, nodes // 12]))
    seeds = sorted(draw(st.sets(st.integers(0, nodes - 1), max_size=8)))
    parts: list[list[tuple[float, int, int]]] = [[]]
    for seed in seeds:
        degree = draw(st.sampled_from([1, 2, 11]))
        targets = draw(st.lists(st.integers(0, 11), min_size=degree, max_size=degree, unique=True))
        if draw(st.booleans()):
            parts.append([])
        parts[-1] += [(0.5, seed, target * apart) for target in targets]
    return nodes, [np.array(part, EDGE) for part in parts]


def needs_of(edges: np.ndarray) -> set[tuple[int, int]]:
    """Return rows and digits of ranks: of the first ten edges of a seed they have one."""
    found, ranks = set(), dict.fromkeys(edges["source"].tolist(), 0)
    for _, source, target in edges.tolist():
        found.add((target, len(str(ranks[source]))))
        ranks[source] += 1
    return found


def plan_of(
    graph: tuple[int, list[np.ndarray]], blocks: int, kept: int, stack: contextlib.ExitStack
) -> JoinPlan:
    """Return the plan for ranges of so many blocks; so many bytes are not in scratch files."""
    nodes, parts = graph
    shares = {"blocks": max(1, blocks * _BLOCK), "plan_edges": kept, "plan_needs": kept}
    with mock.patch.object(MemoryBudget, "share", lambda _, part: shares[part]):
        return JoinPlan(parts, Nodes(nodes), MemoryBudget(10**9), stack)


@given(graph=graphs(), blocks=_BLOCKS, kept=st.sampled_from([0, 10**6]))
def test_ranges_have_all_edges_and_fit(
    graph: tuple[int, list[np.ndarray]], blocks: int, kept: int
) -> None:
    """Whole seeds, in order; what they need fits the memory, but for their last seed."""
    nodes, parts = graph
    with contextlib.ExitStack() as stack:
        plan = plan_of(graph, blocks, kept, stack)
        ranges = [plan.edges_of(index) for index in range(len(plan.ends))]
    every = np.concatenate(parts)
    assert plan.edges == len(every)
    assert np.concatenate(ranges).tolist() == every.tolist()
    sources = [sorted(set(edges["source"].tolist())) for edges in ranges]
    assert len({s for own in sources for s in own}) == sum(map(len, sources))
    assert plan.ends[-1] == nodes
    lasts = [(own[-1] + 1, end) for own, end in zip(sources, plan.ends, strict=True) if own]
    assert all(last == end for last, end in lasts[:-1])
    for edges in ranges:
        before_last = edges[edges["source"] < edges["source"].max(initial=0)]
        assert len(needs_of(before_last)) <= blocks or not len(before_last)
    assert plan.bytes >= sum(len(needs_of(edges)) for edges in ranges) * _BLOCK


@given(
    graph=graphs(),
    blocks=_BLOCKS,
    kept=st.sampled_from([0, 10**6]),
    asked=st.lists(st.integers(0, 6), max_size=4).map(sorted),
)
def test_needs_come_by_row(
    graph: tuple[int, list[np.ndarray]], blocks: int, kept: int, asked: list[int]
) -> None:
    """Once each, of the rows before those asked for; with the ranges that need them."""
    nodes, _ = graph
    with contextlib.ExitStack() as stack:
        plan = plan_of(graph, blocks, kept, stack)
        needs = [
            (row, digits, index)
            for index in range(len(plan.ends))
            for row, digits in needs_of(plan.edges_of(index))
        ]
        first = 0
        for end in [*asked, nodes // 2, nodes]:
            keys, places, ranges = plan.needs_before(end)
            assert keys.tolist() == sorted(set(keys.tolist()))
            rows = (keys >> np.uint64(DIGITS_BITS)).tolist()
            digits = (keys & np.uint64((1 << DIGITS_BITS) - 1)).tolist()
            found = zip(places.tolist(), ranges.tolist(), strict=True)
            pairs = [(rows[place], digits[place], index) for place, index in found]
            assert sorted(pairs) == sorted(need for need in needs if first <= need[0] < end)
            assert len(keys) == len({pair[:2] for pair in pairs})
            first = end


def edges_of(source: int, count: int) -> np.ndarray:
    """Return the edges of one seed."""
    return np.array([(1.0, source, target) for target in range(count)], EDGE)


def test_a_seed_whose_neighbours_do_not_fit_is_refused_by_name() -> None:
    """With the limit that they take; those of other seeds may be as many together."""
    least = 2 * _BLOCK + RANKING_BYTES

    def plan(limit: float) -> Iterator[int]:
        seeds = [edges_of(0, 9), edges_of(7, 10), edges_of(8, 9)]
        with contextlib.ExitStack() as stack:
            yield from JoinPlan(
                [np.concatenate(seeds)], Nodes(20), MemoryBudget(int(limit)), stack
            ).ends

    assert list(plan(10 * least)) == [1, 8, 20]
    problem = (
        r"^--memory-limit: expected about 30.4 kB for the 10 neighbours of 'node 7', received "
        r"6.06 kB: raise it, or lower --max-nbrs$"
    )
    with pytest.raises(UsageError, match=problem):
        list(plan(10 * least - 1))


@pytest.mark.own_memory("sets the limit")
def test_such_a_seed_is_refused_behind_one_of_few_neighbours() -> None:
    """With which it would share a range."""
    edges = np.concatenate([edges_of(0, 1), edges_of(7, 1000)])
    with contextlib.ExitStack() as stack, pytest.raises(UsageError, match="'node 7'"):
        JoinPlan([edges], Nodes(1000), MemoryBudget(10_000), stack)


def test_edges_that_do_not_fit_are_refused_by_name() -> None:
    edges = edges_of(3, 10)
    refuse_hub(edges, Nodes(20), 10 * RANKING_BYTES)
    with pytest.raises(UsageError, match="for the 10 neighbours of 'node 3', received 999 B"):
        refuse_hub(edges, Nodes(20), 10 * RANKING_BYTES - 1)


@given(st.lists(st.integers(0, 9), max_size=20))
def test_keys_once_each(keys: list[int]) -> None:
    found = distinct(np.array(keys, np.uint64))
    assert found.dtype == np.uint64
    assert found.tolist() == sorted(set(keys))


def test_digits_of_ranks_are_counted_within_each_seed() -> None:
    keys = edge_keys(np.concatenate([edges_of(1, 101), edges_of(2, 11)])).tolist()
    digits = [1] * 10 + [2] * 90 + [3] + [1] * 10 + [2]
    targets = [*range(101), *range(11)]
    assert keys == [t << DIGITS_BITS | d for t, d in zip(targets, digits, strict=True)]
