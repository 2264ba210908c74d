"""The exact search between some rows and others, against all products in float64."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.arrays.cosines import norms_of
from nsl_tools.build_graph.embeddings import Embeddings
from nsl_tools.build_graph.pipeline import build_graph
from nsl_tools.build_graph.search.exact import NearestNeighbors, bytes_per_thread
from nsl_tools.build_graph.weigher import EdgeWeigher, IdRanks
from nsl_tools.options import BuildGraphOptions
from nsl_tools.spill.matrix import MatrixStore
from nsl_tools.threads import workers
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from pathlib import Path

    from nsl_tools.build_graph.edges import Edges
    from nsl_tools.spill.matrix import Rows

ROWS = 90


def nodes(seed: int) -> Embeddings:
    """Return nodes of which some are equal and some have no direction."""
    vectors = np.random.default_rng(seed).normal(size=(ROWS, 6)).astype(np.float32)
    vectors[5:40:3] = vectors[5]
    vectors[::17] = 0
    ids = pa.array([b"%02d" % row for row in range(ROWS)], pa.binary())
    return Embeddings(ids, vectors, norms_of(vectors))


def best_of_all(
    embeddings: Embeddings, queries: list[int], base: list[int], k: int | None, threshold: float
) -> list[tuple[int, int]]:
    """Return the pairs of sources and targets; rows order as their ids do."""
    vectors, norms = np.asarray(embeddings.vectors, np.float64), embeddings.norms
    found = []
    for row in queries:
        others = [other for other in base if other != row and norms[other] > 0]
        if norms[row] == 0:
            continue
        weights = {o: vectors[row] @ vectors[o] / norms[row] / norms[o] for o in others}
        near = sorted(
            ((round(w, 6), other) for other, w in weights.items() if w >= threshold), reverse=True
        )
        found += [(row, other) for _, other in near[:k]]
    return found


ROW_SETS = st.sets(st.integers(0, ROWS - 1)).map(sorted)


@given(
    seed=st.integers(0, 9),
    sets=st.tuples(ROW_SETS, ROW_SETS) | ROW_SETS.map(lambda rows: (rows, rows)),
    k=st.sampled_from([1, 5, None]),
    threshold=st.sampled_from([-2.0, 0.4]),
    tile=st.sampled_from([1, 13, 1008]),
    budget=st.sampled_from([0, 1 << 24]),
)
def test_edges_are_those_of_all_products(
    seed: int,
    sets: tuple[list[int], list[int]],
    k: int | None,
    threshold: float,
    tile: int,
    budget: int,
) -> None:
    queries, base = sets
    embeddings = nodes(seed)
    weigher = EdgeWeigher(embeddings, k, threshold, IdRanks(embeddings.ids))
    with (
        pytest.MonkeyPatch.context() as patch,
        MatrixStore(budget) as store,
        workers(2) as pool,
    ):
        patch.setattr(TUNING, "tile_rows", tile)
        rows = np.array(queries, np.int64), np.array(base, np.int64)
        edges = list(NearestNeighbors(weigher, pool, store).edges(*rows))
    found = [
        pair
        for part in edges
        for pair in zip(part.sources.tolist(), part.targets.tolist(), strict=True)
    ]
    assert found == best_of_all(embeddings, queries, base, k, threshold)


def test_wide_vectors_take_more_of_a_thread() -> None:
    widths = [1, 1000, 1 << 18, 1 << 20]
    taken = [bytes_per_thread(width) for width in widths]
    assert taken == sorted(taken)
    assert taken[0] < taken[-1]


@pytest.mark.own_memory("sets the limit")
def test_many_equal_vectors_are_weighed_in_small_batches(tmp_path: Path) -> None:
    """Those that are no candidates of others have candidates themselves, some at a time."""
    values = np.random.default_rng(0).integers(1, 20, (40_000, 1)).astype(np.float32)
    np.save(tmp_path / "v.npy", values)
    sizes: list[int] = []
    best = EdgeWeigher.best

    def noting(weigher: EdgeWeigher, sources: Rows, targets: Rows) -> Edges:
        sizes.append(len(sources))
        return best(weigher, sources, targets)

    with mock.patch.object(EdgeWeigher, "best", noting):
        options = BuildGraphOptions(k=10, memory_limit=32_000_000)
        found = build_graph([f"{tmp_path}/v.npy"], f"{tmp_path}/g", options)
    assert found.counts["edges"] == 400_000
    assert max(sizes) < 60_000
