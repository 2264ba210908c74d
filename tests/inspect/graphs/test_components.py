"""Connected components: what scipy finds, however the edges come."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from nsl_tools.inspect.graphs.components import Components

_EDGES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=60)


def expected(edges: np.ndarray, count: int) -> list[int]:
    graph = coo_array((np.ones(len(edges)), edges.T), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    return sorted(np.bincount(labels).tolist(), reverse=True)


@given(batches=st.lists(_EDGES, max_size=6), others=st.integers(0, 3))
def test_sizes_are_those_of_scipy(batches: list[list[tuple[int, int]]], others: int) -> None:
    found, count = Components(), 0
    for batch in batches:
        edges = np.array(batch, np.int64).reshape(-1, 2)
        count = max(count, edges.max(initial=-1) + 1)
        found.add(edges[:, 0], edges[:, 1], count)
    every = np.array([edge for batch in batches for edge in batch], np.int64).reshape(-1, 2)
    assert found.sizes(count + others).tolist() == expected(every, count + others)


def test_long_ways_are_short_work() -> None:
    nodes = np.arange(300_000)
    for order in (nodes[:-1], nodes[:-1][::-1], np.random.default_rng(0).permutation(nodes[:-1])):
        found = Components()
        for part in np.array_split(order, 7):
            found.add(part, part + 1, len(nodes))
        assert found.sizes(len(nodes)).tolist() == [len(nodes)]
