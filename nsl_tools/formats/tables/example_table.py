"""Examples as the rows of a Parquet file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from nsl_tools.arrays.ids import texts_at
from nsl_tools.errors import UsageError
from nsl_tools.files.compression import Sink
from nsl_tools.files.paths import shard_set_of
from nsl_tools.formats.protobuf.example import Kind
from nsl_tools.formats.protobuf.example_columns import ExampleParser
from nsl_tools.formats.protobuf.example_values import values_of
from nsl_tools.formats.protobuf.lockstep import sole_contents
from nsl_tools.formats.tables.parquet import ParquetTable
from nsl_tools.formats.tfrecord.frames import FOOTER_BYTES, HEADER_BYTES, Framed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from nsl_tools.files.compression import ByteSink
    from nsl_tools.formats.protobuf.example_columns import Parsed
    from nsl_tools.formats.protobuf.example_values import Values
    from nsl_tools.formats.tables.feature_types import FeatureType


def is_table_output(output: str, compression: str) -> bool:
    """Tell whether an output of examples is Parquet, by its suffix.

    Raises:
        UsageError: it is, and is to be compressed, which is Parquet's own affair.
    """
    base, _ = shard_set_of(output) or (output, 1)
    if os.path.splitext(base)[1].lower() not in ParquetTable.suffixes:
        return False
    if compression != "auto":
        raise UsageError(f"--compression: expected none for {output}, which has its own")
    return True


class ExampleTable:
    """Writes records of examples to one Parquet file, a row each.

    Attributes:
        group_bytes: of records: a row group ends with the one that reaches so many,
        group_rows: or with so many.
    """

    group_bytes = 8 << 20
    group_rows = 1 << 16

    def __init__(self, file: ByteSink, types: Sequence[FeatureType]) -> None:
        """Begin a file with these columns."""
        import pyarrow.parquet as pq  # here, since it is slow to import and seldom needed

        self._types = types
        self._schema = pa.schema([(each.name, each.arrow) for each in types])
        # Floats seldom repeat: looking for what does would take four times as long as writing them.
        repeated = [
            f"{each.name}.list.element" if each.is_list else each.name
            for each in types
            if each.kind != Kind.FLOAT
        ]
        self._writer = pq.ParquetWriter(
            Sink(file), self._schema, use_dictionary=repeated, write_page_checksum=True
        )
        self._parser = ExampleParser()
        self._waiting: list[pa.RecordBatch] = []
        self._bytes = self._rows = 0

    def add(self, records: Framed) -> None:
        """Write examples; row groups do not depend on how they come."""
        while len(records):
            sizes = np.diff(records.ends)
            before = self._bytes + np.cumsum(sizes) - sizes
            room = int(np.searchsorted(before, self.group_bytes))
            count = min(len(records), room, self.group_rows - self._rows)
            self._waiting.append(self._batch(Framed(records.data, records.ends[: count + 1])))
            self._rows += count
            self._bytes += int(sizes[:count].sum())
            if self._bytes >= self.group_bytes or self._rows == self.group_rows:
                self._write()
            records = Framed(records.data, records.ends[count:])

    def finish(self) -> None:
        """Write the last row group and the footer."""
        if self._rows:
            self._write()
        self._writer.close()

    def _write(self) -> None:
        table = pa.Table.from_batches(self._waiting, self._schema)
        self._writer.write_table(table, row_group_size=self._rows)
        self._waiting, self._rows, self._bytes = [], 0, 0

    def _batch(self, records: Framed) -> pa.RecordBatch:
        first, end = int(records.ends[0]), int(records.ends[-1])
        places = records.ends - first
        starts, ends = places[:-1] + HEADER_BYTES, places[1:] - FOOTER_BYTES
        parsed = self._parser.parse(records.data[first:end].tobytes(), starts, ends)
        columns = [_column(parsed, each) for each in self._types]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)


def _column(parsed: Parsed, each: FeatureType) -> pa.Array:
    spans = parsed.column(each.name.encode())
    present = spans.starts < spans.ends
    if not each.kind:
        return pa.nulls(len(parsed)).cast(each.arrow)
    if each.kind == Kind.BYTES and not each.is_list:
        kinds, texts = sole_contents(parsed.data, spans)
        if (kinds[present] != Kind.BYTES).any():  # not in shortest form
            found = np.full(len(parsed), None)
            found[present] = values_of(parsed.data, spans, each.kind).flat
            return pa.array(found.tolist(), pa.binary()).view(each.arrow)
        starts, lengths = texts.starts * present, (texts.ends - texts.starts) * present
        found = _with_nulls(texts_at(parsed.data, starts, lengths), present)
        return found.view(each.arrow)
    values = values_of(parsed.data, spans, each.kind)
    return _lists(values, each, present) if each.is_list else _numbers(values, each, present)


def _numbers(values: Values, each: FeatureType, present: npt.NDArray[np.bool_]) -> pa.Array:
    found = np.full(len(present), each.default or 0, values.flat.dtype)
    found[present] = values.flat
    numbers = pa.array(found)
    return numbers if each.default is not None else _with_nulls(numbers, present)


def _lists(values: Values, each: FeatureType, present: npt.NDArray[np.bool_]) -> pa.Array:
    one = each.arrow.value_type
    if each.kind == Kind.BYTES:
        flat = pa.array(values.flat.tolist(), pa.binary()).view(one)
    else:
        flat = pa.array(values.flat)
    offsets = pa.py_buffer(values.offsets.astype(np.int32))
    buffers = [_validity(present), offsets]
    return pa.Array.from_buffers(each.arrow, len(present), buffers, children=[flat])


def _with_nulls(values: pa.Array, present: npt.NDArray[np.bool_]) -> pa.Array:
    if present.all():
        return values
    buffers = [_validity(present), *values.buffers()[1:]]
    return pa.Array.from_buffers(values.type, len(values), buffers)


def _validity(present: npt.NDArray[np.bool_]) -> pa.Buffer:
    return pa.py_buffer(np.packbits(present, bitorder="little"))
