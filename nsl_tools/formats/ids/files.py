"""Which file of ids is read how: text, `.npy`, or a column of a table."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from nsl_tools.choices import DEFAULT_ID_FEATURE
from nsl_tools.errors import DataError
from nsl_tools.files.filesystem import first_bytes, state_of_open
from nsl_tools.files.paths import split_member
from nsl_tools.files.readings import opened
from nsl_tools.formats.ids.lines import id_lines
from nsl_tools.formats.ids.row_ids import BlockIds, RowNumbers, holds_ids, id_texts
from nsl_tools.formats.matrices.matrix import fill
from nsl_tools.formats.matrices.npy_header import MAGIC, NpyHeader, read_header
from nsl_tools.formats.tables.opening import is_table, opened_table
from nsl_tools.formats.tables.table import column, storage_type
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from io import BufferedReader

    from nsl_tools.formats.ids.row_ids import RowIds
    from nsl_tools.statistics import Statistics


@contextlib.contextmanager
def row_ids(path: str | None, statistics: Statistics) -> Iterator[RowIds]:
    """Open the ids of all rows; a file must not change until it is closed.

    Args:
        path: a text file, pipe or standard input with an id a line; a `.npy` array of texts
            or whole numbers; `table.parquet:column`, of Arrow as well; None for the numbers
            of the rows.
        statistics: counts what is odd.

    Raises:
        DataError: it cannot be read, or holds no ids.
    """
    if path is None:
        yield RowNumbers()
    else:
        with _opened(path, statistics) as ids:
            yield ids


def _opened(path: str, statistics: Statistics) -> AbstractContextManager[RowIds]:
    file, member = split_member(path)
    if is_table(file):
        return _column_ids(file, member or DEFAULT_ID_FEATURE)
    if member:
        raise DataError(file, "", f"is no Parquet or Arrow file, which had a column {member!r}")
    if first_bytes(path, len(MAGIC)) == MAGIC:
        return _npy_ids(path)
    return id_lines(path, statistics)


@contextlib.contextmanager
def _column_ids(path: str, name: str) -> Iterator[RowIds]:
    with opened_table(path, [name]) as table:
        kind = table.column_type(name)
        if not holds_ids(storage_type(kind)):
            expected = "strings, bytes or whole numbers"
            raise DataError(path, "", f"column {name!r} is of type {kind}, expected {expected}")
        batches = table.batches([name], table.rows_at_once([name], TUNING.batch_bytes))
        yield BlockIds(path, (id_texts(column(batch, name)) for batch in batches))


@contextlib.contextmanager
def _npy_ids(path: str) -> Iterator[RowIds]:
    with opened(path) as file:
        header = read_header(path, file)
        _check(path, header, state_of_open(file).size - header.bytes)
        yield BlockIds(path, _npy_blocks(path, file, header))


def _check(path: str, header: NpyHeader, size: int) -> None:
    if not header.has_known_type or header.dtype.kind not in "SUiu" or len(header.shape) != 1:
        pickled = "; Python objects are not loaded: save array.astype(str)"
        raise DataError(
            path,
            "",
            f"shape {header.shape} of {header.kind!r}, expected a list of texts or whole numbers"
            + pickled * ("O" in header.kind),
        )
    if size != (expected := header.shape[0] * header.dtype.itemsize):
        raise DataError(path, "", f"{size} bytes of ids, expected {expected}: the file is cut")


def _npy_blocks(path: str, file: BufferedReader, header: NpyHeader) -> Iterator[pa.Array]:
    step = max(1, TUNING.table_bytes // header.dtype.itemsize)
    for first in range(0, header.shape[0], step):
        block = np.empty(min(step, header.shape[0] - first), header.dtype)
        fill(file, block, path)
        yield _texts_of(path, first, block.astype(block.dtype.newbyteorder("=")))


def _texts_of(path: str, first: int, block: np.ndarray) -> pa.Array:
    if block.dtype.kind == "S":
        return pa.array(block.tolist(), pa.binary())
    try:
        return id_texts(pa.array(block))
    except (UnicodeError, ValueError) as err:
        problem = f"a text is not Unicode ({err})"
        raise DataError(path, f"rows from {first}", problem) from err
