"""The search cut into tasks gives what the search in one process gives, whatever the cuts."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from here import Here
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.arrays.cosines import norms_of
from nsl_tools.build_graph.embeddings import Embeddings
from nsl_tools.build_graph.search.exact import NearestNeighbors
from nsl_tools.build_graph.tasks.nodes import written_nodes
from nsl_tools.build_graph.tasks.tiles import edges_by, planned
from nsl_tools.build_graph.weigher import EdgeWeigher, IdRanks
from nsl_tools.engines.work_folder import work_folder
from nsl_tools.spill.matrix import MatrixStore
from nsl_tools.threads import workers

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from nsl_tools.build_graph.edges import Edges
    from nsl_tools.build_graph.tasks.nodes import NodeFiles
    from nsl_tools.spill.matrix import Floats, Rows

pytestmark = pytest.mark.own_memory("plans tasks by the memory that they may take")


def vectors_of(kind: str, random: np.random.Generator) -> Floats:
    """Return vectors: `any`, `equal` ones among them, `near` each other, or `zero`."""
    rows, width = int(random.integers(1, 600)), int(random.integers(1, 10))
    vectors = random.normal(size=(rows, width)).astype(np.float32)
    if kind == "equal":
        vectors = vectors[random.integers(0, max(1, rows // 20), rows)]
    if kind == "near":
        vectors = vectors[random.integers(0, min(3, rows), rows)] + vectors * np.float32(1e-7)
    if kind == "zero":
        vectors[random.random(rows) < 0.3] = 0
    return vectors


def lines_of(found: Iterable[Edges]) -> list[tuple[int, int, float]]:
    """Return all edges, in order."""
    return [
        edge
        for edges in found
        for edge in zip(
            edges.sources.tolist(), edges.targets.tolist(), edges.weights.tolist(), strict=True
        )
    ]


def weigher_of(vectors: Floats, k: int | None, threshold: float, seed: int) -> EdgeWeigher:
    names = np.random.default_rng(seed).permutation(len(vectors))
    ids = pa.array([b"%d" % name for name in names], pa.binary())
    nodes = Embeddings(ids, vectors, norms_of(vectors))
    return EdgeWeigher(nodes, k, threshold, IdRanks(ids))


def in_one_process(weigher: EdgeWeigher, queries: Rows) -> list[tuple[int, int, float]]:
    with MatrixStore(1 << 26) as store, workers(1) as pools:
        nearest = NearestNeighbors(weigher, pools, store)
        return lines_of(nearest.edges(queries, np.arange(len(weigher.embeddings.norms))))


@given(
    seed=st.integers(0, 1 << 32),
    kind=st.sampled_from(["any", "equal", "near", "zero"]),
    k=st.sampled_from([None, 1, 3, 10, 50]),
    threshold=st.sampled_from([-1.0, 0.0, 0.5, 0.9]),
    slots=st.integers(1, 12),
    memory=st.sampled_from([1 << 12, 1 << 26]),
    budget=st.sampled_from([1 << 14, 1 << 26]),
    some=st.booleans(),
)
@pytest.mark.slow
def test_tasks_give_the_same_edges(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    kind: str,
    k: int | None,
    threshold: float,
    slots: int,
    memory: int,
    budget: int,
    some: bool,
) -> None:
    random = np.random.default_rng(seed)
    weigher = weigher_of(vectors_of(kind, random), k, threshold, seed)
    rows = len(weigher.embeddings.norms)
    queries = np.arange(rows)
    if some:
        queries = np.sort(random.choice(rows, random.integers(0, rows + 1), replace=False))
    with work_folder(str(tmp_path_factory.mktemp("work")), Counter()) as folder:
        found = edges_by(Here(slots), folder, weigher, budget, memory, queries)
        assert lines_of(found) == in_one_process(weigher, queries)


def nodes_in(folder: Path, rows: int, width: int) -> NodeFiles:
    weigher = weigher_of(np.ones((rows, width), np.float32), 10, 0.8, 0)
    return written_nodes(str(folder), weigher, np.arange(rows), 1 << 20)


@pytest.mark.parametrize("slots", [1, 2, 7, 40])
def test_tasks_are_of_about_equal_cost_and_compare_each_pair_once(
    tmp_path: Path, slots: int
) -> None:
    ranges, tasks = planned(nodes_in(tmp_path, 60_000, 1), 60_000, slots, 1 << 30)
    assert [part.start for part in ranges] == [0, *(part.stop for part in ranges[:-1])]
    assert ranges[-1].stop == 60_000
    costs = [task.cost for task in tasks]
    assert max(costs) <= 1.1 * np.median(costs)
    assert len(tasks) >= 2 * slots
    assert sum(costs) == pytest.approx(60_000**2 / 2, rel=0.01)


def test_a_task_stays_within_its_memory(tmp_path: Path) -> None:
    memory = 1 << 20
    ranges, _ = planned(nodes_in(tmp_path, 20_000, 8), 20_000, 2, memory)
    tile_bytes = max(map(len, ranges)) * 8 * 4
    assert 8 * tile_bytes <= memory
    assert all(a.stop == b.start for a, b in pairwise(ranges))
