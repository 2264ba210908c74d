"""Which cells are nearest to each row: against sorting all distances."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.build_graph.search import assignment
from nsl_tools.build_graph.search.assignment import NEVER, assign, nearest_keys


def _unit(random: np.random.Generator, rows: int, dimension: int) -> np.ndarray:
    vectors = random.normal(size=(rows, dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@given(
    rows=st.integers(1, 30),
    cells=st.integers(1, 300),
    dimension=st.integers(2, 20),
    n=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
)
def test_cells_are_the_nearest_ones_with_their_margins(
    rows: int, cells: int, dimension: int, n: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    unit, centroids = _unit(random, rows, dimension), _unit(random, cells, dimension)
    n = min(n, cells)
    found, margins = assign(unit, centroids, n)
    distances = 1.5 - unit.astype(np.float64) @ centroids.T.astype(np.float64)
    nearest = np.take_along_axis(distances, found.astype(np.int64), axis=1)
    assert np.allclose(nearest, np.sort(distances, axis=1)[:, :n], atol=1e-5)
    assert all(len(set(row)) == n for row in found.tolist())
    expected = np.minimum((nearest - nearest[:, :1]) * 2.0**15, NEVER - 1)
    assert np.allclose(margins, expected, atol=2)
    assert not margins[:, 0].any()


def test_a_longer_list_begins_as_a_shorter_one() -> None:
    random = np.random.default_rng(0)
    unit, centroids = _unit(random, 50, 8), _unit(random, 500, 8)
    long = assign(unit, centroids, 60)
    short = assign(unit, centroids, 7, np.empty((50, 500), np.float32))
    for longer, shorter in zip(long, short, strict=True):
        assert np.array_equal(longer[:, :7], shorter)


@given(
    rows=st.integers(1, 6),
    cells=st.integers(1, 90),
    columns=st.integers(1, 8),
    levels=st.sampled_from([1, 3, 1000]),
    bits=st.sampled_from([7, 15, 20]),
    centre=st.sampled_from([-0.9, 0.0, 0.9]),
    seed=st.integers(0, 9),
)
def test_the_keys_of_the_nearest_cells_are_those_of_a_sort(
    rows: int, cells: int, columns: int, levels: int, bits: int, centre: float, seed: int
) -> None:
    """So are those of cells that are as near as each other, or nearly: the smaller is first."""
    columns, spread = min(columns, cells), 2.0 ** (bits - 29)
    steps = np.random.default_rng(seed).integers(0, levels, (rows, cells))
    similarities = (centre + spread * steps / 8).astype(np.float32)
    every = assignment._keys(similarities, np.arange(cells, dtype=np.int32), bits)
    keys = nearest_keys(similarities, columns, bits)
    assert (keys == np.sort(every, axis=1)[:, :columns]).all()
