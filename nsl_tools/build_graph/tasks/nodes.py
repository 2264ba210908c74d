"""What tasks leave for each other: the nodes of a run, and edges that were found."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from nsl_tools.arrays.ranking import RANKING_BYTES
from nsl_tools.build_graph.edges import Edges
from nsl_tools.build_graph.embeddings import Embeddings
from nsl_tools.build_graph.weigher import EdgeWeigher, KnownRanks
from nsl_tools.engines.work_folder import WorkFile, write_work
from nsl_tools.errors import UsageError
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nsl_tools.spill.matrix import Rows
    from nsl_tools.spill.partitions import Records

EDGE = np.dtype([("weight", "<f8"), ("source", "<u4"), ("target", "<u4")])


@dataclass(frozen=True)
class NodeFiles:
    """The nodes of a run, where all machines see them, and how they are searched.

    Attributes:
        folder: for more files.
        vectors: float32, row after row.
        norms: of each row, float64.
        ranks: the place of each id among all, int64.
        queries: the rows that edges leave from, ascending, int64.
        shape: rows, and dimension.
        k: edges that leave a row at most, or None.
        threshold: smallest weight of an edge.
        budget: bytes that a task may keep in memory of what it finds.
    """

    folder: str
    vectors: WorkFile
    norms: WorkFile
    ranks: WorkFile
    queries: WorkFile
    shape: tuple[int, int]
    k: int | None
    threshold: float
    budget: int

    def rows(self, places: range) -> Rows:
        """Return some of the queries."""
        found = np.empty(len(places), np.int64)
        self.queries.fill(found, [(places.start, len(places))])
        return found

    def embeddings(self, rows: Rows) -> Embeddings:
        """Return some nodes, in memory, without their ids."""
        count = len(rows)
        vectors, norms = np.empty((count, self.shape[1]), np.float32), np.empty(count)
        self.vectors.fill(vectors, _spans(rows))
        self.norms.fill(norms, _spans(rows))
        return Embeddings(pa.array([], pa.binary()), vectors, norms)

    def ranks_of(self, rows: Rows) -> Rows:
        """Return numbers that order some rows as their ids are ordered."""
        ranks = np.empty(len(rows), np.int64)
        self.ranks.fill(ranks, _spans(rows))
        return ranks

    def weigher(self, rows: Rows) -> EdgeWeigher:
        """Return what weighs pairs of some nodes, which it knows by their places in `rows`."""
        ranks = KnownRanks(self.ranks_of(rows))
        return EdgeWeigher(self.embeddings(rows), self.k, self.threshold, ranks)

    def weigher_of_all(self) -> EdgeWeigher:
        """Return what weighs pairs of all nodes, whose vectors are read where they are touched."""
        rows = self.shape[0]
        vectors, norms = self.vectors.mapped("<f4", self.shape), self.norms.mapped("<f8", (rows,))
        ranks = KnownRanks(self.ranks.mapped("<i8", (rows,)))
        nodes = Embeddings(pa.array([], pa.binary()), vectors, norms)
        return EdgeWeigher(nodes, self.k, self.threshold, ranks)


def _spans(rows: Rows) -> list[tuple[int, int]]:
    """Return first row and number of each run of consecutive rows."""
    if not len(rows):
        return []
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    firsts = np.r_[0, breaks]
    counts = np.diff(np.r_[firsts, len(rows)])
    return list(zip(rows[firsts].tolist(), counts.tolist(), strict=True))


@dataclass(frozen=True)
class FoundEdges:
    """Edges that leave consecutive queries, sorted, in a file of `EDGE`.

    Attributes:
        file: holds them, and possibly those of other queries.
        queries: the places of the queries.
        bounds: where in the file the edges of each group of queries start, and the last ends.
    """

    file: WorkFile
    queries: range
    bounds: tuple[int, ...]

    def groups(self, first: int, stop: int) -> Records:
        """Return the edges of some groups of queries."""
        found = np.empty(self.bounds[stop] - self.bounds[first], EDGE)
        self.file.fill(found, [(self.bounds[first], len(found))])
        return found

    def edges(self, budget: int) -> Iterator[Edges]:
        """Yield all edges, of whole queries, as many at a time as `budget` bytes hold."""
        most = max(1, budget // RANKING_BYTES)
        part = (np.array(self.bounds[1:]) - self.bounds[0] - 1) // most
        cuts = np.flatnonzero(np.diff(part)) + 1
        for first, stop in pairwise([0, *cuts.tolist(), len(part)]):
            records = self.groups(first, stop)
            sources, targets = (records[name].astype(np.int64) for name in ("source", "target"))
            yield Edges(sources, targets, records["weight"].copy())


def written_nodes(folder: str, weigher: EdgeWeigher, queries: Rows, budget: int) -> NodeFiles:
    """Write the nodes of a run to a work folder, for its tasks.

    Raises:
        UsageError: there are more than tasks can number. WorkError: they cannot be written.
    """
    nodes = weigher.embeddings
    rows, width = nodes.vectors.shape
    most = np.iinfo(EDGE["source"]).max + 1
    if rows > most:
        raise UsageError(f"--engine spark: expected at most {most:,} nodes, found {rows:,}")
    step = max(1, TUNING.gather_bytes // max(1, 4 * width))
    blocks = (nodes.vectors[i : i + step] for i in range(0, rows, step))
    return NodeFiles(
        folder,
        write_work(folder, "vectors", blocks),
        write_work(folder, "norms", [nodes.norms]),
        write_work(folder, "ranks", [weigher.id_ranks.astype(np.int64)]),
        write_work(folder, "queries", [queries.astype(np.int64)]),
        (rows, width),
        weigher.k,
        weigher.threshold,
        budget,
    )


def kept_edges(
    nodes: NodeFiles, found: Iterable[Edges], ranges: Sequence[range]
) -> list[FoundEdges]:
    """Write edges, sorted, and return those of each range of queries."""
    bounds = [_Bounds(nodes, queries) for queries in ranges]

    def written() -> Iterator[Records]:
        for edges in found:
            records = np.empty(len(edges), EDGE)
            records["source"], records["target"] = edges.sources, edges.targets
            records["weight"] = edges.weights
            for each in bounds:
                each.count(edges.sources)
            yield records

    file = write_work(nodes.folder, "edges", written())
    place, kept = 0, []
    for each in bounds:
        kept.append(FoundEdges(file, each.queries, each.all(place)))
        place = kept[-1].bounds[-1]
    return kept


class _Bounds:
    """Counts the edges of each group of a range of queries."""

    def __init__(self, nodes: NodeFiles, queries: range) -> None:
        self.queries = queries
        rows = nodes.rows(queries)
        ends = rows[-1:] + 1
        self._borders = np.r_[rows[:: TUNING.merged_rows], ends]
        self._counts = np.zeros(max(0, len(self._borders) - 1), np.int64)

    def count(self, sources: Rows) -> None:
        """Count ascending sources, of which some may be of other ranges."""
        self._counts += np.diff(np.searchsorted(sources, self._borders))

    def all(self, place: int) -> tuple[int, ...]:
        """Return the bounds of the groups, of which the first starts at a place of the file."""
        return tuple((place + np.r_[0, np.cumsum(self._counts)]).tolist())
