"""Embeddings in Parquet files: a column of ids and a column of lists of numbers.

A file is read a few rows at a time, and of each column a few pages, so that no more than
some MiB of it are ever in memory. A row group can hold more than its bytes tell: what its
footer says it holds is held against the limit of memory before it is read, and while it is
read the system itself grants no more than that limit (`bounded`).
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from nsl_tools.errors import DataError, UsageError
from nsl_tools.ids import shown
from nsl_tools.memory import held_within, shown_size
from nsl_tools.steady import opened
from nsl_tools.table_rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader

    from nsl_tools.matrix import Floats
    from nsl_tools.spans import Places

_MOST_ROWS = 1 << 14
_BUFFER = 1 << 16
_ID_BYTES = 16  # of a row, beside its text
_DECODING = 24  # bytes that a number takes while it is decoded, at most, with its levels
_EXACT = 1 << 24  # float32 holds all whole numbers up to this


@dataclass(frozen=True)
class _Table:
    """An open file.

    Attributes:
        path: its name.
        file: what pyarrow made of it.
        columns: names of the columns of the ids and of the embeddings.
        leaves: their numbers among the columns that hold values.
    """

    path: str
    file: Any
    columns: tuple[str, str]
    leaves: tuple[int, int]


@contextlib.contextmanager
def bounded(limit: int) -> Iterator[None]:
    """Let this process grow by no more than `limit` bytes, where the system can see to that.

    What would take more raises MemoryError.
    """
    import pyarrow.compute
    import pyarrow.parquet  # noqa: F401 - what they take is none of the limit

    # Arrow's own pool takes memory ahead, by the GiB, which tells nothing of what is used.
    before = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        with held_within(limit):
            yield
    finally:
        pa.set_memory_pool(before)


def read_rows(path: str, columns: tuple[str, str], block_bytes: int, limit: int) -> Iterator[Rows]:
    """Yield all rows, in blocks of about `block_bytes` of numbers, where rows are alike.

    Args:
        path: the file.
        columns: names of the columns that hold the id and the embedding.
        block_bytes: size of a block.
        limit: bytes of memory that the run may use.

    Raises:
        DataError: the file is not what it should be, or changed while it was read.
        UsageError: its rows are too large for the limit.
    """
    first = 0
    with opened(path) as file, _arrow_errors_as_data_errors(path):
        table = _open(path, file, columns)
        for group in range(table.file.num_row_groups):
            start, step = first, _rows_at_once(table, group, block_bytes, limit)
            for batch in table.file.iter_batches(
                step, row_groups=[group], columns=list(columns), use_threads=False
            ):
                if len(batch):
                    yield _rows(table, first, batch)
                first += len(batch)
            _check_count(table, group, first - start)


@contextlib.contextmanager
def _arrow_errors_as_data_errors(path: str) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as err:
        raise DataError(path, "", "the name of a column is not UTF-8") from err
    except MemoryError:
        raise
    except (OSError, pa.ArrowException) as err:
        raise DataError(path, "", f"cannot be read as Parquet: {err}") from err


def _open(path: str, file: BufferedReader, columns: tuple[str, str]) -> _Table:
    import pyarrow.parquet as pq  # here, since it is slow to import and seldom needed

    # Without a buffer, all of a column of a row group is read at once.
    opened = pq.ParquetFile(
        file, pre_buffer=False, buffer_size=_BUFFER, page_checksum_verification=True
    )
    schema = opened.schema_arrow
    places = [_place(path, schema, name) for name in columns]
    _check_kinds(path, columns, [schema.field(place).type for place in places])
    leaves = [sum(_leaves(field.type) for field in list(schema)[:place]) for place in places]
    return _Table(path, opened, columns, (leaves[0], leaves[1]))


def _place(path: str, schema: pa.Schema, name: str) -> int:
    """Return which of the columns has the name; the field of a column is none."""
    places = [place for place, known in enumerate(schema.names) if known == name]
    if not places:
        found = ", ".join(schema.names[:_SHOWN])
        raise DataError(path, "", f"no column {name!r}, expected one; it has {found}")
    if len(places) > 1:
        raise DataError(path, "", f"{len(places)} columns {name!r}, expected one")
    return places[0]


_SHOWN = 8


def _leaves(kind: pa.DataType) -> int:
    """Return how many columns of values one of this type consists of."""
    kind = getattr(kind, "storage_type", kind)
    return sum(_leaves(kind.field(place).type) for place in range(kind.num_fields)) or 1


def _check_kinds(path: str, columns: tuple[str, str], kinds: list[pa.DataType]) -> None:
    for name, kind, fits, expected in (
        (columns[0], kinds[0], _is_text, "strings or bytes"),
        (columns[1], kinds[1], _is_list_of_numbers, "lists of floats"),
    ):
        if not fits(kind):
            found = shown(str(kind).encode())
            raise DataError(path, "", f"column {name!r} is of type {found}, expected {expected}")


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if isinstance(kind, pa.DictionaryType) else kind
    return str(kind) in _TEXTS or isinstance(kind, pa.FixedSizeBinaryType)


_TEXTS = {
    f"{size}{kind}" for kind in ("string", "binary") for size in ("", "large_")
} | {"string_view", "binary_view"}  # fmt: skip


def _is_list_of_numbers(kind: pa.DataType) -> bool:
    if not isinstance(
        kind, pa.ListType | pa.LargeListType | pa.FixedSizeListType | pa.ListViewType
    ):
        return False
    return bool(pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type))


def _rows_at_once(table: _Table, group: int, block_bytes: int, limit: int) -> int:
    """Return how many rows to decode at once; refuse rows of which one does not fit."""
    found = table.file.metadata.row_group(group)
    ids, numbers = (found.column(leaf) for leaf in table.leaves)
    rows: int = max(1, found.num_rows)
    width = -(-max(0, int(numbers.num_values)) // rows)
    # The vectors, too, may take a quarter.
    needed = 4 * _DECODING * width
    if needed > limit:
        raise UsageError(
            f"--memory-limit: expected at least {shown_size(needed)} for row group {group} of "
            f"{table.path} ({rows:,} rows of about {width:,} numbers), received {shown_size(limit)}"
        )
    row_bytes = 4 * width + _ID_BYTES + max(0, int(ids.total_uncompressed_size)) // rows
    return min(_MOST_ROWS, max(1, block_bytes // row_bytes))


def _check_count(table: _Table, group: int, found: int) -> None:
    expected = table.file.metadata.row_group(group).num_rows
    if found != expected:
        problem = f"{found:,} rows in row group {group}, its footer says {expected:,}"
        raise DataError(table.path, "", problem)


def _rows(table: _Table, first: int, batch: pa.RecordBatch) -> Rows:
    import pyarrow.compute as pc

    ids, lists = (batch.column(batch.schema.names.index(name)) for name in table.columns)
    if isinstance(ids, pa.DictionaryArray):
        ids = ids.dictionary_decode()
    lengths = pc.fill_null(pc.list_value_length(lists), -1).to_numpy(zero_copy_only=False)
    values, lost = _numbers(pc.list_flatten(lists))
    return Rows(table.path, first, ids.cast(pa.binary()), lengths.astype(np.int64), values, lost)


def _numbers(values: pa.Array) -> tuple[Floats, Places]:
    """Return numbers as float32, and the places of those that are null or do not fit."""
    if not len(values):
        return np.empty(0, np.float32), np.empty(0, np.int64)
    # `to_numpy` would turn numbers of which one is null into other numbers, or objects.
    kind = values.type.to_pandas_dtype()
    numbers = np.frombuffer(values.buffers()[1], kind)[values.offset :][: len(values)]
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is reported as not finite
        found = numbers.astype(np.float32)
    lost = np.zeros(len(values), np.bool_)
    if np.issubdtype(kind, np.integer):
        lost |= np.abs(numbers.astype(np.float64)) > _EXACT
    if values.null_count:
        lost |= values.is_null().to_numpy(zero_copy_only=False)
    return found, np.flatnonzero(lost)
