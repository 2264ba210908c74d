"""How sure a recall is that was measured on random rows.

The recall is a ratio: of the exact edges of all rows, the share that a search found. It is
judged by the rows of the sample that have edges, since the others tell nothing. Where edges
are rare, so are such rows, and only they count as the size of the sample.

The bound is that of empirical likelihood for a ratio (Owen, "Empirical Likelihood", 2001,
chapters 2 and 3). A recall `p` is ruled out if no weights that make it the recall of the
sample are likely enough: if the maximum over `t` of

    sum over rows of log(1 + t * (hits - p * edges))

exceeds half of the squared normal quantile. The row is the unit, so edges that are missed
together count as one event, and the bound follows the skewness of the rows, where a normal
approximation takes them to be symmetric. The sample is given one more row, which has as many
edges as a row may have and missed all of them (Chen, Variyath and Abraham, "Adjusted
Empirical Likelihood", 2008): without a miss in the sample there still may be one elsewhere,
and the rows that nobody saw may be those with the most edges. So the bound is no higher than
the exact one of Clopper and Pearson where rows are found whole or not at all.

Drawing rows until enough of their edges were seen does not change this: of the rows with
edges, those seen are a random sample of their number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_HALVINGS = 40  # steps of a bisection: what is left is about as small as float64 can tell


@dataclass(frozen=True)
class Recall:
    """Recall as measured on a sample.

    Attributes:
        measured: the share of exact edges found.
        lower_bound: of the recall of all rows, with 99 % confidence.
    """

    measured: float
    lower_bound: float


def recall_of(hits: Counts, wanted: Counts, most: int, share: float) -> Recall:
    """Return the recall of a search, judged by the rows of a sample, shapes (m,).

    Args:
        hits: exact edges found, for each row.
        wanted: exact edges.
        most: exact edges that a row may have.
        share: the part of all rows that was sampled, without replacement; below 1.
    """
    if not wanted.any():
        # Nothing was seen, so the bound is the lowest.
        return Recall(1.0, 0.0)
    rows = _Rows(hits, wanted, most)
    measured = float(hits.sum() / wanted.sum())
    low, high = 0.0, measured
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if rows.rule_out(middle, share) else (low, middle)
    return Recall(measured, low)


def is_promised(hits: Counts, wanted: Counts, most: int, share: float, least: float) -> bool:
    """Tell whether the lower bound of `recall_of` is at least `least`; faster than that."""
    return bool(wanted.any()) and _Rows(hits, wanted, most).rule_out(least, share)


class _Rows:
    """The rows of a sample that have edges, equal ones together, and one that missed all."""

    def __init__(self, hits: Counts, wanted: Counts, most: int) -> None:
        base = most + 1
        kinds, times = np.unique(wanted * base + hits, return_counts=True)
        edges, found = np.divmod(kinds[kinds >= base], base)
        self._hits, self._edges = np.append(found, 0), np.append(edges, most)
        self._times = np.append(times[kinds >= base], 1)

    def rule_out(self, recall: float, share: float) -> bool:
        """Tell whether a recall of all rows that is no more than this is too unlikely."""
        # What was sampled is known: only the rest is in doubt.
        normal_quantile = 2.3263  # of 0.99
        doubt = normal_quantile**2 / 2 * (1 - share)
        return _log_likelihood_ratio(self._hits - recall * self._edges, self._times) > doubt


def _log_likelihood_ratio(gains: Floats, times: Counts) -> float:
    """Return by how much the sample speaks against a mean of `gains`, one negative, of 0 or less.

    Args:
        gains: of each kind of rows, shape (kinds,).
        times: how many rows are of a kind.
    """
    if gains @ times <= 0:
        return 0.0
    low, high = 0.0, -1 / float(gains.min())
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        # The sum is concave: where it still rises, the maximum is above.
        rises = times @ (gains / (1 + middle * gains)) > 0
        low, high = (middle, high) if rises else (low, middle)
    return float(times @ np.log1p(low * gains))
