"""Embeddings from `.npy` and Parquet files, where most embeddings live.

A `.npy` file holds a matrix of floats, one row a node; the ids are the lines of a
text file of their own. A Parquet file holds an id column and a column of lists of
floats. Both are read by blocks, never whole.
"""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from nsl_tools.embeddings import Embeddings, norms_of
from nsl_tools.errors import DataError, UsageError
from nsl_tools.ids import first_bad_id, id_problem
from nsl_tools.matrix import select
from nsl_tools.nodes import Places, unrepeated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nsl_tools.ids import IdColumn
    from nsl_tools.matrix import Floats, MatrixStore
    from nsl_tools.nodes import Omissions
    from nsl_tools.statistics import Statistics

    Blocks = Iterator[tuple[str, int, list[bytes], Floats]]

_ROWS = 4096
_LINES_BYTES = 1 << 20
_NPY, _PARQUET = ".npy", ".parquet"
_FLOATS = ("f2", "f4", "f8")


def is_table(paths: Sequence[str]) -> bool:
    """Tell whether all files are `.npy` or all are `.parquet`, by name.

    Raises:
        UsageError: only some are.
    """
    kinds = {os.path.splitext(path)[1] for path in paths}
    if not kinds & {_NPY, _PARQUET}:
        return False
    if len(kinds) > 1:
        listed = ", ".join(sorted(kind or "no suffix" for kind in kinds))
        raise UsageError(f"EMBEDDINGS: expected files of one kind, received {listed}")
    return True


def read_tables(
    paths: Sequence[str],
    ids: str | None,
    columns: tuple[str, str],
    omissions: Omissions,
    store: MatrixStore,
    nodes: IdColumn,
) -> Embeddings:
    """Read all rows, in order.

    Args:
        paths: `.npy` files or `.parquet` files.
        ids: text file of the ids of `.npy` files, one a line.
        columns: names of the Parquet columns that hold the id and the embedding.
        omissions: what may be left out: rows with an id or a number that is not
            usable, and those whose id is repeated.
        store: keeps the vectors.
        nodes: gathers the ids.

    Raises:
        DataError: a file or a row is not what it should be.
        UsageError: `.npy` files without ids; ids take more memory than they may.
    """
    blocks = _npy_blocks(paths, ids) if paths[0].endswith(_NPY) else _parquet_blocks(paths, columns)
    writer, places = store.writer(), Places("row")
    norms = [np.empty(0)]
    for path, first, names, vectors in blocks:
        _check_width(path, first, vectors, writer.shape[1])
        numbers, kept_names, kept = _sifted(path, first, names, vectors, omissions.statistics)
        nodes.add(pa.array(kept_names, pa.binary()))
        store.reserve(nodes.bytes)
        norms.append(norms_of(kept))
        writer.append(kept)
        places.add_numbers(path, numbers)
    found = Embeddings(nodes.array(), writer.finish(), np.concatenate(norms))
    rows = unrepeated(found.ids, omissions, places)
    if isinstance(rows, slice):
        return found
    kept_ids = found.ids.take(pa.array(rows))
    return Embeddings(kept_ids, select(found.vectors, rows), found.norms[rows])


def _sifted(
    path: str, first: int, names: list[bytes], vectors: Floats, statistics: Statistics
) -> tuple[Sequence[int], list[bytes], Floats]:
    """Return the numbers, ids and vectors of the rows of a block that are not skipped.

    Raises:
        DataError: a row is not usable, and no more may be skipped.
    """
    finite = np.asarray(np.isfinite(vectors).all(axis=1))
    if finite.all() and first_bad_id(names) is None:
        return range(first, first + len(names)), names, vectors
    usable = finite.copy()
    for row, node in enumerate(names):
        if problem := id_problem(node):
            err = DataError(path, f"row {first + row}", problem, first + row)
            statistics.skip("id not usable", err)
            usable[row] = False
        elif not finite[row]:
            problem = "a value is not finite, expected numbers"
            err = DataError(path, f"row {first + row}", problem, first + row)
            statistics.skip("embedding not usable", err)
    kept = np.flatnonzero(usable).tolist()
    return [first + row for row in kept], [names[row] for row in kept], vectors[kept]


def _check_width(path: str, first: int, vectors: Floats, width: int) -> None:
    if not vectors.shape[1] or (width and vectors.shape[1] != width):
        expected = width or "at least 1"
        found = vectors.shape[1]
        raise DataError(path, f"row {first}", f"dimension {found}, expected {expected}")


def _npy_blocks(paths: Sequence[str], ids: str | None) -> Blocks:
    if ids is None:
        raise UsageError(f"--ids: expected the file of the ids of {paths[0]}, received none")
    names = _lines_of(ids)
    done = 0
    for path in paths:
        for first, vectors in _npy_rows(path):
            found = list(islice(names, len(vectors)))
            done += len(found)
            if len(found) < len(vectors):
                raise DataError(ids, "", f"{done} ids, expected one for each row of {path}")
            yield path, first, found, vectors
    if more := sum(1 for _ in names):
        raise DataError(ids, "", f"{done + more} ids, expected {done}, one for each row")


def _lines_of(path: str) -> Iterator[bytes]:
    """Yield the lines of a file, ended by LF, CR or both."""
    try:
        with open(path, "rb") as file:
            while whole := file.readlines(_LINES_BYTES):
                yield from b"".join(whole).splitlines()
    except OSError as err:
        raise DataError(path, "", f"cannot be read: {err.strerror or err}") from err


def _npy_rows(path: str) -> Iterator[tuple[int, Floats]]:
    try:
        # The map only tells where the numbers are: mapped pages would count as memory.
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
        shape, kind, order, offset = matrix.shape, matrix.dtype, matrix.flags, matrix.offset
    except (OSError, ValueError) as err:
        raise DataError(path, "", f"not a .npy file: {err}") from err
    if len(shape) != 2 or kind.str[1:] not in _FLOATS or not order.c_contiguous:  # noqa: PLR2004 - rows and columns
        problem = f"shape {shape} of {kind}, expected a matrix of floats in C order"
        raise DataError(path, "", problem)
    for first in range(0, shape[0], _ROWS):
        rows = min(_ROWS, shape[0] - first)
        start = offset + first * shape[1] * kind.itemsize
        block = np.fromfile(path, kind, rows * shape[1], offset=start)
        with np.errstate(over="ignore"):  # what overflows is reported as not finite
            vectors = block.reshape(rows, shape[1]).astype(np.float32)
        yield first, vectors


def _parquet_blocks(paths: Sequence[str], columns: tuple[str, str]) -> Blocks:
    import pyarrow.parquet as pq  # here, since it is slow to import and seldom needed

    for path in paths:
        first = 0
        try:
            file = pq.ParquetFile(path)
            _require_columns(path, file.schema_arrow.names, columns)
            for batch in file.iter_batches(_ROWS, columns=list(columns)):
                yield path, first, *_parquet_rows(path, first, batch, columns)
                first += len(batch)
        except (OSError, pa.ArrowException) as err:
            raise DataError(path, "", f"cannot be read as Parquet: {err}") from err


def _require_columns(path: str, known: list[str], columns: tuple[str, str]) -> None:
    for name in columns:
        if name not in known:
            found = ", ".join(known)
            raise DataError(path, "", f"no column {name!r}, expected one; it has {found}")


def _parquet_rows(
    path: str, first: int, batch: pa.RecordBatch, columns: tuple[str, str]
) -> tuple[list[bytes], Floats]:
    import pyarrow.compute as pc

    ids, lists = (batch.column(name) for name in columns)
    lengths = pc.list_value_length(lists)
    if ids.null_count or lengths.null_count or pc.list_flatten(lists).null_count:
        raise DataError(path, f"rows from {first}", "a value is missing, expected none to be")
    widths = pc.unique(lengths).to_pylist()
    if len(widths) > 1:
        raise DataError(path, f"rows from {first}", f"dimensions {widths}, expected one")
    values = pc.list_flatten(lists).cast(pa.float32()).to_numpy()
    return ids.cast(pa.binary()).to_pylist(), values.reshape(len(batch), -1)
