"""Graphs in tables: columns source, target and, unless all weights are 1, weight."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from nsl_tools.errors import DataError
from nsl_tools.formats.graphs.edge_batches import EdgeRows, similarities
from nsl_tools.formats.ids.row_ids import holds_ids, id_texts
from nsl_tools.formats.tables.opening import opened_table
from nsl_tools.formats.tables.table import column, storage_type
from nsl_tools.progress import Work
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nsl_tools.formats.graphs.node_names import NodeNames
    from nsl_tools.formats.tables.table import Table
    from nsl_tools.statistics import Statistics


def read_edge_table(
    path: str, statistics: Statistics, names: NodeNames, read: Work | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the edges in a Parquet or Arrow file, as batches of `EDGE_SCHEMA`.

    Args:
        path: of the file; its columns of ids are texts, or numbers of nodes.
        statistics: counts what is skipped.
        names: the ids of nodes by their numbers.
        read: counts the bytes that are read.

    Raises:
        DataError: the file cannot be read, or a row is no edge.
    """
    first = 0
    with opened_table(path) as table:
        columns = _columns(table)
        # As build-graph says where it writes distances.
        distances = (table.schema.metadata or {}).get(b"weights") == b"distance"
        batches = table.batches(columns, table.rows_at_once(columns, TUNING.graph_bytes))
        for batch in table.counted(batches, read or Work()):
            if not len(batch):
                continue
            sources, targets = (_ids(path, column(batch, name), names) for name in columns[:2])
            weights = np.ones(len(batch))
            if len(columns) > 2:  # noqa: PLR2004 - the weight is third
                weights = similarities(_numbers(column(batch, columns[2])), distances=distances)
            else:
                statistics.counts["edges without weight (taken as 1.0)"] += len(batch)
            yield EdgeRows(path, first, sources, targets, weights).usable(statistics)
            first += len(batch)
    if not first:
        statistics.counts["empty files"] += 1


def _columns(table: Table) -> list[str]:
    """Return the names of the columns, once their types are seen to be right."""
    for name in ("source", "target"):
        kind = storage_type(table.column_type(name))
        if not holds_ids(kind):
            expected = "strings, bytes or whole numbers"
            problem = f"column {name!r} is of type {kind}, expected {expected}"
            raise DataError(table.path, "", problem)
    if "weight" not in table.names:
        return ["source", "target"]
    kind = table.column_type("weight")
    if not pa.types.is_floating(kind) and not pa.types.is_integer(kind):
        raise DataError(table.path, "", f"column 'weight' is of type {kind}, expected numbers")
    return ["source", "target", "weight"]


def _ids(path: str, ids: pa.Array, names: NodeNames) -> pa.Array:
    return names.of_column(ids, path) if pa.types.is_integer(ids.type) else id_texts(ids)


def _numbers(values: pa.Array) -> np.ndarray:
    found = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.asarray(found, np.float64)
