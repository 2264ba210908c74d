"""Graphs as Parquet: columns source, target and weight."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from nsl_tools.arrays.fingerprints import texts_of
from nsl_tools.files.compression import Sink
from nsl_tools.formats.graphs.edge_batches import weights_of
from nsl_tools.formats.graphs.writer import GraphForm, GraphWriter

if TYPE_CHECKING:
    from nsl_tools.files.compression import ByteSink
    from nsl_tools.formats.graphs.writer import Rows, Weights


class ParquetGraph(GraphWriter):
    """Writes ids as strings, or row numbers as int64, and weights as float32."""

    suffixes = (".parquet", ".pq")
    most_bytes = 1 << 24
    """Of the ids of a row group."""

    def __init__(self, file: ByteSink, form: GraphForm) -> None:
        """Begin a file."""
        import pyarrow.parquet as pq  # here, since it is slow to import and seldom needed

        super().__init__(file, form)
        kind = pa.int64() if form.row_numbers else pa.string()
        self._schema = pa.schema([("source", kind), ("target", kind), ("weight", pa.float32())])
        if form.distances:  # for who reads it as a graph
            self._schema = self._schema.with_metadata({"weights": "distance"})
        self._sink = Sink(file)
        # Sources come in runs, which a dictionary makes short; targets do not.
        self._writer = pq.ParquetWriter(
            self._sink, self._schema, use_dictionary=["source"], write_page_checksum=True
        )
        self._rows = _rows_of_a_group(form)
        self._waiting: list[tuple[Rows, Rows, Weights]] = []
        self._count = 0
        self._named: list[pa.RecordBatch] = []
        self._bytes = 0

    def add(self, sources: Rows, targets: Rows, weights: Weights) -> None:
        """Write whole row groups, and keep the rest: groups do not depend on how edges come."""
        self._waiting.append((sources, targets, weights))
        self._count += len(weights)
        if self._count < self._rows:
            return
        edges = tuple(map(np.concatenate, zip(*self._waiting, strict=True)))
        whole = self._count - self._count % self._rows
        for first in range(0, whole, self._rows):
            self._write(*(column[first : first + self._rows] for column in edges))
        self._waiting = [tuple(column[whole:] for column in edges)]  # type: ignore[list-item]
        self._count -= whole

    def add_named(self, edges: pa.RecordBatch) -> None:
        """Write whole row groups: each ends with the edge that makes it long or large enough."""
        while len(edges):
            sizes = sum(np.diff(texts_of(edges[name])[0]) for name in ("source", "target"))
            ends = self._bytes + np.cumsum(sizes)
            room = self._rows - self._count
            count = min(len(edges), room, 1 + int(np.searchsorted(ends, self.most_bytes)))
            self._named.append(edges.slice(0, count))
            self._count, self._bytes = self._count + count, int(ends[count - 1])
            if self._count == self._rows or self._bytes >= self.most_bytes:
                self._write_named()
            edges = edges.slice(count)

    def _write_named(self) -> None:
        edges = pa.Table.from_batches(self._named).combine_chunks().to_batches()[0]
        nodes = [edges[name].view(pa.string()) for name in ("source", "target")]
        values = self.written(weights_of(edges)).astype(np.float32)
        batch = pa.record_batch([*nodes, pa.array(values)], schema=self._schema)
        self._writer.write_batch(batch, row_group_size=self._rows)
        self._named, self._count, self._bytes = [], 0, 0

    def finish(self) -> None:
        """Write the last row group and the footer."""
        if self._named:
            self._write_named()
        if self._count:
            self._write(*map(np.concatenate, zip(*self._waiting, strict=True)))
        self._writer.close()

    def _write(self, sources: Rows, targets: Rows, weights: Weights) -> None:
        values = self.written(weights).astype(np.float32)
        columns = [self._nodes(sources), self._nodes(targets), pa.array(values)]
        batch = pa.record_batch(columns, schema=self._schema)
        self._writer.write_batch(batch, row_group_size=self._rows)

    def _nodes(self, rows: Rows) -> pa.Array:
        if self.form.row_numbers:
            return pa.array(rows)
        return self.form.ids.take(pa.array(rows)).view(pa.string())


def _rows_of_a_group(form: GraphForm) -> int:
    """Return the edges of a row group: as many as are usual, fewer if their ids are long."""
    usual, least = 1 << 17, 1 << 10
    id_bytes = 8 if form.row_numbers else form.ids.nbytes // max(1, len(form.ids))
    return min(usual, max(least, ParquetGraph.most_bytes // (2 * id_bytes + 4)))
