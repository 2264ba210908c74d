"""Inverted lists: what searches find, against all pairs, whatever the blocks and the threads."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from nsl_tools.build_graph.embeddings import Embeddings, UnitRows
from nsl_tools.build_graph.search import coarse_quantizer
from nsl_tools.build_graph.search.assignment import NEVER
from nsl_tools.build_graph.search.exact import Threads
from nsl_tools.build_graph.search.ivf import InvertedLists
from nsl_tools.progress import Work
from nsl_tools.threads import Workers, workers
from nsl_tools.tuning import TUNING

ROWS, BEST = 400, 6


@pytest.fixture
def pool() -> Iterator[Workers]:
    with workers(2) as pool:
        yield pool


def units(seed: int = 0, width: int = 6) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(ROWS, width))
    vectors[50:120] = vectors[50]
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def searched_in(
    unit: np.ndarray, rows: np.ndarray, threshold: float, pool: Workers
) -> InvertedLists:
    ids = pa.array([b"%d" % row for row in range(len(unit))])
    nodes = Embeddings(ids, unit, np.linalg.norm(unit.astype(np.float64), axis=1))
    return InvertedLists(UnitRows(nodes, rows), BEST, threshold, 1e-6, pool, Threads(pool), 0)


def found(searched: InvertedLists, rows: np.ndarray) -> set[tuple[int, int]]:
    sources, targets = searched.found.pairs(rows)
    pairs = list(zip(sources.tolist(), targets.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs), "a pair is a candidate once"
    assert (sources != targets).all()
    return set(pairs)


@pytest.mark.parametrize("steps", [[0, 4000, 4500, 9000, NEVER], [NEVER], [0, 0, 700, NEVER]])
@pytest.mark.parametrize("threshold", [-2.0, 0.7])
def test_rows_that_probe_all_cells_find_all_neighbours(
    pool: Workers, steps: list[int], threshold: float
) -> None:
    """Each pair meets once, however the probes are cut, so that nothing better is left out."""
    unit, rows = units(), np.setdiff1d(np.arange(ROWS), [3, 17, 399])
    searched = searched_in(unit, rows, threshold, pool)
    searched.search(steps[0], work := Work())
    assert work.done == searched.cost(steps[0]) - searched.listing_cost
    for margin in steps[1:]:
        searched.search(margin)
    products = (unit @ unit.T).astype(np.float64)
    products[:, [3, 17, 399]] = -9
    np.fill_diagonal(products, -9)
    pairs = found(searched, rows)
    for row in rows.tolist():
        own = np.sort([products[row, other] for source, other in pairs if source == row])[::-1]
        best = np.sort(products[row])[::-1][: BEST + 2]
        np.testing.assert_allclose(own, best[best >= threshold], atol=1e-6)


@pytest.mark.parametrize(("name", "value"), [("probed_lists", 1), ("kept_rows", 7),
                                             ("crowd", 1), ("crowd", 1000)])  # fmt: skip
def test_what_is_kept_does_not_depend_on_when_it_is_kept(
    pool: Workers, monkeypatch: pytest.MonkeyPatch, name: str, value: int
) -> None:
    rows = np.arange(ROWS)

    def pairs() -> set[tuple[int, int]]:
        searched = searched_in(units(), rows, -2.0, pool)
        for margin in (0, 3000, 7000):
            searched.search(margin)
        return found(searched, rows)

    before = pairs()
    monkeypatch.setattr(TUNING, name, value)
    assert pairs() == before


def test_a_cell_that_is_too_large_is_cut(pool: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that nothing tells apart would meet each other, as often as their square."""
    monkeypatch.setattr(coarse_quantizer, "_SMALL", 16)
    monkeypatch.setattr(coarse_quantizer, "_LARGEST", 1)
    unit = np.repeat(units()[:1], ROWS, axis=0)
    searched = searched_in(unit, np.arange(ROWS), -2.0, pool)
    searched.search(0)
    assert searched.cost(0) - searched.cost(-1) <= ROWS * 2 * 20
    sources, _ = searched.found.pairs(np.arange(ROWS))
    assert (np.bincount(sources, minlength=ROWS) >= BEST).all()


def test_more_probes_find_no_less(pool: Workers) -> None:
    unit, rows = units(1, 20), np.arange(ROWS)
    products = unit @ unit.T
    searched = searched_in(unit, rows, -2.0, pool)
    sums = []
    for margin in (0, 2000, 4000, 8000):
        searched.search(margin)
        sums.append(sum(products[pair] for pair in found(searched, rows)))
    assert sums == sorted(sums)
    assert sums[0] < sums[-1]


def test_pairs_are_compared_by_the_margin_that_was_foretold(pool: Workers) -> None:
    """Of the pairs that a search by no more than a margin compares, and so finds if near."""
    rows = np.arange(0, ROWS, 8)
    searched = searched_in(units(3), rows, -2.0, pool)
    pairs = np.array([(a, b) for a in rows.tolist() for b in rows.tolist() if a != b]).T
    margins = searched.margins_of_pairs(*pairs)
    all_kept = 0
    for margin in (0, 1500, 3000, 6000):
        searched.search(margin)
        met = set(map(tuple, pairs.T[margins <= margin].tolist()))
        near = {pair for pair in found(searched, rows) if pair[0] != pair[1]}
        assert near <= met
        full = [row for row in rows.tolist() if sum(a == row for a, _ in met) <= BEST + 2]
        assert {pair for pair in met if pair[0] in full} <= near
        all_kept += len(full)
    assert all_kept > 0


def test_cells_and_their_numbers_do_not_depend_on_threads() -> None:
    kept = []
    for threads in (1, 3):
        with workers(threads) as pool:
            searched = searched_in(units(2), np.arange(ROWS), -2.0, pool)
            searched.search(0)
            searched.search(3000)
            kept.append(found(searched, np.arange(ROWS)))
    assert kept[0] == kept[1]
