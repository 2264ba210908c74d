"""NSL's buckets: which pairs share one, in the draws of numpy's legacy generator."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.arrays.cosines import norms_of
from nsl_tools.build_graph.embeddings import Embeddings
from nsl_tools.build_graph.search.exact import NearestNeighbors
from nsl_tools.build_graph.search.lsh import bucketed_edges
from nsl_tools.build_graph.weigher import EdgeWeigher, IdRanks
from nsl_tools.options import BuildGraphOptions
from nsl_tools.progress import Progress
from nsl_tools.spill.matrix import MatrixStore
from nsl_tools.threads import workers
from nsl_tools.tuning import TUNING

ROWS, DIMENSION = 60, 5


def pairs_in_buckets(vectors: np.ndarray, splits: int, rounds: int, seed: int) -> set[object]:
    """Return the pairs of rows that have the same bits in any round, as NSL 1.4 draws planes."""
    random, found = np.random.RandomState(seed), set()
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for _ in range(rounds):
        planes = random.rand(splits, DIMENSION) * 2 - 1
        sides = [tuple(row) for row in (unit @ planes.T > 0).tolist()]
        found |= {
            (a, b) for a in range(ROWS) for b in range(ROWS) if a != b and sides[a] == sides[b]
        }
    return found


@given(
    splits=st.integers(1, 6),
    rounds=st.integers(1, 3),
    seed=st.integers(0, 99),
    queries=st.sets(st.integers(0, ROWS - 1)).map(sorted),
    small=st.sampled_from([0, 5, 1000]),
    budget=st.sampled_from([0, 1 << 24]),
)
def test_edges_are_the_pairs_that_share_a_bucket(
    splits: int, rounds: int, seed: int, queries: list[int], small: int, budget: int
) -> None:
    vectors = np.random.default_rng(seed).normal(size=(ROWS, DIMENSION)).astype(np.float32)
    ids = pa.array([b"%02d" % row for row in range(ROWS)], pa.binary())
    nodes = Embeddings(ids, vectors, norms_of(vectors))
    options = BuildGraphOptions(
        k=None, similarity_threshold=-1, lsh_splits=splits, lsh_rounds=rounds, random_seed=seed
    )
    with (
        pytest.MonkeyPatch.context() as patch,
        MatrixStore(budget) as store,
        workers(2) as pool,
    ):
        patch.setattr(TUNING, "small_bucket", small)
        weigher = EdgeWeigher(nodes, None, -1.0, IdRanks(ids))
        progress = Progress(quiet=False)
        nearest = NearestNeighbors(weigher, pool, store, progress=progress)
        edges = list(bucketed_edges(nearest, options, np.array(queries, np.int64)))
    for phase in progress.phases:  # all that was expected is done, and no more
        assert phase.name == "comparing"
        assert phase.done == phase.expected
    found = [
        pair
        for part in edges
        for pair in zip(part.sources.tolist(), part.targets.tolist(), strict=True)
    ]
    expected = pairs_in_buckets(vectors.astype(np.float64), splits, rounds, seed)
    assert len(found) == len(set(found))
    assert set(found) == {(a, b) for a, b in expected if a in queries}
    assert [source for source, _ in found] == sorted(source for source, _ in found)
