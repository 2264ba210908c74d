"""Candidates that a search found: which of them are weighed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from nsl_tools.build_graph.search.candidate_keys import NO_KEY, PairKeys
from nsl_tools.build_graph.search.candidates import SPARE, Candidates
from nsl_tools.progress import Work
from nsl_tools.threads import workers
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nsl_tools.threads import Workers

ROWS, BEST, SLACK = 120, 4, 1e-6


@pytest.fixture
def pool() -> Iterator[Workers]:
    with workers(2) as pool:
        yield pool


def similarities() -> np.ndarray:
    """Return those of all pairs; of the first rows all are equal."""
    vectors = np.random.default_rng(0).normal(size=(ROWS, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = (vectors @ vectors.T).astype(np.float32)
    found[:20] = 0.5
    np.fill_diagonal(found, -9)
    return found


def candidates(rows: np.ndarray) -> Candidates:
    """Return the best of each row, which has another number among `rows`."""
    layout, table = PairKeys(ROWS), np.full((ROWS, BEST + SPARE), NO_KEY)
    for row, own in enumerate(similarities()):
        others = np.argsort(-own)[: BEST + SPARE - (row % 7 == 0) * 3]
        owners = np.full(len(others), row)
        table[row, : len(others)] = np.sort(layout.pack(owners, others, own[others]))
    cells = (np.arange(ROWS) * 7 % 5).astype(np.uint16)
    return Candidates(rows, layout, table, SLACK, cells)


@pytest.mark.parametrize("together", [1, 7, 1024])
def test_what_may_be_among_the_best_is_weighed(
    pool: Workers, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    """Of equal similarities all are weighed; of others only the best, of which none is lost."""
    monkeypatch.setattr(TUNING, "weighed_rows", together)
    rows = np.arange(ROWS) * 3 + 1
    found = candidates(rows)
    some = rows[::2]
    work = Work()
    weighed = found.weigh(some, lambda a, b: (a * 1000 + b).astype(np.int32), pool.products, work)
    assert work.done == work.total == len(some)
    for row in some.tolist():
        sources, targets, weights = weighed.of(np.array([row]))
        assert (sources == row).all()
        assert weights.tolist() == (sources * 1000 + targets).tolist()
        _, every = found.pairs(np.array([row]))
        assert set(targets.tolist()) <= set(every.tolist())
        own = similarities()[row // 3][every // 3]
        kth = np.sort(own)[::-1][min(BEST, len(own)) - 1]
        assert set(every[own >= kth].tolist()) <= set(targets.tolist())
        assert (own >= kth - 1e-5).sum() >= len(targets)


def test_pairs_come_in_the_order_of_the_rows_asked_for() -> None:
    rows = np.arange(ROWS) * 2
    sources, targets = candidates(rows).pairs(np.array([14, 2, 238]))
    expected = [14] * (BEST + SPARE - 3) + [2] * (BEST + SPARE) + [238] * (BEST + SPARE - 3)
    assert sources.tolist() == expected
    own = similarities()[sources // 2, targets // 2]
    assert (np.diff(own)[np.diff(sources) == 0] <= 0).all()
