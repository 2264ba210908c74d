"""The edges of some graphs in another format.

Where nodes have ids, edges stay in their order. Matrices have a row for each node: edges are
put in order by their source, then by falling weight, and of repeated ones the largest stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from nsl_tools.arrays.ids import shown
from nsl_tools.errors import DataError, UsageError
from nsl_tools.formats.graphs.edge_batches import EDGE_SCHEMA, Weights, weights_of
from nsl_tools.formats.graphs.graph_nodes import GraphNodes
from nsl_tools.formats.graphs.writer import GraphForm
from nsl_tools.formats.ids.files import row_ids
from nsl_tools.memory import shown_size
from nsl_tools.memory_budget import sufficient_for
from nsl_tools.options import memory_of
from nsl_tools.spill.partitions import SpilledPartitions
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Iterator

    from nsl_tools.files.shards.shard_set import ShardSet
    from nsl_tools.formats.graphs.graph_nodes import Rows
    from nsl_tools.formats.graphs.reading import GraphFiles
    from nsl_tools.formats.graphs.writer import GraphWriter
    from nsl_tools.options import ConvertOptions
    from nsl_tools.progress import Progress, Work
    from nsl_tools.spill.partitions import Records


@dataclass(frozen=True)
class GraphConversion:
    """Graphs that become one.

    Attributes:
        graphs: the files.
        options: of the run.
        statistics: count edges.
        progress: how to report progress.
        stack: closes scratch files.
    """

    graphs: GraphFiles
    options: ConvertOptions
    statistics: Statistics
    progress: Progress
    stack: contextlib.ExitStack

    def write(self, shards: ShardSet, writer: type[GraphWriter], *, is_set: bool) -> None:
        """Write all edges, as the format has them.

        Raises:
            DataError: an input is wrong, or has no edge. OutputError: the output cannot be
            written. UsageError: nodes are no rows, or take more memory than they may.
        """
        if writer.by_rows:
            self._write_rows(shards, writer)
        else:
            self._write_named(shards, writer, is_set=is_set)
        if not self.statistics.counts["edges"] and not self.options.allow_empty:
            raise DataError(self.graphs.name, "", "no edge: --allow-empty accepts that")

    def _write_named(self, shards: ShardSet, writer: type[GraphWriter], *, is_set: bool) -> None:
        """Write edges in their order, to files of about as many each."""
        form = GraphForm(pa.array([], pa.binary()), range(0), distances=self._distances, exact=True)
        left = self._edges()
        edges = pa.RecordBatch.from_pylist([], EDGE_SCHEMA)
        # How many edges there are matters to a set alone: a stream is read once.
        total = None
        if is_set:
            with self.progress.phase("counting", self.graphs.read, "B", self.graphs.size):
                total = sum(map(len, self.graphs.edges(Statistics())))
        place = 0  # of the next edge among all
        for path, rows in shards.parts(total or 0):
            while total is not None and place < rows.start:  # in a shard that is kept
                edges = edges if len(edges) else next(left)
                passed = min(len(edges), rows.start - place)
                edges, place = edges.slice(passed), place + passed
            with shards.open_part(path) as file:
                sink = writer(file, form)
                while total is None or file.records < len(rows):
                    edges = edges if len(edges) else next(left, edges)
                    if not len(edges):
                        break
                    missing = len(edges) if total is None else len(rows) - file.records
                    sink.add_named(edges.slice(0, missing))
                    file.records += min(missing, len(edges))
                    edges = edges.slice(missing)
                place += file.records
                self.statistics.counts["edges"] += file.records
                sink.finish()

    def _write_rows(self, shards: ShardSet, writer: type[GraphWriter]) -> None:
        """Write matrices: each file has about as many rows."""
        with self.progress.phase("counting", self.graphs.read, "B", self.graphs.size):
            rows_of = self._rows()
        grouped = RowEdges(rows_of.count, self.options, self.stack)
        for batch in self._edges():
            sources, targets = rows_of.of(batch["source"]), rows_of.of(batch["target"])
            grouped.add(sources, targets, weights_of(batch))
        with self.progress.phase("sorting", unit="edges") as work:
            most = grouped.most(rows_of.count, work)
        ids = pa.nulls(rows_of.count)  # matrices have none
        with self.progress.phase("writing", unit="edges") as work:
            for path, rows in shards.parts(rows_of.count):
                form = GraphForm(ids, rows, most, distances=self._distances, exact=True)
                with shards.open_part(path) as file:
                    sink = writer(file, form)
                    for edges in grouped.in_order(rows, work):
                        sources, targets = (edges[n].astype(np.int64) for n in ("source", "target"))
                        sink.add(sources, targets, edges["weight"].copy())
                        file.records += len(edges)
                        self.statistics.counts["edges"] += len(edges)
                    sink.finish()
        self.statistics.counts["nodes"] = rows_of.count
        if grouped.repeats:
            self.statistics.warnings["edges given more than once: the largest is taken"] = (
                grouped.repeats
            )

    @property
    def _distances(self) -> bool:
        return self.options.weights == "distance"

    def _edges(self) -> Iterator[pa.RecordBatch]:
        with self.progress.phase("edges", self.graphs.read, "B", self.graphs.size):
            yield from self.graphs.edges(self.statistics)

    def _rows(self) -> NamedRows | NumberedRows:
        if self.options.graph_ids is None:
            return NumberedRows(self.graphs)
        return NamedRows(self.options, self.statistics, self.stack)


class NamedRows:
    """Rows of nodes, by the ids in a file.

    Attributes:
        count: how many there are.
    """

    def __init__(
        self, options: ConvertOptions, statistics: Statistics, stack: contextlib.ExitStack
    ) -> None:
        """Read the ids.

        Raises:
            DataError: they cannot be read, or one occurs twice.
            UsageError: they take more memory than they may.
        """
        self._name = str(options.graph_ids)
        self._nodes = GraphNodes(memory_of(options), stack)
        step = 1 << 14  # ids at once
        with row_ids(options.graph_ids, statistics) as ids:
            while len(block := ids.take(step)):
                before = len(self._nodes)
                found = self._nodes.rows(block)
                if wrong := np.flatnonzero(
                    found != np.arange(before, before + len(block))
                ).tolist():
                    node = shown(block[wrong[0]].as_py())
                    problem = f"the id {node} occurs twice, expected one for each row"
                    raise DataError(self._name, f"row {before + wrong[0]}", problem)
        self.count = len(self._nodes)

    def of(self, ids: pa.Array) -> Rows:
        """Return the rows of nodes.

        Raises:
            DataError: one is not among the ids.
        """
        found = self._nodes.rows(ids)
        if (unknown := found >= self.count).any():
            node = shown(ids[int(unknown.argmax())].as_py())
            raise DataError(self._name, "", f"the id {node} is missing, which the graph has")
        return found


class NumberedRows:
    """Rows of nodes whose ids are their numbers.

    Attributes:
        count: one more than the largest.
    """

    def __init__(self, graphs: GraphFiles) -> None:
        """Find the largest number.

        Raises:
            DataError: the graph cannot be read. UsageError: an id is no number of a row.
        """
        self.count = 0
        for batch in graphs.edges(Statistics()):
            for name in ("source", "target"):
                self.count = max(self.count, 1 + int(self.of(batch[name]).max(initial=-1)))

    def of(self, ids: pa.Array) -> Rows:
        """Return the rows of nodes.

        Raises:
            UsageError: an id is no number of a row.
        """
        try:
            found = np.asarray(ids.cast(pa.string()).cast(pa.int64()))
        except pa.ArrowInvalid:
            found = np.full(1, -1)
        if (found < 0).any() or (found >= 1 << 32).any():
            problem = "expected the ids of all rows, since those of the graph are not row numbers"
            raise UsageError(f"--graph-ids: {problem}")
        return found


class RowEdges:
    """Edges between rows, gathered, to be read in the order of their sources.

    Attributes:
        repeats: edges that were left out, since the same were given with no smaller weight.
    """

    parts = 256
    dtype = np.dtype([("source", "<u4"), ("target", "<u4"), ("weight", "<f8")])

    def __init__(self, rows: int, options: ConvertOptions, stack: contextlib.ExitStack) -> None:
        """Gather edges between so many `rows`; `stack` closes the scratch file."""
        self._memory = memory_of(options)
        self._rows = max(1, rows)
        budget = self._memory.share("spread_edges")
        self._edges = SpilledPartitions(self.dtype, self.parts, budget, stack)
        self.repeats = 0

    def add(self, sources: Rows, targets: Rows, weights: Weights) -> None:
        """Add m edges."""
        edges = np.empty(len(sources), self.dtype)
        edges["source"], edges["target"], edges["weight"] = sources, targets, weights
        parts = sources * self.parts // self._rows
        order = np.argsort(parts, kind="stable")
        self._edges.add(edges[order], parts[order])

    def in_order(self, rows: range, work: Work) -> Iterator[Records]:
        """Yield the edges whose sources are some rows, by source, then falling weight.

        `work` counts those that are sorted for it.

        Raises:
            UsageError: those of some rows take more memory than there is.
        """
        self._check_size()
        self.repeats = 0
        first, last = (
            rows.start * self.parts // self._rows,
            (rows.stop - 1) * self.parts // self._rows,
        )
        sizes = self._edges.sizes()[first : last + 1].tolist()
        work.expect(sum(sizes))
        for part, size in zip(range(first, last + 1), sizes, strict=True):
            edges = self._edges.read(part, part + 1)
            edges = edges[(edges["source"] >= rows.start) & (edges["source"] < rows.stop)]
            if len(edges):
                edges = edges[np.lexsort((-edges["weight"], edges["source"]))]
                pairs = edges["source"].astype(np.uint64) << np.uint64(32) | edges["target"]
                _, firsts = np.unique(pairs, return_index=True)
                self.repeats += len(edges) - len(firsts)
                yield edges[np.sort(firsts)]
            work.add(size)

    def most(self, rows: int, work: Work) -> int:
        """Return how many edges a row has at most; at least 1."""
        every = self.in_order(range(rows), work)
        return max(
            (int(np.unique(e["source"], return_counts=True)[1].max()) for e in every), default=1
        )

    def _check_size(self) -> None:
        size = 96 * int(self._edges.sizes().max())  # bytes, while those of one part are sorted
        if size > self._memory.bound("sorted_edges"):
            needed = shown_size(sufficient_for(size, "sorted_edges"))
            raise UsageError(
                f"--memory-limit: expected at least {needed} for the edges of this graph, "
                f"received {shown_size(self._memory.limit)}"
            )
