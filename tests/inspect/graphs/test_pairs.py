"""Reciprocity and repeated edges: what networkx says, in memory and in scratch files."""

from __future__ import annotations

import contextlib
from collections import Counter

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.errors import UsageError
from nsl_tools.inspect.graphs.pairs import EdgePairs
from nsl_tools.memory_budget import MemoryBudget

_NODE = st.one_of(st.integers(0, 8), st.sampled_from([(1 << 32) - 1, 1 << 31, 255, 256]))
_BATCHES = st.lists(st.lists(st.tuples(_NODE, _NODE), max_size=40), max_size=5)


@given(batches=_BATCHES, limit=st.sampled_from([100, 1 << 30]))
def test_counts_are_those_of_networkx(batches: list[list[tuple[int, int]]], limit: int) -> None:
    edges = [edge for batch in batches for edge in batch]
    with contextlib.ExitStack() as stack:
        pairs = EdgePairs(MemoryBudget(limit), stack)
        # A budget of so few bytes spills each batch; what is sorted then has to fit.
        pairs._memory = MemoryBudget(1 << 30)
        for batch in batches:
            ends = np.array(batch, np.int64).reshape(-1, 2)
            pairs.add(ends[:, 0], ends[:, 1])
        found = pairs.counted()
    graph = nx.DiGraph(edges)
    assert found.distinct == graph.number_of_edges()
    assert found.repeated == sum(Counter(edges).values()) - found.distinct
    if edges:
        assert found.mutual / found.distinct == pytest.approx(nx.overall_reciprocity(graph))


def test_a_partition_that_does_not_fit_is_refused() -> None:
    with contextlib.ExitStack() as stack:
        pairs = EdgePairs(MemoryBudget(1000), stack)
        pairs.add(np.zeros(100, np.int64), np.full(100, 1))
        with pytest.raises(UsageError, match=r"--memory-limit: expected at least 16 kB for the"):
            pairs.counted()
