"""How many things there are, of which only a random share is seen.

How many each node *keeps* of its neighbours, at most `k`, depends on how they are distributed
among nodes: ten of one node are not five of two. The distribution of their number is that which
makes what is seen most likely, where what is seen of each is Poisson: found by expectation
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
    # Rates of which each node has one; so many steps apart, they are told apart by no sample.
    rates = np.r_[0.0, np.geomspace(0.1, max(1.0, 4 * others.max(initial=1.0)) / share.min(), 60)]
    kinds, of_kind, times = np.unique(
        np.stack([np.minimum(others, k), share]), axis=1, return_inverse=True, return_counts=True
    )
    shares = _posterior(_poisson(kinds[0, :, np.newaxis], kinds[1, :, np.newaxis] * rates), times)
    kept = np.minimum(k, close[:, np.newaxis] + rates)
    return np.asarray(np.einsum("ij,ij->i", shares[of_kind.reshape(-1)], kept))


def _posterior(likely: Floats, times: npt.NDArray[np.int64]) -> Floats:
    """Return how likely each rate is for each kind of nodes, where nothing else is known.

    Args:
        likely: what is seen of each kind for each rate, shape (kinds, rates).
        times: how many nodes are of a kind.
    """
    weights = np.full(likely.shape[1], 1 / likely.shape[1])
    shares = likely
    for _ in range(200):  # steps, after which nothing moves
        shares = likely * weights
        shares /= shares.sum(axis=1, keepdims=True)
        weights = times @ shares / times.sum()
    return shares


def _poisson(counts: Floats, means: Floats) -> Floats:
    """Return how likely each count is for each mean, but for a factor of each row."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(counts > 0, counts * np.log(means), 0.0) - means
    logs -= logs.max(axis=1, keepdims=True)
    return np.exp(logs)
