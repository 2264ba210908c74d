"""Labels spread along a graph: what each node gets of each class.

Local and global consistency (Zhou, Bousquet, Lal, Weston, Schölkopf, "Learning with local and
global consistency", NIPS 2004): `F = alpha S F + (1 - alpha) Y` with `S = D^-1/2 W D^-1/2`.
Harmonic (Zhu, Ghahramani, Lafferty, "Semi-supervised learning using Gaussian fields and
harmonic functions", ICML 2003): `F = D^-1 W F` for nodes without a label, labels stay.

Both are iterated from the labels on; each class by itself, until it changes no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.progress import Work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nsl_tools.spread_labels.adjacency import Adjacency, Columns, Rows

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Labels:
    """The labels of m nodes.

    Attributes:
        rows: of the nodes, shape (m,), int64.
        classes: of each, from 0, shape (m,), int64.
    """

    rows: Rows
    classes: Rows

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, places: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Labels:
        """Return some of them."""
        return Labels(self.rows[places], self.classes[places])

    def columns(self, nodes: int, classes: range) -> Columns:
        """Return 1 for the class of each labeled node, of some classes, shape (nodes, c)."""
        found = np.zeros((nodes, len(classes)))
        own = (self.classes >= classes.start) & (self.classes < classes.stop)
        found[self.rows[own], self.classes[own] - classes.start] = 1
        return found


@dataclass(frozen=True)
class Spreading:
    """How labels are spread.

    Attributes:
        harmonic: whether labels stay as they are.
        alpha: how much a node takes from its neighbours, if they do not.
        tolerance: change of the largest value, as a share of it, at which it ends.
        iterations: at most.
    """

    harmonic: bool
    alpha: float
    tolerance: float
    iterations: int

    def spread(
        self, graph: Adjacency, labels: Labels, classes: range, work: Work | None = None
    ) -> Iterator[Class]:
        """Yield what all nodes get of each of some classes, as they come to an end.

        What is found for a class does not depend on the others that are spread with it. `work`
        counts products of a weight and a value; how many there will be is estimated.
        """
        forecast = _Forecast(work or Work(), 2 * graph.edges, self.tolerance)
        active = np.arange(classes.start, classes.stop)
        start = labels.columns(len(graph.degrees), classes)
        given = start * (1 - self.alpha)
        found = start
        before, after = self._scales(graph.degrees)
        for iteration in range(1, self.iterations + 1):
            new = graph.product(found * before)
            new *= after
            if self.harmonic:
                new[labels.rows] = start[labels.rows]
            else:
                new += given
            change, largest = np.abs(new - found).max(axis=0), new.max(axis=0)
            ended = change <= self.tolerance * largest
            found = new
            forecast.count(change, largest, ended, self.iterations - iteration)
            if iteration == self.iterations or ended.any():
                for place in np.flatnonzero(ended | (iteration == self.iterations)).tolist():
                    yield Class(int(active[place]), new[:, place], bool(ended[place]))
                active, found = active[~ended], np.ascontiguousarray(new[:, ~ended])
                start, given = start[:, ~ended], given[:, ~ended]
            if not len(active):
                break

    def _scales(self, degrees: Floats) -> tuple[Columns, Columns]:
        """Return what to multiply rows with before and after the product, shapes (n, 1)."""
        inverse = np.divide(1, degrees, out=np.zeros_like(degrees), where=degrees > 0)
        if self.harmonic:
            return np.ones((1, 1)), inverse[:, np.newaxis]
        root = np.sqrt(inverse)[:, np.newaxis]
        return root, self.alpha * root


class _Forecast:
    """Counts the products of iterations, and tells how many are to come.

    The changes of a class fall by about the same factor each time.
    """

    def __init__(self, work: Work, weights: int, tolerance: float) -> None:
        self._work, self._weights, self._tolerance = work, weights, tolerance
        self._before: Floats | None = None

    def count(
        self, change: Floats, largest: Floats, ended: npt.NDArray[np.bool_], most: int
    ) -> None:
        """Count an iteration of c classes, shapes (c,), which `most` more may follow."""
        self._work.add(self._weights * len(change))
        tiny = 1e-30  # in place of 0, of which there is no logarithm
        relative = (change / np.maximum(largest, tiny))[~ended] + tiny
        total = 0  # unknown
        if self._before is not None:
            falls = np.log(self._before[~ended] / relative)
            if (falls > 0).all():
                left = np.ceil(np.log(relative / (self._tolerance + tiny)) / falls)
                products = self._weights * np.clip(left, 0, most).sum()
                total = self._work.done + int(products)
        self._work.expect(total - self._work.total)
        self._before = relative


@dataclass(frozen=True)
class Class:
    """What each node gets of a class.

    Attributes:
        number: of the class.
        values: not negative, shape (n,), float64.
        has_converged: whether they changed no more at the end.
    """

    number: int
    values: Floats
    has_converged: bool


def shares(values: Floats) -> Floats:
    """Return rows, shape (m, c), as probabilities; all classes alike where nothing came."""
    totals = values.sum(axis=1, keepdims=True)
    equal = np.full_like(values, 1 / values.shape[1])
    return np.asarray(np.divide(values, totals, out=equal, where=totals > 0))


def confidence(probabilities: Floats) -> Floats:
    """Return 1 less the entropy of each row as a share of the largest one, shape (m,).

    Source: Iscen, Tolias, Avrithis, Chum, "Label propagation for deep semi-supervised
    learning", CVPR 2019.
    """
    logs = np.log(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
    most = np.log(max(2, probabilities.shape[1]))
    return np.asarray(np.clip(1 + (probabilities * logs).sum(axis=1) / most, 0, 1))


def class_scales(masses: Floats, counts: Rows) -> Floats:
    """Return what to multiply each class with, so that their masses are as their labels.

    Class mass normalisation, as of Zhu and others 2003.

    Args:
        masses: sum of what nodes got of each class, shape (c,).
        counts: labels of each class.
    """
    wanted = counts / max(1, counts.sum())
    return np.asarray(np.divide(wanted, masses, out=np.zeros_like(masses), where=masses > 0))
