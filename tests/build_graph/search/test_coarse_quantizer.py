"""The cells nearest to each row: their order, and who probes them."""

import bisect
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from nsl_tools.build_graph.embeddings import Embeddings, UnitRows
from nsl_tools.build_graph.search.assignment import NEVER
from nsl_tools.build_graph.search.coarse_quantizer import CoarseQuantizer
from nsl_tools.progress import Work
from nsl_tools.threads import Workers, workers
from nsl_tools.tuning import TUNING

ROWS, WIDTH = 700, 12


@pytest.fixture
def pool() -> Iterator[Workers]:
    with workers(2) as pool:
        yield pool


def unit_rows(scale: float = 1.0) -> UnitRows:
    vectors = np.random.default_rng(0).normal(size=(ROWS, WIDTH)).astype(np.float32)
    vectors *= np.float32(scale)
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    ids = pa.array([b"%d" % row for row in range(ROWS)])
    return UnitRows(Embeddings(ids, vectors, norms), np.arange(ROWS))


def similarities(cells: CoarseQuantizer) -> np.ndarray:
    """Return the similarity of each row to the centroids of the cells that are listed for it."""
    unit = unit_rows()[:]
    return np.einsum("id,ijd->ij", unit, cells._centroids[cells.listed])


def test_cells_are_listed_by_similarity(pool: Workers) -> None:
    cells = CoarseQuantizer(unit_rows(), pool, 0, work=(work := Work()))
    assert work.done == work.total == cells.cost
    listed = similarities(cells)
    assert cells.listed.shape == (ROWS, len(cells))
    assert (np.diff(listed, axis=1) <= 1e-6).all()
    assert all(len(set(row)) == len(row) for row in cells.listed.tolist())


def margin_for(cells: CoarseQuantizer, mean: float) -> int:
    """Return the least margin that makes rows probe so many cells."""
    return bisect.bisect_left(range(1 << 16), mean, key=cells.mean_probes)


@pytest.mark.parametrize("mean", [1, 1.7, 3, 8])
def test_all_rows_probe_what_lies_within_one_margin(pool: Workers, mean: float) -> None:
    """Every row probes its own cell, and no row probes one that is farther than the margin."""
    cells = CoarseQuantizer(unit_rows(), pool, 0)
    margin = margin_for(cells, mean)
    probes = cells.probes(margin)
    assert probes.min() >= 1
    assert probes.mean() == pytest.approx(cells.mean_probes(margin), abs=1e-9)
    listed = similarities(cells)
    sizes = np.bincount(cells.listed[:, 0], minlength=len(cells))
    met = sum(sizes[cells.listed[row, :count]].sum() for row, count in enumerate(probes.tolist()))
    assert cells.comparisons(margin) == met
    margins = listed[:, :1] - listed
    probed = np.arange(margins.shape[1]) < probes[:, np.newaxis]
    assert margins[probed].max() <= margin / (1 << 15) + 1e-3
    assert margins[~probed].min() >= margin / (1 << 15) - 1e-3


def test_more_probes_than_are_listed_list_more(pool: Workers) -> None:
    cells = CoarseQuantizer(unit_rows(), pool, 0, columns=3)
    before, cost = cells.listed.copy(), cells.cost
    assert before.shape == (ROWS, 3)
    assert not cells.list_enough(0)
    assert cells.list_enough(margin_for(cells, 2))
    assert cells.cost == cost + ROWS * len(cells)
    assert cells.listed.shape[1] >= 8
    assert (cells.listed[:, :3] == before).all()
    while cells.list_enough(NEVER):
        pass
    assert cells.listed.shape[1] == len(cells)
    assert (cells.probes(NEVER) == len(cells)).all()


def test_the_margin_of_a_pair_is_that_of_its_first_probe(pool: Workers) -> None:
    """Of the one to the cell of the other, or back; by a look at each list."""
    cells = CoarseQuantizer(unit_rows(), pool, 0, columns=5)
    rows, others = np.random.default_rng(1).integers(0, ROWS, (2, 300))
    expected = [
        min(_first_probe(cells, row, other), _first_probe(cells, other, row))
        for row, other in zip(rows.tolist(), others.tolist(), strict=True)
    ]
    assert cells.margins_of_pairs(rows, others).tolist() == expected
    assert 0 in expected
    assert NEVER in expected
    assert len(set(expected)) > 50


def _first_probe(cells: CoarseQuantizer, query: int, target: int) -> int:
    assigned = int(cells.listed[target, 0])
    listed = cells.listed[query].tolist()
    if assigned not in listed:
        return NEVER
    place = listed.index(assigned)
    return bisect.bisect(range(1 << 16), place, key=lambda margin: cells.probes(margin)[query])


@pytest.mark.parametrize("scale", [1e-37, 1e30])
def test_the_length_of_vectors_does_not_matter(pool: Workers, scale: float) -> None:
    """Even where float32 has no inverse of a length."""
    expected = CoarseQuantizer(unit_rows(), pool, 0).listed
    found = CoarseQuantizer(unit_rows(scale), pool, 0).listed
    assert (found == expected).mean() > 0.99


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_and_blocks_do_not_change_the_lists(
    pool: Workers, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    expected = CoarseQuantizer(unit_rows(), pool, 0).listed
    monkeypatch.setattr(TUNING, "counted_rows", 7)
    with workers(threads) as others:
        cells = CoarseQuantizer(unit_rows(), others, 0)
        assert (cells.listed == expected).all()
        assert (cells.probes(900) == CoarseQuantizer(unit_rows(), pool, 0).probes(900)).all()
