"""An exact search cut into tasks, for engines of many machines: a triangle of tiles, then rows.

    vectors, norms, order of ids: files
    two tiles of rows -> the best edges between them, of both sides      a task of equal cost each
    a range of rows   -> the best of what all tiles found for it         a task each

A task of two tiles compares each row of one with each of the other, once, and keeps the `k` best
of each, weighed in float64: the same kernels, and the same order, as where one machine does it
all. The best of all are among those of all tiles, so that merging them gives the same edges.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from nsl_tools.arrays.groups import HALF_WORD
from nsl_tools.arrays.ranking import RANKING_BYTES
from nsl_tools.build_graph.edges import Edges
from nsl_tools.build_graph.embeddings import Embeddings
from nsl_tools.build_graph.search.exact import NearestNeighbors
from nsl_tools.build_graph.tasks.nodes import FoundEdges, NodeFiles, kept_edges, written_nodes
from nsl_tools.build_graph.weigher import EdgeWeigher
from nsl_tools.files.paths import split_evenly
from nsl_tools.spill.matrix import MatrixStore
from nsl_tools.threads import workers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nsl_tools.engines.engine import Engine
    from nsl_tools.spill.matrix import Rows
    from nsl_tools.spill.partitions import Records


@dataclass(frozen=True)
class TileTask:
    """Two ranges of queries: all pairs of one row of each, or all pairs within each of them.

    Attributes:
        nodes: where they are.
        first: places of queries.
        second: places after those of the first, or none.
        across: whether pairs are between the ranges.
    """

    nodes: NodeFiles
    first: range
    second: range
    across: bool

    @property
    def cost(self) -> int:
        """How many products it takes."""
        a, b = len(self.first), len(self.second)
        return a * b if self.across else (a * a + b * b) // 2


@dataclass(frozen=True)
class StripTask:
    """Some queries, and rows of the base that each of them is compared with.

    Attributes:
        nodes: where they are.
        queries: their places.
        base: rows.
    """

    nodes: NodeFiles
    queries: range
    base: range

    @property
    def cost(self) -> int:
        """How many products it takes."""
        return len(self.queries) * len(self.base)


@dataclass(frozen=True)
class MergeTask:
    """What was found for a range of queries, to be merged.

    Attributes:
        nodes: where they are.
        queries: their places.
        found: by different tasks.
    """

    nodes: NodeFiles
    queries: range
    found: tuple[FoundEdges, ...]


def planned(
    nodes: NodeFiles, queries: int, slots: int, memory: int
) -> tuple[list[range], list[TileTask] | list[StripTask]]:
    """Return ranges of the queries, and tasks that compare each of them with all rows.

    Args:
        nodes: where they are.
        queries: how many rows edges leave from: of all, pairs serve both of their rows.
        slots: how many tasks run at a time.
        memory: bytes that a task may take.
    """
    rows, width = nodes.shape
    triangle = queries == rows
    wanted = 4 * slots  # so that a slow one, or one tried again, keeps others waiting for little
    least = 2048  # rows of a tile: of fewer, reading takes longer than a tenth of comparing
    # Units, vectors and what is multiplied of them: some copies of both tiles.
    largest = max(1, memory // (8 * 4 * max(1, width)))
    # A triangle of n tiles are about n * n / 2 tasks.
    parts = round((2 * wanted) ** 0.5) if triangle else wanted
    parts = max(1, min(parts, queries // least), -(-queries // largest))
    ranges = split_evenly(queries, parts)
    if triangle:
        return ranges, _triangle(nodes, ranges)
    strips = split_evenly(rows, -(-rows // largest))
    return ranges, [StripTask(nodes, some, base) for some in ranges for base in strips]


def _triangle(nodes: NodeFiles, ranges: Sequence[range]) -> list[TileTask]:
    """Return the tasks that compare all rows with each other, of about equal cost."""
    tasks = [
        TileTask(nodes, first, second, across=True)
        for place, first in enumerate(ranges)
        for second in ranges[place + 1 :]
    ]
    # Those within a tile cost half as much: two make a task.
    pairs = [*ranges, *([range(0)] if len(ranges) % 2 else [])]
    tasks += [
        TileTask(nodes, *two, across=False) for two in zip(pairs[::2], pairs[1::2], strict=True)
    ]
    return tasks


def compare_tiles(task: TileTask) -> list[FoundEdges]:
    """Return the best edges of each row among the pairs of a task, in a file."""
    nodes = task.nodes
    parts = [nodes.rows(part) for part in (task.first, task.second)]
    middle, end = len(parts[0]), len(parts[0]) + len(parts[1])
    first, second = np.arange(middle), np.arange(middle, end)
    rows = np.concatenate(parts)
    with _search(nodes, rows) as nearest:
        if task.across:
            found = nearest.edges_across(first, second)
        else:
            found = chain(nearest.edges(first, first), nearest.edges(second, second))
        return kept_edges(nodes, _renumbered(found, rows), [task.first, task.second])


def compare_strip(task: StripTask) -> list[FoundEdges]:
    """Return the best edges from some queries to some rows, in a file."""
    nodes = task.nodes
    queries, base = nodes.rows(task.queries), np.arange(task.base.start, task.base.stop)
    rows = np.union1d(queries, base)
    with _search(nodes, rows) as nearest:
        found = nearest.edges(np.searchsorted(rows, queries), np.searchsorted(rows, base))
        return kept_edges(nodes, _renumbered(found, rows), [task.queries])


@contextlib.contextmanager
def _search(nodes: NodeFiles, rows: Rows) -> Iterator[NearestNeighbors]:
    """Yield a search on one thread among some nodes, which it knows by their places in `rows`."""
    with MatrixStore(nodes.budget) as store, workers(1) as pools, threadpool_limits(1):
        yield NearestNeighbors(nodes.weigher(rows), pools, store)


def _renumbered(found: Iterable[Edges], rows: Rows) -> Iterator[Edges]:
    """Yield edges between places of `rows` as edges between these."""
    for edges in found:
        yield Edges(rows[edges.sources], rows[edges.targets], edges.weights)


def merge_found(task: MergeTask) -> FoundEdges:
    """Return the best of what different tasks found for a range of queries, in a file."""
    nodes = task.nodes
    none = Embeddings(pa.array([], pa.binary()), np.empty((0, 0), np.float32), np.empty(0))
    weigher = EdgeWeigher(none, nodes.k, nodes.threshold, _RanksInFile(nodes))
    merged = (_merged(weigher, parts) for parts in _parts(task))
    (found,) = kept_edges(nodes, merged, [task.queries])
    return found


@dataclass(frozen=True)
class _RanksInFile:
    """The order of the ids of all nodes, read where it decides."""

    nodes: NodeFiles

    @property
    def all(self) -> Rows:
        return self.nodes.ranks_of(np.arange(self.nodes.shape[0]))

    def of(self, rows: Rows) -> Rows:
        few = 64  # of all: each is read by a call of its own
        if len(rows) * few > self.nodes.shape[0]:
            return self.all[rows]
        distinct, places = np.unique(rows, return_inverse=True)
        return self.nodes.ranks_of(distinct)[places]


def _parts(task: MergeTask) -> Iterator[list[Records]]:
    """Yield what was found for some groups of queries at a time: of each task, ascending."""
    sizes = np.sum([np.diff(found.bounds) for found in task.found], axis=0)
    most = max(1, task.nodes.budget // RANKING_BYTES)
    # A group is taken whole, however many edges it has.
    part = (np.cumsum(sizes) - 1) // most
    cuts = np.flatnonzero(np.diff(part)) + 1
    for first, stop in pairwise([0, *cuts.tolist(), len(sizes)]):
        yield [found.groups(first, stop) for found in task.found]


def _merged(weigher: EdgeWeigher, parts: Sequence[Records]) -> Edges:
    """Return the best edges of each source; a pair that was found twice is one edge."""
    records = np.concatenate(parts)
    pairs = records["source"].astype(np.uint64) << HALF_WORD | records["target"]
    records = records[np.unique(pairs, return_index=True)[1]]
    sources, targets = (records[name].astype(np.int64) for name in ("source", "target"))
    return weigher.select(sources, targets, records["weight"])


def edges_by(
    engine: Engine, folder: str, weigher: EdgeWeigher, budget: int, memory: int, queries: Rows
) -> Iterator[Edges]:
    """Yield the best edges from `queries`, ascending, as an engine finds them.

    Args:
        engine: runs the tasks.
        folder: for what they leave for each other.
        weigher: knows all nodes, and which edges are wanted.
        budget: bytes that a task may keep in memory of what it finds.
        memory: bytes that a task may take.
        queries: the rows that edges leave from.

    Raises:
        EngineError: a task failed again and again. WorkError: the folder cannot be used.
        UsageError: there are more nodes than tasks can number.
    """
    if not len(queries):
        return
    nodes = written_nodes(folder, weigher, queries, budget)
    ranges, tasks = planned(nodes, len(queries), engine.slots, memory)
    compare = compare_tiles if len(queries) == nodes.shape[0] else compare_strip
    found: dict[range, list[FoundEdges]] = {queries: [] for queries in ranges}
    for each in chain(*engine.run(compare, tasks, "comparing rows")):  # type: ignore[arg-type]
        if len(each.queries):
            found[each.queries].append(each)
    merges = [MergeTask(nodes, some, tuple(parts)) for some, parts in found.items() if some]
    for each in engine.run(merge_found, merges, "merging what was found"):
        yield from each.edges(nodes.budget)
