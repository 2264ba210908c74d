"""Candidates from blocks of products: no pair that may be an edge is left out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.build_graph.search.block_products import (
    Wanted,
    all_pairs,
    pairs_between,
    tile_height,
)
from nsl_tools.progress import Work
from nsl_tools.spill.matrix import MatrixStore
from nsl_tools.threads import workers
from nsl_tools.tuning import TUNING


def units(seed: int, rows: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, 4))
    vectors[: rows // 3] = vectors[:1]
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.slow
@given(
    seed=st.integers(0, 99),
    rows=st.integers(1, 70),
    others=st.integers(1, 70) | st.none(),
    best=st.sampled_from([1, 4, None]),
    threshold=st.sampled_from([-2.0, 0.5]),
    tile=st.sampled_from([1, 9, 1008]),
    budget=st.sampled_from([0, 1 << 24]),
)
def test_every_pair_that_may_be_an_edge_is_a_candidate(
    seed: int,
    rows: int,
    others: int | None,
    best: int | None,
    threshold: float,
    tile: int,
    budget: int,
) -> None:
    """Once, by ascending batches of rows; where others is None, of the rows with themselves."""
    left = units(seed, rows)
    right = left if others is None else units(seed + 1, others)
    wanted = Wanted(best, threshold, 1e-6)
    with (
        pytest.MonkeyPatch.context() as patch,
        MatrixStore(budget) as store,
        workers(2) as pool,
    ):
        patch.setattr(TUNING, "tile_rows", tile)
        work = Work()
        if others is None:
            batches = list(all_pairs(left, wanted, pool.products, store, work=work))
        else:
            batches = list(pairs_between(left, right, wanted, pool.products, store, work=work))
    # A product of two tiles serves both of their rows, but within one tile.
    tiles = [min(tile, rows - start) for start in range(0, rows, tile)]
    products_due = (rows**2 + sum(t * t for t in tiles)) // 2 if others is None else rows * others
    assert work.done == work.total == products_due
    assert work.waiting == 0
    pairs = [pair for batch in batches for pair in zip(*(x.tolist() for x in batch), strict=True)]
    assert len(set(pairs)) == len(pairs)
    ends = [(int(sources.min()), int(sources.max())) for sources, _ in batches]
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(ends))
    products = left.astype(np.float64) @ right.T.astype(np.float64)
    kth = np.sort(products, axis=1)[:, ::-1][:, : best or rows + (others or 0)][:, -1:]
    must = (products >= threshold + 1e-6) & (products >= kth)
    assert set(map(tuple, np.argwhere(must).tolist())) <= set(pairs)
    assert all(products[pair] >= threshold - 1e-6 for pair in pairs)


@given(rows=st.integers(2, 60), apart=st.integers(1, 59), tile=st.sampled_from([1, 9, 1008]))
def test_products_of_rows_apart_are_counted(rows: int, apart: int, tile: int) -> None:
    apart = min(apart, rows - 1)
    with (
        pytest.MonkeyPatch.context() as patch,
        MatrixStore(1 << 24) as store,
        workers(2) as pool,
    ):
        patch.setattr(TUNING, "tile_rows", tile)
        work, wanted = Work(), Wanted(3, -2.0, 1e-6)
        list(all_pairs(units(0, rows), wanted, pool.products, store, apart=apart, work=work))
    assert work.done == work.total == apart * (rows - apart)


def test_tiles_are_low_where_vectors_are_long() -> None:
    assert tile_height(1 << 30, 64) == TUNING.tile_rows
    heights = [tile_height(1 << 22, width) for width in (1, 1 << 12, 1 << 18, 1 << 30)]
    assert heights == sorted(heights, reverse=True)
    assert heights[-1] == 1
