"""Embeddings from `.npy` and Parquet files, where most embeddings live.

A `.npy` file holds a matrix of floats, one row a node; the ids are the lines of a
text file of their own. A Parquet file holds an id column and a column of lists of
floats. Both are read by blocks, never whole.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.build_graph.embeddings import Embeddings, norms_of
from nsl_tools.errors import DataError, UsageError
from nsl_tools.formats import npy, parquet
from nsl_tools.formats.example_batch import Places, unrepeated
from nsl_tools.formats.id_lines import id_lines
from nsl_tools.formats.table_rows import Rows, usable
from nsl_tools.memory import shown_size
from nsl_tools.options import (
    DEFAULT_EMBEDDING_FEATURE,
    DEFAULT_ID_FEATURE,
    DEFAULT_MAX_RECORD_BYTES,
    memory_of,
)
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nsl_tools.arrays.ids import IdColumn
    from nsl_tools.formats.skipped_records import SkippedRecords
    from nsl_tools.options import BuildGraphOptions
    from nsl_tools.spill.matrix import MatrixStore


def is_table(paths: Sequence[str]) -> bool:
    """Tell whether all files are `.npy` or all are `.parquet`, by name.

    Raises:
        UsageError: only some are.
    """
    kinds = {os.path.splitext(path)[1] for path in paths}
    if not kinds & {".npy", ".parquet"}:
        return False
    if len(kinds) > 1:
        listed = ", ".join(sorted(kind or "no suffix" for kind in kinds))
        raise UsageError(f"EMBEDDINGS: expected files of one kind, received {listed}")
    return True


def _is_npy(paths: Sequence[str]) -> bool:
    return paths[0].endswith(".npy")


def check_options(paths: Sequence[str], options: BuildGraphOptions, *, seeded: bool) -> None:
    """Refuse options that files of this kind have no use for.

    Args:
        paths: the files of the embeddings.
        options: what was asked for.
        seeded: whether examples are read as well, as seeds.

    Raises:
        UsageError: one is given, or `.npy` files come without ids.
    """
    tables = is_table(paths)
    is_npy = tables and _is_npy(paths)
    if is_npy and options.ids is None:
        raise UsageError(f"--ids: expected the file of the ids of {paths[0]}, received none")
    if not is_npy and options.ids is not None:
        raise UsageError(
            f"--ids: expected .npy files, received {paths[0]}, which holds its own ids"
        )
    if tables and not is_npy and options.id_feature == options.embedding_feature:
        raise UsageError(
            f"--embedding-feature-name: expected another column than that of the ids, "
            f"received {options.embedding_feature!r}"
        )
    for name, value, default in _unused(is_npy=is_npy, options=options, seeded=seeded):
        if tables and value != default:
            raise UsageError(f"{name}: expected none for {paths[0]}, received {value!r}")


def _unused(
    options: BuildGraphOptions, *, is_npy: bool, seeded: bool
) -> Iterator[tuple[str, object, object]]:
    """Yield the options that mean nothing for tables, with their values and defaults."""
    if not seeded:
        yield "--max-record-bytes", options.max_record_bytes, DEFAULT_MAX_RECORD_BYTES
    if is_npy:
        yield "--embedding-feature-name", options.embedding_feature, DEFAULT_EMBEDDING_FEATURE
    if is_npy and not seeded:
        yield "--id-feature-name", options.id_feature, DEFAULT_ID_FEATURE


def vector_bytes(paths: Sequence[str]) -> int | None:
    """Return what the vectors of `.npy` files take in memory; None for other files.

    Raises:
        DataError: the header of one is not what it should be.
    """
    if not is_table(paths) or not _is_npy(paths):
        return None
    return sum(4 * rows * width for rows, width in map(npy.shape_of, paths))


def read_tables(
    paths: Sequence[str],
    options: BuildGraphOptions,
    skipped: SkippedRecords,
    store: MatrixStore,
    ids: IdColumn,
) -> Embeddings:
    """Read all rows, in order; rows that are not usable are skipped, as far as that is allowed.

    Args:
        paths: `.npy` files or `.parquet` files.
        options: the file of the ids of `.npy` files; the names of the Parquet columns that
            hold the id and the embedding; the memory to stay within.
        skipped: what may be left out: rows whose id or embedding is not usable, and those
            whose id is repeated.
        store: keeps the vectors.
        ids: gathers the ids.

    Raises:
        DataError: a file or a row is not what it should be.
        UsageError: the rows, or the ids, are too large for the memory.
    """
    limit = memory_of(options).limit
    if _is_npy(paths):
        _require_memory(paths, limit)
        nodes = _Nodes(skipped, store, ids, vector_bytes(paths) or 0)
        _read_npy(paths, str(options.ids), nodes)
    else:
        nodes = _Nodes(skipped, store, ids, sum(map(os.path.getsize, paths)))
        _read_parquet(paths, (options.id_feature, options.embedding_feature), limit, nodes)
    return nodes.finish()


class _Nodes:
    """The rows that can be used, so far."""

    def __init__(
        self, skipped: SkippedRecords, store: MatrixStore, ids: IdColumn, expected: int
    ) -> None:
        self.statistics = skipped.statistics
        self._skipped = skipped
        self._store = store
        self._writer = store.writer(expected)
        self._places = Places("row")
        self._ids = ids
        self._norms = [np.empty(0)]

    def add(self, rows: Rows) -> None:
        """Add those of some rows that can be used."""
        found = usable(rows, self._writer.shape[1], self.statistics)
        if not len(found.ids):
            return
        self._ids.add(found.ids)
        self._store.reserve(self._ids.bytes)
        self._norms.append(norms_of(found.vectors))
        self._writer.append(found.vectors)
        self._places.add_numbers(found.source, found.numbers)

    def finish(self) -> Embeddings:
        """Return all rows, each id once."""
        ids, norms = self._ids.array(), np.concatenate(self._norms)
        self._norms = []
        found = Embeddings(ids, self._writer.finish(), norms)
        rows = unrepeated(ids, self._skipped, self._places)
        return found if isinstance(rows, slice) else found.taken(rows)


def _require_memory(paths: Sequence[str], limit: int) -> None:
    """Refuse `.npy` files of which some rows do not fit the memory."""
    for path in paths:
        width = npy.shape_of(path)[1]
        copies = 8  # of a row, each of up to 8 bytes for a number
        if (needed := copies * 8 * width) > limit:
            raise UsageError(
                f"--memory-limit: expected at least {shown_size(needed)} for the rows of {path} "
                f"({width:,} numbers each), received {shown_size(limit)}"
            )


def _read_npy(paths: Sequence[str], ids: str, nodes: _Nodes) -> None:
    with id_lines(ids, nodes.statistics) as lines:
        for path in paths:
            first = 0
            for vectors in npy.read_rows(path, TUNING.table_bytes):
                line = lines.taken + 1
                names = lines.take(len(vectors))
                if len(names) < len(vectors):
                    problem = f"{lines.taken:,} ids, expected one for each row of {path}"
                    raise DataError(lines.name, "", problem)
                lengths = np.full(len(vectors), vectors.shape[1], np.int64)
                none, values = np.empty(0, np.int64), vectors.reshape(-1)
                nodes.add(Rows(path, first, names, lengths, values, none, lines.name, line))
                first += len(vectors)
        if more := lines.rest():
            problem = f"{lines.taken + more:,} ids, expected {lines.taken:,}, one for each row"
            raise DataError(lines.name, "", problem)


def _read_parquet(
    paths: Sequence[str], columns: tuple[str, str], limit: int, nodes: _Nodes
) -> None:
    with parquet.bounded(limit):
        for path in paths:
            done = 0
            try:
                for rows in parquet.read_rows(path, columns, TUNING.table_bytes):
                    nodes.add(rows)
                    done = rows.first + len(rows.lengths)
            except MemoryError as err:
                problem = (
                    f"they take more memory than --memory-limit {shown_size(limit)}, or ulimit, "
                    "leaves: raise it, if rows that large are right"
                )
                raise DataError(path, f"rows from {done}", problem) from err
