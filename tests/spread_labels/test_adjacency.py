"""`spread_labels.adjacency`: products are those of the dense matrix, in memory and spilled."""

from __future__ import annotations

import contextlib
from unittest import mock

import numpy as np
import pytest
from graphs import adjacency, dense, random_edges

from nsl_tools.errors import UsageError
from nsl_tools.memory_budget import MemoryBudget
from nsl_tools.spread_labels import adjacency as module
from nsl_tools.spread_labels.adjacency import Adjacency


@pytest.mark.parametrize("nodes", [1, 7, 300, 1000])
def test_products_are_those_of_the_dense_matrix(nodes: int) -> None:
    edges = random_edges(nodes, 5 * nodes, nodes)
    columns = np.random.default_rng(1).random((nodes, 3))
    right = dense(nodes, edges)
    with adjacency(nodes, edges) as graph:
        np.testing.assert_allclose(graph.product(columns), right @ columns, rtol=1e-6)
        np.testing.assert_allclose(graph.degrees, right.sum(axis=1), rtol=1e-6)
        assert graph.edges == np.count_nonzero(right) // 2


def test_products_do_not_depend_on_memory_or_on_the_other_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To the bit; nodes have more edges than are multiplied together."""
    monkeypatch.setattr(module, "_AT_ONCE", 64)
    edges = random_edges(500, 4000, 3)
    columns = np.random.default_rng(1).random((500, 4))
    with adjacency(500, edges) as graph:
        expected = graph.product(columns)
    with (
        mock.patch.object(MemoryBudget, "share", return_value=1),
        adjacency(500, edges) as graph,
    ):
        assert graph._file is not None
        np.testing.assert_array_equal(graph.product(columns), expected)
        for place in range(4):
            alone = graph.product(np.ascontiguousarray(columns[:, [place]]))
            np.testing.assert_array_equal(alone[:, 0], expected[:, place])
    np.testing.assert_allclose(expected, dense(500, edges) @ columns, rtol=1e-6)


def test_a_graph_without_edges() -> None:
    empty = np.empty(0, np.int64)
    with adjacency(3, (empty, empty, empty.astype(np.float64))) as graph:
        assert graph.product(np.ones((3, 2))).tolist() == [[0, 0]] * 3
        assert graph.edges == 0


@pytest.mark.own_memory("gives a limit that is too small")
def test_edges_that_do_not_fit_are_refused() -> None:
    with contextlib.ExitStack() as stack:
        graph = Adjacency(MemoryBudget(1000), stack)
        graph.add(*random_edges(50, 500, 0))
        with pytest.raises(UsageError, match="for the edges of this graph, received 1 kB"):
            graph.seal(50)
