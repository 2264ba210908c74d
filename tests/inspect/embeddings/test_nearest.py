"""Nearest neighbours of a sample: those of brute force, however the nodes come."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.inspect.embeddings.nearest import NearestOfSample
from nsl_tools.threads import workers


@given(
    seed=st.integers(0, 1 << 32),
    nodes=st.integers(1, 60),
    dimension=st.integers(1, 5),
    chosen=st.integers(1, 60),
    k=st.integers(1, 8),
    threads=st.integers(1, 3),
    cuts=st.lists(st.integers(0, 60), max_size=4),
)
def test_they_are_the_best_of_all(
    seed: int, nodes: int, dimension: int, chosen: int, k: int, threads: int, cuts: list[int]
) -> None:
    draw = np.random.default_rng(seed)
    # Few different vectors: some are equal, some are zero.
    vectors = draw.integers(-2, 3, (nodes, dimension)).astype(np.float32)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = (vectors / np.where(norms > 0, norms, 1)).astype(np.float32)
    labels = draw.integers(-1, 4, nodes).astype(np.int32)
    rows = np.sort(draw.permutation(nodes)[:chosen])
    found = NearestOfSample(units[rows], rows, k)
    bounds = [0, *sorted(min(cut, nodes) for cut in cuts), nodes]
    with workers(threads) as pools:
        for first, last in pairwise(bounds):
            if first < last:
                found.add(units[first:last], first, labels[first:last], pools)
    cosines = units[rows].astype(np.float64) @ units.T.astype(np.float64)
    cosines[np.arange(len(rows)), rows] = -np.inf
    cosines[:, ~units.any(axis=1)] = -np.inf
    cosines[~units[rows].any(axis=1)] = -np.inf
    best = np.sort(cosines, axis=1)[:, ::-1][:, :k]
    best = np.pad(best, [(0, 0), (0, k - best.shape[1])], constant_values=-np.inf)
    np.testing.assert_allclose(found.similarities, best, atol=1e-5)
    for row, (own, codes) in enumerate(zip(found.similarities, found.labels, strict=True)):
        for value, code in zip(own, codes, strict=True):
            if np.isfinite(value):
                assert code in labels[np.abs(cosines[row] - value) < 1e-5]
            else:
                assert code == -1
    every = cosines[:: -(-len(rows) // 128)]
    assert len(every) == found.counted
    for threshold in (-0.5, 0.0, 0.305, 0.9):
        expected = (every >= threshold - 1e-6).sum() / len(every)
        least, most = (every >= threshold + 1e-3).sum(), (every >= threshold - 1e-3).sum()
        assert least / len(every) <= found.reaching(threshold) <= most / len(every)
        assert least / len(every) <= expected <= most / len(every)
    if np.isfinite(every).any():
        finite = every[np.isfinite(every)]
        for share, value in zip((0, 0.5, 1), found.quantiles((0, 0.5, 1)), strict=True):
            nearest = np.quantile(finite, share, method="lower")
            assert value == pytest.approx(nearest, abs=2e-3)
    else:
        assert found.quantiles((0, 1)) == [None, None]
