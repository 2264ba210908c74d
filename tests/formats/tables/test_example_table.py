"""Examples as rows of Parquet: read back, they are the examples."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.formats.example_batch import ExampleBatch
from nsl_tools.formats.example_writer import encode_row
from nsl_tools.formats.protobuf.example import Kind
from nsl_tools.formats.protobuf.example_columns import ExampleParser
from nsl_tools.formats.tables.example_table import ExampleTable
from nsl_tools.formats.tables.feature_types import FeatureType, FeatureTypes
from nsl_tools.formats.tfrecord.frames import FOOTER_BYTES, HEADER_BYTES, Framed, frame
from nsl_tools.formats.tfrecord.reader import RecordBatch

if TYPE_CHECKING:
    from collections.abc import Sequence

CELLS: list[st.SearchStrategy[Any]] = [
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.floats(width=32, allow_nan=False),
    st.binary(max_size=5),
]


@st.composite
def rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    count = draw(st.integers(0, 12))
    found: list[dict[str, Any]] = [{"id": b"%d" % row} for row in range(count)]
    for name in draw(st.lists(st.sampled_from("abcd"), unique=True)):
        value = draw(st.sampled_from(CELLS))
        cell = draw(st.sampled_from([value, st.lists(value, min_size=1, max_size=3)]))
        for row in found:
            row[name] = draw(st.none() | cell)
    return found


def framed(rows: Sequence[dict[str, Any]]) -> Framed:
    payloads = [encode_row(row) for row in rows]
    ends = np.cumsum([0, *(len(p) + HEADER_BYTES + FOOTER_BYTES for p in payloads)])
    return Framed(np.frombuffer(frame(*payloads), np.uint8), ends)


def types_of(rows: Sequence[dict[str, Any]]) -> list[FeatureType]:
    records = framed(rows)
    starts, ends = records.ends[:-1] + HEADER_BYTES, records.ends[1:] - FOOTER_BYTES
    data = records.data.tobytes()
    batch = RecordBatch("f", range(len(rows)), 0, data, starts, ends)
    found = FeatureTypes()
    found.observe(ExampleBatch(batch, ExampleParser().parse(data, starts, ends)))
    return list(found.found.values())


def written(
    rows: Sequence[dict[str, Any]], types: Sequence[FeatureType], cuts: Sequence[int] = ()
) -> bytes:
    file = io.BytesIO()
    table = ExampleTable(file, types)
    for first, end in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        table.add(part_of(framed(rows), first, end))
    table.finish()
    return file.getvalue()


def part_of(records: Framed, first: int, end: int) -> Framed:
    return Framed(records.data, records.ends[first : end + 1])


@given(rows=rows(), cuts=st.lists(st.integers(0, 12), max_size=3), group=st.sampled_from([1, 60]))
def test_rows_are_the_examples(rows: list[dict[str, Any]], cuts: list[int], group: int) -> None:
    """Whatever the parts in which they come, which do not change the file."""
    cuts = sorted(min(cut, len(rows)) for cut in cuts)
    types = types_of(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ExampleTable, "group_bytes", group)
        data = written(rows, types, cuts)
        assert data == written(rows, types)
    found = pq.read_table(io.BytesIO(data)).to_pylist()
    lists = {each.name for each in types if each.is_list}
    for row, values in zip(rows, found, strict=True):
        known = {n: v for n, v in row.items() if n in values}
        expected = {
            n: v if v is None or n not in lists or isinstance(v, list) else [v]
            for n, v in known.items()
        }
        one = {
            n: v[0] if isinstance(v, list) and n not in lists else v for n, v in expected.items()
        }
        assert values == one


def test_row_groups_end_by_bytes_or_rows() -> None:
    rows = [{"id": b"%d" % row, "x": b"y" * 100} for row in range(50)]
    size = len(framed(rows[:1]).data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ExampleTable, "group_bytes", 10 * size - 50)
        by_bytes = pq.ParquetFile(io.BytesIO(written(rows, types_of(rows)))).metadata
        patch.setattr(ExampleTable, "group_bytes", 1 << 20)
        patch.setattr(ExampleTable, "group_rows", 20)
        by_rows = pq.ParquetFile(io.BytesIO(written(rows, types_of(rows)))).metadata
    assert {by_bytes.row_group(i).num_rows for i in range(by_bytes.num_row_groups)} == {10}
    assert [by_rows.row_group(i).num_rows for i in range(3)] == [20, 20, 10]


def test_what_is_missing_is_null_or_a_default() -> None:
    rows = [{"id": b"a", "x": 1.5}, {"id": b"b"}]
    types = [*types_of(rows), FeatureType("gone", 0, is_list=True), FeatureType("none", 0)]
    weight = FeatureType("x", Kind.FLOAT, default=0)
    found = pq.read_table(io.BytesIO(written(rows, [*types, weight.named("y")]))).to_pylist()
    assert found[1] == {"id": b"b", "x": None, "gone": None, "none": None, "y": 0.0}
    (first, second) = pq.read_table(io.BytesIO(written(rows, [weight]))).to_pylist()
    assert (first, second) == ({"x": 1.5}, {"x": 0.0})
    assert types[-2].arrow == pa.list_(pa.null())
