"""Cells: what their searches find, against all pairs, whatever the blocks and the threads."""

from collections.abc import Iterator
from concurrent.futures import Executor

import numpy as np
import pytest

from nsl_tools import cells
from nsl_tools.cells import Cells
from nsl_tools.workers import workers

ROWS, BEST = 400, 6


@pytest.fixture
def pool() -> Iterator[Executor]:
    with workers(2) as pool:
        yield pool.products


def units(seed: int = 0, width: int = 6) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(ROWS, width))
    vectors[50:120] = vectors[50]
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def found(searched: Cells, rows: np.ndarray) -> set[tuple[int, int]]:
    sources, targets = searched.pairs(rows)
    pairs = list(zip(sources.tolist(), targets.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs), "a pair is a candidate once"
    assert (sources != targets).all()
    return set(pairs)


@pytest.mark.parametrize("steps", [[1, 4, 5, 11, 99], [1, 99], [1, 2, 3, 99]])
@pytest.mark.parametrize("floor", [-2.0, 0.7])
def test_rows_that_visit_all_cells_find_all_neighbours(
    pool: Executor, steps: list[int], floor: float
) -> None:
    """Each pair meets once, however the visits are cut, so that nothing better is left out."""
    unit, rows = units(), np.setdiff1d(np.arange(ROWS), [3, 17, 399])
    searched = Cells(unit, rows, BEST, floor, pool, 0)
    for visits in steps:
        searched.search(visits)
    products = (unit @ unit.T).astype(np.float64)
    products[:, [3, 17, 399]] = -9
    np.fill_diagonal(products, -9)
    pairs = found(searched, rows)
    for row in rows.tolist():
        own = np.sort([products[row, other] for source, other in pairs if source == row])[::-1]
        best = np.sort(products[row])[::-1][: BEST + 2]
        np.testing.assert_allclose(own, best[best >= floor], atol=1e-6)


@pytest.mark.parametrize(("name", "value"), [("_CELLS_AT_ONCE", 1), ("_TABLE_ROWS", 7),
                                             ("_CROWD", 1), ("_CROWD", 1000)])  # fmt: skip
def test_what_is_kept_does_not_depend_on_when_it_is_kept(
    pool: Executor, monkeypatch: pytest.MonkeyPatch, name: str, value: int
) -> None:
    rows = np.arange(ROWS)

    def pairs() -> set[tuple[int, int]]:
        searched = Cells(units(), rows, BEST, -2.0, pool, 0)
        for visits in (1, 3, 7):
            searched.search(visits)
        return found(searched, rows)

    before = pairs()
    monkeypatch.setattr(cells, name, value)
    assert pairs() == before


def test_a_cell_that_is_too_large_is_cut(pool: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that nothing tells apart would meet each other, as often as their square."""
    monkeypatch.setattr(cells, "_BLOCK", 16)
    monkeypatch.setattr(cells, "_LARGEST", 1)
    unit = np.repeat(units()[:1], ROWS, axis=0)
    searched = Cells(unit, np.arange(ROWS), BEST, -2.0, pool, 0)
    before = searched.cost
    searched.search(1)
    assert searched.cost - before <= ROWS * 2 * 20
    sources, _ = searched.pairs(np.arange(ROWS))
    assert (np.bincount(sources, minlength=ROWS) >= BEST).all()


def test_more_visits_find_no_less(pool: Executor) -> None:
    unit, rows = units(1, 20), np.arange(ROWS)
    products = unit @ unit.T
    searched = Cells(unit, rows, BEST, -2.0, pool, 0)
    sums = []
    for visits in (1, 2, 4, 8):
        searched.search(visits)
        sums.append(sum(products[pair] for pair in found(searched, rows)))
    assert sums == sorted(sums)
    assert sums[0] < sums[-1]


def test_cells_and_their_numbers_do_not_depend_on_threads() -> None:
    kept = []
    for threads in (1, 3):
        with workers(threads) as pool:
            searched = Cells(units(2), np.arange(ROWS), BEST, -2.0, pool.products, 5)
            searched.search(1)
            searched.search(3)
            kept.append(found(searched, np.arange(ROWS)))
    assert kept[0] == kept[1]
