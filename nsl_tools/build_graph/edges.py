"""Edges that a search found, in the order in which they are written."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nsl_tools.progress import Work
    from nsl_tools.spill.matrix import Rows


@dataclass(frozen=True)
class Edges:
    """Directed edges between rows of the embeddings, all arrays of shape (m,).

    Sorted by source, then weight as written descending, then target id descending.
    """

    sources: Rows
    targets: Rows
    weights: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.weights)

    def cut(self, place: int) -> tuple[Edges, Edges]:
        """Return the edges before `place`, and the others."""
        before, after = slice(place), slice(place, None)
        return (
            Edges(self.sources[before], self.targets[before], self.weights[before]),
            Edges(self.sources[after], self.targets[after], self.weights[after]),
        )


def counted(found: Iterable[Edges], queries: Rows, work: Work) -> Iterator[Edges]:
    """Yield batches of edges, ascending by source; count the `queries` that were passed.

    Args:
        found: edges that leave queries.
        queries: rows, ascending.
        work: counts them.
    """
    passed = 0
    for edges in found:
        yield edges
        if len(edges):
            before, passed = passed, int(np.searchsorted(queries, edges.sources[-1], "right"))
            work.add(passed - before)
    work.add(len(queries) - passed)


class EdgeFlow:
    """Edges in order of their sources, to take part by part from one search.

    Args:
        found: batches of edges, ascending by source from batch to batch.
    """

    def __init__(self, found: Iterator[Edges]) -> None:
        self._found = found
        self._rest: list[Edges] = []

    def parts(self, sources: Iterable[Rows]) -> Iterator[Iterator[Edges]]:
        """Yield the edges that leave each part of all sources, ascending from part to part.

        Take all of a part before the next.
        """
        for rows in sources:
            yield self._until(int(rows[-1]) + 1) if len(rows) else iter(())

    def _until(self, end: int) -> Iterator[Edges]:
        for edges in chain(self._rest, self._found):
            before, after = edges.cut(int(np.searchsorted(edges.sources, end)))
            self._rest = [after] if len(after) else []
            yield before
            if self._rest:
                return
