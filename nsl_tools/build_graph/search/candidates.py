"""What an approximate search found: the best candidates of each row, to be weighed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.build_graph.search.candidate_keys import NO_KEY
from nsl_tools.progress import Work
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from nsl_tools.build_graph.search.assignment import Numbers
    from nsl_tools.build_graph.search.candidate_keys import Keys, PairKeys
    from nsl_tools.spill.matrix import Rows

    Weights = npt.NDArray[np.int32]

SPARE = 2
"""Candidates kept beyond the best: float32 may mistake the order of the last ones."""


@dataclass(frozen=True)
class Candidates:
    """The best candidates of n rows, and a few more.

    Attributes:
        rows: the rows, ascending, shape (n,).
        layout: of the keys, in which a row is its place among `rows`.
        keys: ascending in each row, then NO_KEY, shape (n, k + SPARE).
        slack: by how much two similarities differ if their order is certain.
        cells: which cell each row is in, shape (n,).
    """

    rows: Rows
    layout: PairKeys
    keys: Keys
    slack: float
    cells: Numbers

    def pairs(self, rows: Rows) -> tuple[Rows, Rows]:
        """Return the candidates `(sources, targets)` of some of the rows, in their order."""
        keys = self.keys[np.searchsorted(self.rows, rows)]
        return self.ends(keys[keys != NO_KEY])

    def weigh(
        self,
        rows: Rows,
        weigh: Callable[[Rows, Rows], Weights],
        pool: Executor,
        work: Work | None = None,
    ) -> WeighedCandidates:
        """Weigh the candidates of some of the rows.

        Cell by cell, since the members of one have most of their candidates in common: these are
        in the processor's cache then.

        Args:
            rows: for `WeighedCandidates.of` to return.
            weigh: returns the weights of pairs; called by the threads.
            pool: the threads.
            work: counts rows.
        """
        weights = np.zeros(self.keys.shape, np.int32)
        order = self.by_cell(rows)
        step = TUNING.weighed_rows
        work = work or Work()
        work.expect(len(order))
        batches = (order[start : start + step] for start in range(0, len(order), step))
        for count in pool.map(partial(self._weigh, weigh, weights), batches):
            work.add(count)
        return WeighedCandidates(self, weights)

    def by_cell(self, rows: Rows) -> Rows:
        """Return the places of some of the rows, those of a cell together."""
        places = np.searchsorted(self.rows, rows)
        return places[np.argsort(self.cells[places], kind="stable")]

    def _weigh(self, weigh: Callable[[Rows, Rows], Weights], weights: Weights, places: Rows) -> int:
        weights[places] = self.weights_of(self.keys[places], weigh)
        return len(places)

    def weights_of(self, keys: Keys, weigh: Callable[[Rows, Rows], Weights]) -> Weights:
        """Return the weights of the candidates of some rows, 0 where they are not needed."""
        kept = self.hopeful(keys)
        found = np.zeros(keys.shape, np.int32)
        found[kept] = weigh(*self.ends(keys[kept]))
        return found

    def hopeful(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Tell which candidates of some rows are no farther than the last best one may be."""
        last = keys[:, -SPARE - 1 : -SPARE]
        return np.asarray((keys != NO_KEY) & (keys <= self.layout.farther(last, self.slack)))

    def ends(self, keys: Keys) -> tuple[Rows, Rows]:
        """Return sources and targets of some candidates, shapes (m,)."""
        owners, others = self.layout.owners(keys), self.layout.others(keys)
        return self.rows.take(owners), self.rows.take(others)


@dataclass(frozen=True)
class WeighedCandidates:
    """Candidates, and the weight of each that may be among the best, of shape (n, k + SPARE)."""

    candidates: Candidates
    weights: Weights

    def of(self, rows: Rows) -> tuple[Rows, Rows, Weights]:
        """Return sources, targets and weights of the candidates of some of the rows.

        Without those that cannot be among the best.
        """
        places = np.searchsorted(self.candidates.rows, rows)
        keys = self.candidates.keys[places]
        kept = self.candidates.hopeful(keys)
        return *self.candidates.ends(keys[kept]), self.weights[places][kept]
