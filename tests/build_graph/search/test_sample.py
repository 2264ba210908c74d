"""Samples: the recall that they measure, and the margin that promises one."""

import numpy as np
import pytest

from nsl_tools.build_graph.edges import Edges
from nsl_tools.build_graph.search.sample import Sample


def edges(*rows: tuple[int, int, float]) -> Edges:
    sources, targets, weights = zip(*rows, strict=True) if rows else ((), (), ())
    return Edges(np.array(sources, np.int64), np.array(targets, np.int64), np.array(weights, float))


EXACT = edges((2, 7, 0.9), (2, 5, 0.8), (4, 1, 0.5), (4, 2, 0.5), (9, 2, 0.25))
SAMPLE = Sample(np.array([2, 3, 4, 9]), [EXACT], 10, 2)


@pytest.mark.parametrize(
    ("found", "share"),
    [
        (EXACT, 1.0),
        (edges(), 0.0),
        (edges((2, 7, 0.9), (4, 8, 0.5), (9, 3, 0.2499991)), 2 / 5),  # a tie is as good
        (edges((2, 7, 0.9), (4, 8, 0.4), (9, 3, 0.2499996)), 2 / 5),  # so is one as written
        (edges((2, 1, 0.8), (2, 3, 0.8), (2, 5, 0.8), (3, 1, 1.0)), 2 / 5),  # no more than wanted
    ],
)
def test_found_edges_count_if_they_reach_the_last_exact_one(found: Edges, share: float) -> None:
    assert SAMPLE.recall(found).measured == pytest.approx(share)


@pytest.mark.parametrize("least", [0.3, 0.6, 0.9])
def test_the_least_margin_is_one_below_which_the_promise_fails(least: float) -> None:
    """By the recall of a search that finds just the edges that meet."""
    random = np.random.default_rng(0)
    rows = np.arange(300)
    exact = edges(*[(row, int(to), 0.5) for row in rows.tolist() for to in range(300, 310)])
    sample = Sample(rows, [exact], 10_000, 10)
    margins = random.integers(0, 60_000, len(exact))

    def bound(margin: int) -> float:
        met = margins <= margin
        kept = Edges(exact.sources[met], exact.targets[met], exact.weights[met])
        return sample.recall(kept).lower_bound

    margin = sample.promising(margins, least)
    assert margin is not None
    assert bound(margin - 1) < least <= bound(margin)
    assert sample.promising(margins, 1.0) is None


def test_the_chosen_margin_keeps_the_promise_in_99_of_100_samples() -> None:
    """Though the sample chose it: on rows drawn from a known whole, of which some are hard."""
    random = np.random.default_rng(0)
    spread = random.gamma(1, size=(20_000, 1)) * random.gamma(1, size=(20_000, 10))
    whole = (1000 * spread).astype(np.int64)
    truth = np.sort(whole.ravel())
    broken = 0
    for _ in range(500):
        rows = np.sort(random.choice(len(whole), 300, replace=False))
        sources = rows.repeat(10)
        exact = Edges(sources, np.zeros_like(sources), np.ones(len(sources)))
        sample = Sample(rows, [exact], len(whole), 10)
        margin = sample.promising(whole[rows].ravel(), 0.9)
        broken += np.searchsorted(truth, margin, "right") / truth.size < 0.9
    assert broken <= 10
