"""The edges of graphs as arrays of numbers, read in a thread.

A graph is parsed while the ids of the examples are still being read. Where lines may be
skipped, it has to wait: how many may be depends on how many records were skipped.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from nsl_tools.arrays.fingerprints import Words, fingerprints
from nsl_tools.background import Background, in_background
from nsl_tools.formats.graphs.edge_batches import weights_of
from nsl_tools.progress import Work
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    import numpy.typing as npt

    from nsl_tools.formats.graphs.reading import GraphFiles
    from nsl_tools.memory_budget import MemoryBudget

    Edges = tuple[tuple[Words, Words], tuple[Words, Words], npt.NDArray[np.float64]]
    """Fingerprints of both ends of m edges, and their weights."""


class GraphEdges:
    """The edges of all graphs of a run, to be iterated once.

    Attributes:
        name: of the first file.
    """

    def __init__(
        self,
        graphs: GraphFiles,
        statistics: Statistics,
        memory: MemoryBudget,
        stack: contextlib.ExitStack,
    ) -> None:
        """Begin to read; hold a share of the memory; `stack` ends the thread."""
        self.name = graphs.name
        self._graphs, self._size = graphs, graphs.size  # asked for before a file may be replaced
        self._statistics = statistics
        self._own = Statistics()
        self._batches: Iterable[Edges]
        if statistics.max_errors:
            self._batches = in_background(_fingerprinted(graphs, statistics))
            return
        batch_bytes = 24 << 20  # that a batch takes at most: two MiB of the shortest lines
        ahead = max(2, min(32, int(memory.share("edges_ahead") / batch_bytes)))
        begun = Background(_fingerprinted(graphs, self._own), ahead)
        self._batches = stack.enter_context(contextlib.closing(begun))

    def left(self) -> Work:
        """Return what is left to read now, in bytes; it is not counted yet.

        Raises:
            DataError: a file cannot be read.
        """
        return Work(max(0, self._size - self._graphs.read.done))

    def batches(self, left: Work | None = None) -> Iterator[Edges]:
        """Yield some edges at a time, in the order of the files; count what was `left` to read.

        Raises:
            DataError: a file cannot be read, or a line is not an edge.
        """
        left, read = left or Work(), self._graphs.read.done
        for edges in self._batches:
            yield edges
            before, read = read, self._graphs.read.done
            left.add(read - before)
        self._statistics += self._own


def _fingerprinted(graphs: GraphFiles, statistics: Statistics) -> Iterator[Edges]:
    for batch in graphs.edges(statistics):
        sources, targets = (fingerprints(batch[name]) for name in ("source", "target"))
        yield sources, targets, weights_of(batch)
