"""Rows of tables as examples: each column a feature, a null a feature that is missing.

Whole numbers and truth values become int64, other numbers float32, texts and bytes are as they
are; lists of these are features of several values. The records of a table are in a scratch file.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from nsl_tools.arrays.byte_spans import offsets_of
from nsl_tools.arrays.fingerprints import spans_of
from nsl_tools.errors import DataError
from nsl_tools.files.streams import rereadable, source
from nsl_tools.formats.ids.row_ids import holds_ids, id_texts
from nsl_tools.formats.protobuf.encoder import Column, encode_examples, text_items, varints
from nsl_tools.formats.protobuf.example import Kind
from nsl_tools.formats.tables.opening import is_table, opened_table
from nsl_tools.formats.tables.table import bounded, column, storage_type
from nsl_tools.formats.tfrecord.frames import seal
from nsl_tools.formats.tfrecord.reader import check_start
from nsl_tools.memory import shown_size
from nsl_tools.options import memory_of
from nsl_tools.spill.scratch import Spool
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from nsl_tools.arrays.byte_spans import Bytes, Places
    from nsl_tools.files.streams import Source
    from nsl_tools.formats.tables.table import Table
    from nsl_tools.formats.tfrecord.frames import Framed
    from nsl_tools.options import RunOptions
    from nsl_tools.progress import Work

    Values = tuple[int, Bytes, Places]
    """Kind, encoded values and their bounds."""


@contextlib.contextmanager
def opened_examples(path: str, options: RunOptions, read: Work | None = None) -> Iterator[Source]:
    """Make a source of examples that can be read several times.

    Args:
        path: a TFRecord file or stream, or a Parquet or Arrow file.
        options: of the run; `id_feature` names the column of the ids, which may be whole numbers.
        read: counts the bytes that are read, here and of the source.

    Raises:
        DataError: the file cannot be read, or holds what examples cannot.
        ScratchError: the rows cannot be put aside.
    """
    found = source(path, options, read)
    if found.name != path or not is_table(path):
        with rereadable(found, check_start) as readable:
            yield readable
        return
    limit = memory_of(options).limit
    with Spool() as spool:
        try:
            with bounded(limit):
                for records in encoded(path, options.id_feature, found.read):
                    spool.write(seal(records).data.data)
        except MemoryError as err:
            problem = f"rows take more memory than --memory-limit {shown_size(limit)} leaves"
            raise DataError(path, "", f"{problem}: raise it, if that is right") from err
        yield replace(found, spool=spool, noun="row")


def encoded(path: str, id_column: str, read: Work) -> Iterator[Framed]:
    """Yield the rows of a table as records, some at a time, yet to be given to `frames.seal`.

    Args:
        path: of the table.
        id_column: column of the ids.
        read: counts the bytes that are read.

    Raises:
        DataError: the file cannot be read, or holds what examples cannot.
    """
    with opened_table(path, [id_column]) as table:
        names = _checked_names(table, id_column)
        first = 0
        batches = table.batches(names, table.rows_at_once(names, TUNING.batch_bytes))
        for batch in table.counted(batches, read):
            if len(batch):
                columns = [
                    _column(path, first, name, column(batch, name), is_id=name == id_column)
                    for name in names
                ]
                yield encode_examples(columns)
            first += len(batch)


def _checked_names(table: Table, id_column: str) -> list[str]:
    """Return the names of all columns, once each is seen to be one that examples can have."""
    if not holds_ids(kind := storage_type(table.column_type(id_column))):
        expected = "strings, bytes or whole numbers"
        raise DataError(
            table.path, "", f"column {id_column!r} is of type {kind}, expected {expected}"
        )
    for name in table.names:
        kind = storage_type(table.column_type(name))
        if not _is_feature(kind):
            problem = f"column {name!r} is of type {kind}, expected numbers, texts, bytes or lists"
            raise DataError(table.path, "", f"{problem} of these: leave it out of the table")
    return list(table.names)


def _is_feature(kind: pa.DataType) -> bool:
    kind = kind.value_type if _is_list(kind) else kind
    plain = pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)
    return bool(plain or holds_ids(kind))


def _is_list(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.ListType | pa.LargeListType | pa.FixedSizeListType)


def _column(path: str, first: int, name: str, values: pa.Array, *, is_id: bool) -> Column:
    """Return the feature that a column is of the rows from `first` on."""
    import pyarrow.compute as pc

    if is_id:
        values = id_texts(values)
    if isinstance(values, pa.DictionaryArray):
        values = values.dictionary_decode()
    if str(values.type).endswith("_view"):  # for which pyarrow lacks what is done below
        values = values.cast(pa.binary())
    present = values.is_valid().to_numpy(zero_copy_only=False)
    if _is_list(values.type):
        lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy().astype(np.int64)
        values = pc.list_flatten(values)
        if isinstance(values, pa.DictionaryArray):
            values = values.dictionary_decode()
    else:
        lengths, values = present.astype(np.int64), values.drop_null()
    ends = offsets_of(lengths)
    if values.null_count:
        place = int(values.is_null().to_numpy(zero_copy_only=False).argmax())
        raise _error(path, first, name, ends, place, "a value of the list is missing")
    kind, data, bounds = _encoded(path, first, name, ends, values)
    return Column(name.encode(), kind, data, bounds[ends], present)


def _encoded(path: str, first: int, name: str, ends: Places, values: pa.Array) -> Values:
    """Return values without null, encoded."""
    if pa.types.is_floating(values.type):
        numbers = values.to_numpy(zero_copy_only=False)
        with np.errstate(over="ignore"):
            found = numbers.astype("<f4")
        _refuse(path, first, name, ends, numbers, np.isinf(found) & np.isfinite(numbers), "float32")
        bounds = 4 * np.arange(len(found) + 1)
        return Kind.FLOAT, found.view(np.uint8), bounds
    if pa.types.is_integer(values.type) or pa.types.is_boolean(values.type):
        numbers = values.to_numpy(zero_copy_only=False)
        too_large = numbers > np.iinfo(np.int64).max
        _refuse(path, first, name, ends, numbers, too_large, "int64")
        return (Kind.INT64, *varints(numbers.astype(np.int64)))
    if pa.types.is_null(values.type):
        return Kind.BYTES, np.empty(0, np.uint8), np.zeros(1, np.int64)
    texts = values.cast(pa.binary())
    return (Kind.BYTES, *text_items(*spans_of(texts, np.arange(len(texts)))))


def _refuse(
    path: str,
    first: int,
    name: str,
    ends: Places,
    numbers: npt.NDArray[np.generic],
    wrong: npt.NDArray[np.bool_],
    kind: str,
) -> None:
    """Raise DataError if a number is wrong: it does not fit a `kind`."""
    if wrong.any():
        place = int(wrong.argmax())
        raise _error(path, first, name, ends, place, f"{numbers[place]} does not fit {kind}")


def _error(path: str, first: int, name: str, ends: Places, place: int, problem: str) -> DataError:
    row = first + int(np.searchsorted(ends, place, side="right")) - 1
    return DataError(path, f"row {row}", f"column {name!r}: {problem}", row)
