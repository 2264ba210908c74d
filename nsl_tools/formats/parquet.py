"""Embeddings in Parquet files: a column of ids and a column of lists of numbers.

A file is read a few rows, and a few pages of each column, at a time: only some MiB of it are
in memory. A few bytes can stand for any number of values, and how many a row has is known only
when it is decoded. So while a file is read, the system is told to grant the process no more
than the memory limit (`bounded`).
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from nsl_tools.arrays.ids import shown
from nsl_tools.errors import DataError, UsageError
from nsl_tools.files.readings import opened
from nsl_tools.formats.embedding_batch import EmbeddingReader
from nsl_tools.formats.table_rows import Rows, UsableRows
from nsl_tools.memory import held_within, shown_size
from nsl_tools.options import DEFAULT_MAX_RECORD_BYTES, memory_of
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader

    from nsl_tools.arrays.byte_spans import Places
    from nsl_tools.formats.embedding_batch import Batches, NewRows
    from nsl_tools.formats.skipped_records import SkippedRecords
    from nsl_tools.spill.matrix import Floats


class ParquetEmbeddings(EmbeddingReader):
    """Reads one column as the ids and one as the embeddings."""

    def check_options(self, *, seeded: bool) -> None:
        """Refuse options that are not for these files, and one column for both."""
        super().check_options(seeded=seeded)
        if self._options.id_feature == self._options.embedding_feature:
            raise UsageError(
                f"--embedding-feature-name: expected another column than that of the ids, "
                f"received {self._options.embedding_feature!r}"
            )

    def unused_options(self, *, seeded: bool) -> Iterator[tuple[str, object, object]]:
        """Yield the option that bounds what only records have."""
        if not seeded:
            given = self._options.max_record_bytes
            yield "--max-record-bytes", given, DEFAULT_MAX_RECORD_BYTES

    def batches(self, skipped: SkippedRecords, new_rows: NewRows) -> Batches:  # noqa: ARG002 - a row may be refused after it is read
        """Yield all rows that can be used, in order, as every reader does."""
        limit = memory_of(self._options).limit
        usable = UsableRows(skipped.statistics)
        # Around it all: what the rows of a batch take is bounded while they are used, too.
        with bounded(limit):
            for path in self._paths:
                done = 0
                try:
                    for rows in read_rows(path, self._columns, TUNING.table_bytes):
                        yield from usable.batches(rows)
                        done = rows.first + len(rows.lengths)
                except MemoryError as err:
                    problem = (
                        f"they take more memory than --memory-limit {shown_size(limit)}, or "
                        "ulimit, leaves: raise it, if rows that large are right"
                    )
                    raise DataError(path, f"rows from {done}", problem) from err

    @property
    def _columns(self) -> tuple[str, str]:
        return self._options.id_feature, self._options.embedding_feature


@dataclass(frozen=True)
class _Table:
    """An open file.

    Attributes:
        path: its name.
        file: what pyarrow made of it.
        columns: names of the columns of the ids and of the embeddings.
    """

    path: str
    file: Any
    columns: tuple[str, str]

    def batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        """Yield all rows, about so many at a time, from the start.

        Raises:
            DataError: a row group has not as many as the footer says.
        """
        for group in range(self.file.num_row_groups):
            found, expected = 0, int(self.file.metadata.row_group(group).num_rows)
            for batch in self.file.iter_batches(
                _no_divisor(rows, expected),
                row_groups=[group],
                columns=list(self.columns),
                use_threads=False,
            ):
                found += len(batch)
                yield batch
            if found != expected:
                problem = f"{found:,} rows in row group {group}, its footer says {expected:,}"
                raise DataError(self.path, "", problem)


def _no_divisor(least: int, rows: int) -> int:
    """Return a number of at least 2 and `least` that does not divide a number of rows."""
    # The last batch of a row group then asks for more rows than there are. Else pyarrow would not
    # notice that one column has more rows than the other.
    step = max(2, least)
    while rows and rows % step == 0:
        step += 1
    return step


@contextlib.contextmanager
def bounded(limit: int) -> Iterator[None]:
    """Let this process grow by no more than `limit` bytes, where the system can enforce that.

    What would take more raises MemoryError.
    """
    import pyarrow.compute
    import pyarrow.parquet  # noqa: F401 - their own memory does not count

    # Arrow's own pool reserves memory by the GiB, so that its size says nothing about its use.
    before = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        with held_within(limit):
            yield
    finally:
        pa.set_memory_pool(before)


def read_rows(path: str, columns: tuple[str, str], block_bytes: int) -> Iterator[Rows]:
    """Yield all rows, in blocks of about `block_bytes` of numbers, where rows are alike.

    Args:
        path: the file.
        columns: names of the columns that hold the id and the embedding.
        block_bytes: size of a block.

    Raises:
        DataError: the file is not what it should be, or changed while it was read.
        MemoryError: its rows take more than the system grants.
    """
    first = 0
    with opened(path) as file, _arrow_errors_as_data_errors(path):
        table = _open(path, file, columns)
        for batch in table.batches(_rows_at_once(table, block_bytes)):
            if len(batch):
                yield _rows(table, first, batch)
            first += len(batch)


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
        file, pre_buffer=False, buffer_size=1 << 16, page_checksum_verification=True
    )
    schema = opened.schema_arrow
    places = [_place(path, schema, name) for name in columns]
    _check_kinds(path, columns, [schema.field(place).type for place in places])
    return _Table(path, opened, columns)


def _place(path: str, schema: pa.Schema, name: str) -> int:
    """Return the place of the column with the name; a field within a column does not count."""
    places = [place for place, known in enumerate(schema.names) if known == name]
    if not places:
        found = ", ".join(schema.names[:8])
        raise DataError(path, "", f"no column {name!r}, expected one; it has {found}")
    if len(places) > 1:
        raise DataError(path, "", f"{len(places)} columns {name!r}, expected one")
    return places[0]


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
    pattern = "(large_)?(string|binary)|(string|binary)_view"
    return bool(re.fullmatch(pattern, str(kind))) or isinstance(kind, pa.FixedSizeBinaryType)


def _is_list_of_numbers(kind: pa.DataType) -> bool:
    if not isinstance(
        kind, pa.ListType | pa.LargeListType | pa.FixedSizeListType | pa.ListViewType
    ):
        return False
    return bool(pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type))


def _rows_at_once(table: _Table, block_bytes: int) -> int:
    """Return how many rows to decode at once, by the first that has an embedding."""
    peeked, most = 64, 4096
    # Not by the footer: if what it says of columns is damaged, pyarrow ends the process.
    for rows in (_rows(table, 0, batch) for batch in islice(table.batches(1), peeked)):
        if rows.values.size:
            beside = 16  # bytes of a row, beside its text and its numbers
            row_bytes = rows.values.nbytes + int(rows.ids.nbytes) + beside
            return min(most, max(1, block_bytes // row_bytes))
    return peeked


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
    letter = "f" if pa.types.is_floating(values.type) else str(values.type)[0]
    kind = np.dtype(f"{letter}{values.type.bit_width // 8}")
    numbers = np.frombuffer(values.buffers()[1], kind)[values.offset :][: len(values)]
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is reported as not finite
        found = numbers.astype(np.float32)
    lost = np.zeros(len(values), np.bool_)
    if letter != "f":
        exact = 1 << 24  # float32 holds all whole numbers up to this
        lost |= np.abs(numbers.astype(np.float64)) > exact
    if values.null_count:
        missing = values.is_null().to_numpy(zero_copy_only=False)
        found[missing] = 0
        lost |= missing
    return found, np.flatnonzero(lost)
