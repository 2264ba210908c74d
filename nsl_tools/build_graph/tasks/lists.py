"""The search of inverted lists as tasks: some lists each, then some rows to weigh each.

The driver places the cells, assigns rows to them, chooses the margin, and keeps what tasks find.
Vectors lie in the file cell by cell, so that a task reads those of its lists together. Files are
mapped: a task touches what it needs of them, and its pages are the system's to take back.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from threadpoolctl import threadpool_limits

from nsl_tools.build_graph.embeddings import Embeddings, UnitRows
from nsl_tools.build_graph.search.candidate_keys import PairKeys
from nsl_tools.build_graph.search.candidates import Candidates, WeighedCandidates
from nsl_tools.build_graph.search.ivf import ListSearcher, SearchFacts
from nsl_tools.build_graph.weigher import EdgeWeigher, KnownRanks
from nsl_tools.engines.work_folder import WorkFile, write_work
from nsl_tools.spill.matrix import Selected
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nsl_tools.build_graph.search.candidate_keys import Keys
    from nsl_tools.engines.engine import Engine
    from nsl_tools.spill.matrix import Rows


@dataclass(frozen=True)
class ArrayFile:
    """An array in a work folder.

    Attributes:
        file: its numbers.
        kind: of these.
        shape: of the array.
    """

    file: WorkFile
    kind: str
    shape: tuple[int, ...]

    def mapped(self) -> npt.NDArray[Any]:
        """Return it, read where it is touched."""
        return self.file.mapped(self.kind, self.shape)


def _written(folder: str, name: str, array: npt.NDArray[Any]) -> ArrayFile:
    file = write_work(folder, name, [array] if array.size else [])
    return ArrayFile(file, array.dtype.str, array.shape)


@dataclass(frozen=True)
class ListedNodes:
    """The nodes of a run, cell by cell.

    Attributes:
        vectors: float32, in the order of the cells, shape (n, d).
        places: of each node of the run, its place there, shape (nodes,).
        norms: of each node of the run, shape (nodes,).
        rows: the nodes that are searched, ascending, shape (n,).
        k: edges that leave a row at most.
        threshold: smallest weight of an edge.
    """

    vectors: ArrayFile
    places: ArrayFile
    norms: ArrayFile
    rows: ArrayFile
    k: int | None
    threshold: float

    def embeddings(self) -> Embeddings:
        """Return them, without ids."""
        vectors: Any = Selected(self.vectors.mapped(), self.places.mapped())  # type: ignore[arg-type]
        return Embeddings(pa.array([], pa.binary()), vectors, self.norms.mapped())


@dataclass(frozen=True)
class ListsTask:
    """Some lists.

    Attributes:
        folder: for what is found.
        nodes: all nodes.
        facts: the arrays of `SearchFacts`, by name.
        depth: as of `SearchFacts`.
        table_rows: as of `SearchFacts`.
        rows: members, then queries, list by list; only members where these are the queries.
        first: place there of the first one of this task.
        sizes: how many members and queries each list has; -1 queries if they are the members.
    """

    folder: str
    nodes: ListedNodes
    facts: dict[str, ArrayFile]
    depth: int
    table_rows: int
    rows: ArrayFile
    first: int
    sizes: tuple[tuple[int, int], ...]

    def searches(self) -> Iterator[tuple[Rows, Rows]]:
        """Yield members and queries of each list."""
        rows, place = self.rows.mapped(), self.first
        for members, queries in self.sizes:
            own = np.array(rows[place : place + members])
            place += members
            others = own if queries < 0 else np.array(rows[place : place + queries])
            place += max(0, queries)
            yield own, others


def search_lists(task: ListsTask) -> ArrayFile:
    """Return the candidates that some lists give, table by table, in a file."""
    arrays = {name: file.mapped() for name, file in task.facts.items()}
    facts = SearchFacts(**arrays, depth=task.depth, table_rows=task.table_rows)
    unit = UnitRows(task.nodes.embeddings(), np.array(task.nodes.rows.mapped()))
    searcher = ListSearcher(unit, facts)
    with threadpool_limits(1):
        found = [searcher.search(search) for search in task.searches()]
    return _written(task.folder, "keys", searcher.by_table(np.concatenate(found)))


@dataclass(frozen=True)
class WeighTask:
    """The candidates of some rows, to be weighed.

    Attributes:
        folder: for the weights.
        nodes: all nodes.
        keys: the candidates of all rows, shape (n, depth).
        slack: as of `Candidates`.
        order: places of rows.
        first: place in `order`.
        stop: place there.
    """

    folder: str
    nodes: ListedNodes
    keys: ArrayFile
    slack: float
    order: ArrayFile
    first: int
    stop: int


def weigh_rows(task: WeighTask) -> ArrayFile:
    """Return the weights of the candidates of some rows, shape (rows, depth), in a file."""
    nodes, keys = task.nodes, task.keys.mapped()
    rows = np.array(nodes.rows.mapped())
    none = np.empty(0, np.int64)
    candidates = Candidates(rows, PairKeys(len(rows)), keys, task.slack, none.astype(np.uint16))
    weigher = EdgeWeigher(nodes.embeddings(), nodes.k, nodes.threshold, KnownRanks(none))
    order = np.array(task.order.mapped()[task.first : task.stop])
    step = TUNING.weighed_rows
    with threadpool_limits(1):
        found = [
            candidates.weights_of(keys[order[i : i + step]], weigher.weigh_compactly)
            for i in range(0, len(order), step)
        ]
    return _written(task.folder, "weights", np.concatenate(found))


class ListTasks:
    """Searches lists, and weighs what was found, by the tasks of an engine.

    Args:
        engine: runs the tasks.
        folder: for what they leave for each other.
        weigher: knows all nodes, and which edges are wanted.
    """

    def __init__(self, engine: Engine, folder: str, weigher: EdgeWeigher) -> None:
        self._engine, self._folder, self._weigher = engine, folder, weigher
        self._nodes: ListedNodes | None = None

    def found(
        self, searcher: ListSearcher, searches: Iterator[tuple[Rows, Rows]], at_once: int
    ) -> Iterator[list[Keys]]:
        """Yield what each search of some members and queries finds, table by table."""
        del at_once  # each task searches as many lists as cost about as much as those of others
        facts, lists = searcher.facts, list(searches)
        nodes = self._listed(searcher)
        names = ("listed", "assigned", "thresholds", "before", "probes")
        files = {name: _written(self._folder, name, getattr(facts, name)) for name in names}
        sizes = [(len(own), -1 if own is others else len(others)) for own, others in lists]
        flat = [
            part for own, others in lists for part in ([own] if own is others else [own, others])
        ]
        rows = _written(self._folder, "lists", np.concatenate([np.empty(0, np.int64), *flat]))
        tasks, place = [], 0
        for first, stop in self._cuts([own * abs(others or own) for own, others in sizes]):
            some = tuple(sizes[first:stop])
            tasks.append(
                ListsTask(
                    self._folder, nodes, files, facts.depth, facts.table_rows, rows, place, some
                )
            )
            place += sum(own + max(0, others) for own, others in some)
        for keys in self._engine.run(search_lists, tasks, "searching lists"):
            yield [np.array(keys.mapped())]

    def weighed(
        self, candidates: Candidates, rows: Rows, weigher: EdgeWeigher
    ) -> WeighedCandidates:
        """Return candidates, those of `rows` weighed as far as they may be among the best."""
        del weigher  # tasks have one of the same nodes
        assert self._nodes  # noqa: S101 - what was found was searched before
        order = candidates.by_cell(rows)
        keys = _written(self._folder, "candidates", candidates.keys)
        places = _written(self._folder, "order", order)
        tasks = [
            WeighTask(self._folder, self._nodes, keys, candidates.slack, places, first, stop)
            for first, stop in self._cuts([1] * len(order))
        ]
        weights = np.zeros(candidates.keys.shape, np.int32)
        found = self._engine.run(weigh_rows, tasks, "weighing")
        for task, file in zip(tasks, found, strict=True):
            weights[order[task.first : task.stop]] = file.mapped()
        return WeighedCandidates(candidates, weights)

    def _cuts(self, costs: Sequence[int]) -> list[tuple[int, int]]:
        """Return first and last place of consecutive parts that cost about as much each."""
        if not costs:
            return []
        parts = 4 * self._engine.slots  # so that a slow one keeps the others waiting for little
        before = np.cumsum(costs, dtype=np.float64)
        part = np.minimum((before - costs) * parts // max(1.0, before[-1]), parts - 1)
        bounds = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(costs)]
        return list(pairwise(bounds))

    def _listed(self, searcher: ListSearcher) -> ListedNodes:
        """Write the nodes, once."""
        if self._nodes is None:
            unit, folder = searcher.unit, self._folder
            embeddings = unit.embeddings
            order = unit.rows[np.argsort(searcher.facts.assigned, kind="stable")]
            places = np.zeros(len(embeddings.norms), np.int64)
            places[order] = np.arange(len(order))
            width = embeddings.vectors.shape[1]
            step = max(1, TUNING.gather_bytes // max(1, 4 * width))
            blocks = (embeddings.vectors[order[i : i + step]] for i in range(0, len(order), step))
            vectors = ArrayFile(write_work(folder, "vectors", blocks), "<f4", (len(order), width))
            self._nodes = ListedNodes(
                vectors,
                _written(folder, "places", places),
                _written(folder, "norms", embeddings.norms),
                _written(folder, "rows", unit.rows),
                self._weigher.k,
                self._weigher.threshold,
            )
        return self._nodes
