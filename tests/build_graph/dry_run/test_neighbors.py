"""`build_graph.dry_run.neighbors`: edges counted where all is read, and told well where not."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
from estimating import asked_for, clustered, sampled
from hypothesis import given, settings
from hypothesis import strategies as st

from nsl_tools.build_graph.dry_run.neighbors import SampledNeighbors, sampled_neighbors

if TYPE_CHECKING:
    from pathlib import Path

    from nsl_tools.build_graph.request import Request


pytestmark = pytest.mark.own_memory("an estimate is of the usual sizes")


def found_for(asked: Request, most_bytes: int, seconds: float) -> SampledNeighbors:
    with sampled(asked, most_bytes) as (sample, nearest):
        rows = np.arange(len(sample.nodes.ids))
        search = partial(nearest.edges, base=rows)
        return sampled_neighbors(sample, nearest, search, rows, seconds)


def true_edges(vectors: np.ndarray, k: int | None, threshold: float) -> float:
    """Return how many edges leave a node on average."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    counts = (unit.astype(np.float64) @ unit.T >= threshold).sum(axis=1) - 1
    return float(np.minimum(counts, k or len(vectors)).mean())


@settings(max_examples=15)
@given(
    rows=st.integers(2, 500),
    size=st.sampled_from([3, 20, 100]),
    k=st.sampled_from([1, 10, None]),
    seed=st.integers(0, 99),
)
def test_edges_of_all_nodes_are_counted(
    tmp_path_factory: pytest.TempPathFactory, rows: int, size: int, k: int | None, seed: int
) -> None:
    vectors = clustered(rows, 12, size, seed=seed)
    asked = asked_for(tmp_path_factory.mktemp("n"), vectors, k=k)
    found = found_for(asked, 1 << 27, 100)
    if len(found.rows) == rows:
        assert found.edges_per_node == pytest.approx(true_edges(vectors, k, 0.8), abs=2 / rows)
    assert found.edges_per_node == pytest.approx(true_edges(vectors, k, 0.8), rel=0.2, abs=0.5)
    assert len(found.edges) == found.seen.sum()
    assert found.pairs >= len(found.edges)
    assert found.weighing > 0


@pytest.mark.parametrize("sort", [False, True])
@pytest.mark.parametrize("k", [10, 60, None])
def test_edges_are_told_by_a_part_of_the_nodes(
    tmp_path: Path, *, sort: bool, k: int | None
) -> None:
    """Whether the nodes of a cluster lie together in the file or not."""
    vectors = clustered(6000, 16, 40)
    if sort:
        vectors = vectors[np.argsort(vectors[:, 0])]
    truth = true_edges(vectors, k, 0.8)
    found = found_for(asked_for(tmp_path, vectors, k=k), vectors.nbytes // 3, 100)
    assert found.edges_per_node == pytest.approx(truth, rel=0.2)
    assert 0 < found.error < 0.1


def test_no_more_edges_are_held_than_make_sense(tmp_path: Path) -> None:
    """All of 5,000 nodes are neighbours: some rows tell that."""
    vectors = np.ones((5000, 4), np.float32)
    found = found_for(asked_for(tmp_path, vectors, k=None), 1 << 27, 100)
    assert found.edges_per_node == 4999
    assert len(found.edges) < 4 << 21


def test_nothing_seen_tells_that_little_is_known(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(300, 50)).astype(np.float32)
    found = found_for(asked_for(tmp_path, vectors), 1 << 27, 1)
    assert found.edges_per_node == 0
    assert found.error == np.inf
