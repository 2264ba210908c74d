"""`spread_labels.spreading`: what dense algebra, and scikit-learn, give."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import pytest
from graphs import Matrix, adjacency, dense, random_edges
from sklearn.semi_supervised import LabelSpreading

from nsl_tools.progress import Work
from nsl_tools.spread_labels.spreading import (
    Labels,
    Spreading,
    _Forecast,
    class_scales,
    confidence,
    shares,
)

NODES, CLASSES = 60, 4


def labels(seed: int) -> Labels:
    random = np.random.default_rng(seed)
    return Labels(random.permutation(NODES)[:12], random.integers(0, CLASSES, 12))


def spread(spreading: Spreading, seed: int, parts: tuple[int, ...] = (0, CLASSES)) -> Matrix:
    found = np.zeros((NODES, CLASSES))
    with adjacency(NODES, random_edges(NODES, 150, seed)) as graph:
        for first, last in pairwise(parts):
            for one in spreading.spread(graph, labels(seed), range(first, last)):
                assert one.has_converged
                found[:, one.number] = one.values
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("alpha", [0.2, 0.9, 0.99])
def test_consistency_is_the_solution_of_its_equation(seed: int, alpha: float) -> None:
    weights = dense(NODES, random_edges(NODES, 150, seed))
    root = 1 / np.sqrt(np.maximum(weights.sum(axis=1), 1e-300))
    root[weights.sum(axis=1) == 0] = 0
    normal = root[:, None] * weights * root
    start = labels(seed).columns(NODES, range(CLASSES))
    right = np.linalg.solve(np.eye(NODES) - alpha * normal, (1 - alpha) * start)
    found = spread(Spreading(False, alpha, 1e-12, 100_000), seed)
    np.testing.assert_allclose(found, right, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("alpha", [0.5, 0.9, 0.99])
def test_how_many_products_are_to_come_is_known_after_a_tenth(
    monkeypatch: pytest.MonkeyPatch, seed: int, alpha: float
) -> None:
    """Within a quarter, where changes fall by about the same factor each time."""
    counts, work = [], Work()
    expect, nodes = work.expect, 5000

    def noted(count: int) -> None:
        expect(count)
        counts.append((work.done, work.total))

    monkeypatch.setattr(work, "expect", noted)
    with adjacency(nodes, random_edges(nodes, 30_000, seed)) as graph:
        random = np.random.default_rng(seed)
        given = Labels(random.permutation(nodes)[:500], random.integers(0, CLASSES, 500))
        list(Spreading(False, alpha, 1e-6, 1000).spread(graph, given, range(CLASSES), work))
        assert work.done % (2 * graph.edges) == 0
    assert work.done == work.total
    total = next(total for done, total in counts if 10 * done >= work.done)
    assert total == pytest.approx(work.done, rel=0.25)


def test_where_changes_do_not_fall_how_many_are_to_come_is_unknown() -> None:
    work = Work()
    forecast = _Forecast(work, 10, 1e-3)
    none = np.zeros(2, np.bool_)
    totals = []
    for change in (0.5, 0.4, 0.4, 0.04, 0.004):
        forecast.count(np.array([change, 0.1 * change]), np.ones(2), none, 100)
        totals.append(work.total)
    # Two classes, whose changes fall to a thousandth: by a fifth, not, and by nine tenths a time.
    assert totals == [0, 40 + 10 * (27 + 17), 0, 80 + 10 * (2 + 1), 100 + 10 * (1 + 0)]
    assert work.done == 100


@pytest.mark.parametrize("seed", range(4))
def test_consistency_is_label_spreading_of_scikit_learn(seed: int) -> None:
    weights = dense(NODES, random_edges(NODES, 150, seed))
    given = np.full(NODES, -1)
    given[labels(seed).rows] = labels(seed).classes
    known = np.unique(labels(seed).classes)
    model = LabelSpreading(kernel=lambda *_: weights, alpha=0.8, max_iter=5000, tol=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nodes that no label reaches
        model.fit(np.zeros((NODES, 1)), given)
    found = spread(Spreading(False, 0.8, 1e-12, 100_000), seed)[:, known]
    reached = found.sum(axis=1) > 0
    np.testing.assert_allclose(
        shares(found)[reached], model.label_distributions_[reached], atol=1e-6
    )


@pytest.mark.parametrize("seed", range(4))
def test_harmonic_values_are_the_means_of_neighbours(seed: int) -> None:
    """And labels stay as they are."""
    weights = dense(NODES, random_edges(NODES, 150, seed))
    found = spread(Spreading(True, 0.5, 1e-13, 100_000), seed)
    own = labels(seed)
    np.testing.assert_array_equal(found[own.rows], own.columns(NODES, range(CLASSES))[own.rows])
    degrees = weights.sum(axis=1)
    others = np.setdiff1d(np.flatnonzero(degrees), own.rows)
    means = (weights @ found)[others] / degrees[others, None]
    np.testing.assert_allclose(found[others], means, atol=1e-9)


@pytest.mark.parametrize("harmonic", [False, True])
def test_a_class_does_not_depend_on_those_spread_with_it(harmonic: bool) -> None:
    spreading = Spreading(harmonic, 0.9, 1e-6, 1000)
    whole = spread(spreading, 1)
    for parts in ((0, 1, 2, 3, 4), (0, 3, 4)):
        np.testing.assert_array_equal(spread(spreading, 1, parts), whole)


def test_what_has_not_converged_says_so() -> None:
    with adjacency(NODES, random_edges(NODES, 150, 0)) as graph:
        found = list(Spreading(False, 0.99, 0, 3).spread(graph, labels(0), range(CLASSES)))
    assert sorted(one.number for one in found) == list(range(CLASSES))
    assert not any(one.has_converged for one in found if one.values.any())


def test_shares_and_confidence() -> None:
    found = shares(np.array([[3.0, 1.0], [0.0, 0.0], [0.0, 2.0]]))
    assert found.tolist() == [[0.75, 0.25], [0.5, 0.5], [0.0, 1.0]]
    entropy = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))
    np.testing.assert_allclose(confidence(found), [1 - entropy, 0, 1], atol=1e-12)
    assert confidence(np.ones((2, 1))).tolist() == [1, 1]


def test_classes_get_the_mass_of_their_labels() -> None:
    masses = np.array([4.0, 1.0, 0.0])
    scales = class_scales(masses, np.array([1, 3, 0]))
    np.testing.assert_allclose(scales * masses, [0.25, 0.75, 0])
