"""The exact neighbours of some random nodes, by the search itself: how many edges there will be.

Where only some nodes were read, a node's neighbours are seen as far as they are among these. Of
its own place in the files all were read, of the others a share: so those count by how seldom
they are seen, whatever the order of the files.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.thinning import capped_counts
from nsl_tools.build_graph.dry_run.timed import TimedWeigher
from nsl_tools.build_graph.edges import Edges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nsl_tools.build_graph.dry_run.sample import SampledNodes
    from nsl_tools.build_graph.search.exact import NearestNeighbors
    from nsl_tools.spill.matrix import Rows

    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SampledNeighbors:
    """What was found for random rows, q of them.

    Attributes:
        rows: those drawn, ascending, shape (q,).
        edges: that leave them, among the nodes that were read.
        seen: how many edges leave each, shape (q,).
        expected: how many of them there are among all nodes, shape (q,).
        pairs: candidates that were weighed.
        weighing: seconds that threads took for that, added up.
        seconds: that all of it took.
    """

    rows: Rows
    edges: Edges
    seen: Floats
    expected: Floats
    pairs: int
    weighing: float
    seconds: float

    @property
    def edges_per_node(self) -> float:
        """How many edges leave a node on average."""
        return float(self.expected.mean()) if len(self.expected) else 0.0

    @property
    def error(self) -> float:
        """The standard error of `edges_per_node`, as a share of it; infinite if nothing is seen."""
        if not self.seen.any():
            return np.inf
        return float(self.seen.std() / self.seen.mean() / len(self.seen) ** 0.5)


def sampled_neighbors(
    sample: SampledNodes,
    nearest: NearestNeighbors,
    search: Callable[[Rows], Iterator[Edges]],
    rows: Rows,
    enough_seconds: float,
) -> SampledNeighbors:
    """Find the neighbours of some of `rows`, more and more of them until they tell enough.

    Args:
        sample: the nodes that were read.
        nearest: searches among these, and weighs by a `TimedWeigher`.
        search: from rows, ascending, to the edges that leave them.
        rows: those that edges may leave from, ascending.
        enough_seconds: that may be taken, about.
    """
    order = np.random.default_rng(0).permutation(rows)
    found: list[Edges] = []
    first, start = 0, time.perf_counter()
    step = 16  # few at first: each may have all others as neighbours
    weigher = nearest.weigher
    assert isinstance(weigher, TimedWeigher)  # noqa: S101 - for the type checker
    weigher.laps.clear()
    while step and first < len(order):
        found += search(np.sort(order[first : first + step]))
        first = min(len(order), first + step)
        step = _rows_to_go(found, first, time.perf_counter() - start, enough_seconds)
    made = _made(sample, nearest, np.sort(order[:first]), found)
    pairs, seconds = map(sum, zip((0, 0.0), *weigher.laps, strict=True))
    return SampledNeighbors(
        made.rows, made.edges, made.seen, made.expected, int(pairs), float(seconds),
        time.perf_counter() - start,
    )  # fmt: skip


def _rows_to_go(found: list[Edges], rows: int, taken: float, enough_seconds: float) -> int:
    """Return how many rows to draw next, when so many tell so much, in so many seconds."""
    sources = [np.empty(0, np.int64), *(part.sources for part in found)]
    counts = np.unique(np.concatenate(sources), return_counts=True)[1]
    edges = int(counts.sum())
    # The squared standard error of their mean number, as a share of it.
    error = ((counts.astype(np.float64) ** 2).sum() / max(1, edges) ** 2) - 1 / rows
    close, least = 0.02, 400  # a smaller one gains nothing; of few rows it is not known
    if edges and rows >= least and error < close**2:
        return 0
    most_edges = 1 << 21  # that are held, of some 50 bytes each
    share = most_edges / max(1, edges)
    few = 256  # rows, for which reading the others takes longer than comparing with them
    if rows >= few:
        share = min(share, enough_seconds / taken)
    return max(0, min(max(few - rows, 2 * rows), int(rows * (share - 1))))


def _made(
    sample: SampledNodes, nearest: NearestNeighbors, rows: Rows, found: list[Edges]
) -> SampledNeighbors:
    sources, targets, weights = (
        np.concatenate([getattr(part, name) for part in found] or [np.empty(0, np.int64)])
        for name in ("sources", "targets", "weights")
    )
    order = np.argsort(sources, kind="stable")
    edges = Edges(sources[order], targets[order], weights[order])
    places = np.searchsorted(rows, edges.sources)
    seen = np.bincount(places, minlength=len(rows)).astype(np.float64)
    if sample.is_whole:
        return SampledNeighbors(rows, edges, seen, seen, 0, 0.0, 0.0)
    near = sample.pieces[edges.sources] == sample.pieces[edges.targets]
    near &= bool(np.ptp(sample.pieces))  # of one piece, nothing tells how others differ
    close = np.bincount(places[near], minlength=len(rows)).astype(np.float64)
    expected = capped_counts(close, seen - close, _share(sample, rows), nearest.k)
    return SampledNeighbors(rows, edges, seen, expected, 0, 0.0, 0.0)


def _share(sample: SampledNodes, rows: Rows) -> Floats:
    """Return which share of the nodes from elsewhere was read, for each of some rows."""
    read = len(sample.pieces)
    _, places, sizes = np.unique(sample.pieces, return_inverse=True, return_counts=True)
    if len(sizes) == 1:
        return np.full(len(rows), read / sample.total)
    own = sizes[places[rows]]
    return np.asarray((read - own) / np.maximum(1, sample.total - own))
