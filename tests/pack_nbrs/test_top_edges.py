"""The best edges of each seed: against a dictionary, in whatever order and portions they come."""

from __future__ import annotations

import contextlib
from itertools import pairwise
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.pack_nbrs.top_edges import TopEdges
from nsl_tools.tuning import TUNING

Edge = tuple[int, int, float]
# Few of each, so that edges are repeated and weights equal.
_EDGES = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 9), st.sampled_from([-1.0, -0.0, 0.0, 0.5, 1.0])),
    max_size=60,
)
_CUTS = st.lists(st.integers(0, 60), max_size=5)
_LIMITS = st.sampled_from([0, 1, 2, 5, None])


def expected(edges: list[Edge], limit: int | None) -> list[Edge]:
    """Return the best edges by seed, falling weight, falling target."""
    largest: dict[tuple[int, int], float] = {}
    for source, target, weight in edges:
        pair = (source, target)
        largest[pair] = max(weight, largest.get(pair, weight))
    ordered = sorted(((s, -w, -t) for (s, t), w in largest.items()))
    found = []
    for seed in range(7):
        own = [(s, -t, -w) for s, w, t in ordered if s == seed]
        found += own if limit is None else own[:limit]
    return found


def best(portions: list[list[Edge]], limit: int | None, nodes: int = 10) -> list[Edge]:
    """Return what is kept of edges that are added in portions."""
    with contextlib.ExitStack() as stack:
        top = TopEdges(nodes, limit, lambda rows: rows, 0, stack)
        for portion in portions:
            sources, targets, weights = (
                np.array([edge[i] for edge in portion], dtype)
                for i, dtype in enumerate((np.int64, np.int64, np.float64))
            )
            top.add(sources, targets, weights)
        found = np.concatenate(list(top.best()))
    columns = (found[name].tolist() for name in ("source", "target", "weight"))
    return list(zip(*columns, strict=True))


def portions_of(edges: list[Edge], cuts: list[int]) -> list[list[Edge]]:
    """Cut edges into consecutive portions, some of them empty."""
    bounds = [0, *sorted(min(cut, len(edges)) for cut in cuts), len(edges)]
    return [edges[start:end] for start, end in pairwise(bounds)]


@pytest.mark.parametrize("order", ["as they come", "by source", "by source, then not"])
@pytest.mark.parametrize("pending", [3, 1000])
@given(edges=_EDGES, cuts=_CUTS, limit=_LIMITS, most_open=st.sampled_from([2, 1000]))
def test_the_best_are_kept_in_any_order_and_portions(
    order: str,
    pending: int,
    edges: list[Edge],
    cuts: list[int],
    limit: int | None,
    most_open: int,
) -> None:
    """Whether sources ascend, or stop to, or one has more edges than are held for it."""
    if order != "as they come":
        edges = sorted(edges, key=lambda edge: edge[0])
    if order == "by source, then not":
        edges = edges + edges[::-1]
    with (
        mock.patch.multiple(TUNING, least_edges=pending, open_edges=most_open),
    ):
        found = best(portions_of(edges, cuts), limit)
    assert found == expected(edges, limit)


def test_many_nodes_are_no_different() -> None:
    edges = [(row % 7, row % 10, row % 3 / 2) for row in range(200)]
    ascending = sorted(edges)
    for each in (edges, ascending):
        assert best([each[:90], each[90:]], 3, 1 << 21) == expected(edges, 3)


@given(st.lists(st.tuples(st.just(0), st.integers(0, 1), st.sampled_from([-0.0, 0.0]))), _CUTS)
def test_of_an_edge_by_both_zeros_the_positive_one_is_kept(
    edges: list[Edge], cuts: list[int]
) -> None:
    """They are equal: the order in which they come, which scratch files change, tells nothing."""
    for source, target, weight in best(portions_of(edges, cuts), None):
        own = [w for s, t, w in edges if (s, t) == (source, target)]
        assert np.signbit(weight) == all(map(np.signbit, own))
