"""How many things there are, of which only a random share is seen.

How many each node *keeps* of its neighbours, at most `k`, depends on how they are distributed
among nodes: ten of one node are not five of two. The distribution of their number is that which
makes what is seen most likely, where what is seen of each is binomial: found by expectation
maximisation (Kiefer and Wolfowitz, "Consistency of the maximum likelihood estimator in the
presence of infinitely many incidental parameters", 1956; Laird, "Nonparametric maximum
likelihood estimation of a mixing distribution", 1978).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def capped_counts(close: Floats, others: Floats, share: Floats, k: int | None) -> Floats:
    """Return how many neighbours each of some nodes keeps, shape (m,), where not all are seen.

    Args:
        close: those that are seen for certain, shape (m,).
        others: how many of the others are seen.
        share: the part of the others that is seen, shape (m,).
        k: that a node keeps at most; None for all.
    """
    if k is None:
        return close + others / share
    seen = np.minimum(np.round(others), k)
    # Numbers of which each node has one: those seen, small ones, and large ones some steps apart.
    steps = np.geomspace(1, max(2.0, 4 * seen.max(initial=1.0) / share.min()), 60)
    numbers = np.unique(np.r_[np.arange(20), np.round(steps), seen])
    kinds, of_kind, times = np.unique(
        np.stack([seen, share]), axis=1, return_inverse=True, return_counts=True
    )
    likely = _binomial(numbers, kinds[0, :, np.newaxis], kinds[1, :, np.newaxis])
    shares = _posterior(likely, times)
    kept = np.minimum(k, close[:, np.newaxis] + numbers)
    return np.asarray(np.einsum("ij,ij->i", shares[of_kind.reshape(-1)], kept))


def _posterior(likely: Floats, times: npt.NDArray[np.int64]) -> Floats:
    """Return how likely each number is for each kind of nodes, where nothing else is known.

    Args:
        likely: what is seen of each kind for each number, shape (kinds, numbers).
        times: how many nodes are of a kind.
    """
    weights = np.full(likely.shape[1], 1 / likely.shape[1])
    shares = likely
    for _ in range(200):  # steps, after which nothing moves
        shares = likely * weights
        shares /= shares.sum(axis=1, keepdims=True)
        weights = times @ shares / times.sum()
    return shares


def _binomial(numbers: Floats, seen: Floats, share: Floats) -> Floats:
    """Return how likely it is to see so many of each of `numbers`, up to a factor of each row."""
    missed = numbers - seen
    possible = missed >= 0
    missed = np.maximum(missed, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        gone = np.where(missed > 0, missed * np.log1p(-share), 0.0)
    logs = _log_factorial(numbers) - _log_factorial(missed) + gone
    logs = np.where(possible, logs, -np.inf)
    return np.asarray(np.exp(logs - logs.max(axis=1, keepdims=True)))


def _log_factorial(numbers: Floats) -> Floats:
    """Return the logarithms of factorials, by Stirling's series."""
    large = np.maximum(numbers, 1)
    found = large * np.log(large) - large + np.log(2 * np.pi * large) / 2 + 1 / (12 * large)
    return np.asarray(np.where(numbers > 1, found, 0.0))
