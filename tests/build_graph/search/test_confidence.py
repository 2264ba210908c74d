"""The bound of a measured recall: on rows whose recall is known, rare edges and heavy rows too."""

import math

import numpy as np
import pytest

from nsl_tools.build_graph.search.confidence import Counts, is_promised, recall_of

K = 10
Whole = tuple[Counts, Counts]
"""Hits and exact edges of all rows of a graph."""


def even(random: np.random.Generator) -> Whole:
    """Each row has `K` edges and misses some."""
    return random.binomial(K, random.beta(20, 1, size=100_000)), np.full(100_000, K)


def all_or_none(random: np.random.Generator) -> Whole:
    """Each row has `K` edges, and one in twenty misses all of them."""
    return np.where(random.random(100_000) < 0.05, 0, K), np.full(100_000, K)


def rare(random: np.random.Generator) -> Whole:
    """Most rows have no edge, the others have few and miss more if they have more."""
    wanted = np.minimum(random.zipf(2, size=100_000), K) * (random.random(100_000) < 0.3)
    return np.where(random.random(100_000) < 0.02 * wanted, 0, wanted), wanted


def heavy(random: np.random.Generator) -> Whole:
    """One row in a hundred has most edges, and half of these rows miss all."""
    wanted = np.where(random.random(100_000) < 0.01, K, 1)
    return np.where((wanted == K) & (random.random(100_000) < 0.5), 0, wanted), wanted


@pytest.mark.parametrize("kind", [even, all_or_none, rare, heavy])
@pytest.mark.parametrize("rows", [100, 1000])
def test_the_bound_is_above_the_truth_in_at_most_1_of_100_samples(kind: object, rows: int) -> None:
    random = np.random.default_rng(rows)
    hits, wanted = kind(random)  # type: ignore[operator]
    truth = hits.sum() / wanted.sum()
    above = 0
    for _ in range(400):
        chosen = random.choice(len(hits), rows, replace=False)
        above += is_promised(hits[chosen], wanted[chosen], K, 0.0, truth)
    assert above <= 8


@pytest.mark.parametrize("missed", range(4))
@pytest.mark.parametrize("rows", [50, 450])
def test_the_bound_is_no_higher_than_the_exact_one(missed: int, rows: int) -> None:
    """Where rows are found whole or not at all, the binomial tells it (Clopper and Pearson)."""
    hits = np.repeat([K, 0], [rows - missed, missed])
    bound = recall_of(hits, np.full(rows, K), K, 0.0).lower_bound
    chance = sum(
        math.comb(rows, i) * (1 - bound) ** i * bound ** (rows - i) for i in range(missed + 1)
    )
    assert chance <= 0.0101


def test_rows_without_edges_tell_nothing() -> None:
    hits, wanted = np.array([1, 2, 0, 1]), np.array([1, 2, 1, 1])
    none = np.zeros(1000, np.int64)
    padded = recall_of(np.append(hits, none), np.append(wanted, none), K, 0.0)
    assert padded == recall_of(hits, wanted, K, 0.0)
    assert padded.measured == 0.8


def test_a_sample_without_edges_promises_nothing() -> None:
    none = np.zeros(100, np.int64)
    assert recall_of(none, none, K, 0.5).lower_bound == 0.0
    assert not is_promised(none, none, K, 0.5, 0.01)


def test_edges_that_are_missed_together_are_one_event() -> None:
    """The same share of edges is less sure if it is that of whole rows."""
    wanted = np.full(200, K)
    apart = recall_of(np.full(200, 9), wanted, K, 0.0)
    together = recall_of(np.repeat([K, 0], [180, 20]), wanted, K, 0.0)
    assert apart.measured == together.measured == 0.9
    assert together.lower_bound < 0.86 < apart.lower_bound < 0.9


def test_the_more_rows_are_known_the_less_is_in_doubt() -> None:
    hits, wanted = np.repeat([K, 9], [300, 30]), np.full(330, K)
    bounds = [recall_of(hits, wanted, K, share).lower_bound for share in (0.0, 0.5, 0.9)]
    assert bounds == sorted(set(bounds))


@pytest.mark.parametrize("seed", range(5))
def test_a_promise_is_a_bound_that_reaches_it(seed: int) -> None:
    random = np.random.default_rng(seed)
    wanted = random.integers(0, K + 1, size=300)
    hits = random.binomial(wanted, 0.9)
    bound = recall_of(hits, wanted, K, 0.1).lower_bound
    assert is_promised(hits, wanted, K, 0.1, bound - 1e-6)
    assert not is_promised(hits, wanted, K, 0.1, bound + 1e-6)
