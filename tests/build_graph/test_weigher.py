"""Weights of pairs, and the best edges of each node, against a sort in Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.arrays.cosines import norms_of
from nsl_tools.build_graph.embeddings import Embeddings
from nsl_tools.build_graph.weigher import EdgeWeigher, IdRanks
from nsl_tools.spill.matrix import MatrixStore

if TYPE_CHECKING:
    from nsl_tools.build_graph.edges import Edges

ROWS, DIMENSION = 30, 5


def embeddings(seed: int, store: MatrixStore) -> Embeddings:
    """Return nodes of which some are equal, whose ids do not ascend, in the store."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(ROWS, DIMENSION)).astype(np.float32)
    vectors[::4] = vectors[0]
    ids = [b"%d" % node for node in random.permutation(ROWS)]
    writer = store.writer()
    writer.append(vectors)
    return Embeddings(pa.array(ids, pa.binary()), writer.finish(), norms_of(vectors))


def listed(edges: Edges) -> list[tuple[int, int, float]]:
    columns = edges.sources.tolist(), edges.targets.tolist(), edges.weights.tolist()
    return list(zip(*columns, strict=True))


@given(
    seed=st.integers(0, 99),
    budget=st.sampled_from([0, 1 << 20]),
    k=st.sampled_from([1, 4, None]),
    threshold=st.sampled_from([-1.0, 0.3]),
    pairs=st.sets(st.tuples(st.integers(0, ROWS - 1), st.integers(0, ROWS - 1)), max_size=200),
)
def test_the_best_edges_are_those_of_a_sort(
    seed: int, budget: int, k: int | None, threshold: float, pairs: set[tuple[int, int]]
) -> None:
    """From memory and from a scratch file; a node is no neighbour of its own."""
    sources, targets = np.array(sorted(pairs), np.int64).reshape(-1, 2).T.copy()
    with MatrixStore(budget) as store:
        nodes = embeddings(seed, store)
        weigher = EdgeWeigher(nodes, k, threshold, IdRanks(nodes.ids))
        found = weigher.best(sources, targets)
        weights = weigher.weigh(sources, targets)
        compact = weigher.choose(sources, targets, weigher.weigh_compactly(sources, targets))
        vectors = np.asarray(nodes.vectors[0:], np.float64)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert np.allclose(weights, (unit[sources] * unit[targets]).sum(axis=1), atol=1e-12)
    ids = nodes.ids.to_pylist()
    near = [
        (source, float(f"{weight:.6f}"), ids[target], target)
        for source, target, weight in zip(
            sources.tolist(), targets.tolist(), weights.tolist(), strict=True
        )
        if source != target and weight >= threshold
    ]
    expected = []
    for row in range(ROWS):
        best = sorted((edge[1:] for edge in near if edge[0] == row), reverse=True)[:k]
        expected += [(row, target, weight) for weight, _, target in best]
    assert [(s, t, float(f"{w:.6f}")) for s, t, w in listed(found)] == expected
    if not any(np.equal(sources, targets)):
        assert [edge[:2] for edge in listed(compact)] == [edge[:2] for edge in expected]


@pytest.mark.parametrize("asked", [1, 3, 1000])
def test_ids_are_ordered_by_their_bytes(asked: int) -> None:
    """Whether few of them are asked for, or so many that all are ranked."""
    names = [b"%d" % number for number in np.random.default_rng(0).permutation(500)]
    ranks = IdRanks(pa.array(names, pa.binary()))
    for rows in np.random.default_rng(1).integers(0, 500, (20, asked)):
        order = np.argsort(ranks.of(rows), kind="stable")
        assert [names[row] for row in rows[order]] == sorted(names[row] for row in rows)
    assert [names[row] for row in np.argsort(ranks.all)] == sorted(names)
