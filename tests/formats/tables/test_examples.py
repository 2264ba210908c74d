"""Rows of tables as examples: what TensorFlow's users would have written by hand."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import right_features
from support import drawn

from nsl_tools.errors import DataError
from nsl_tools.formats.example_batch import read_examples
from nsl_tools.formats.example_writer import write_examples
from nsl_tools.formats.tables.examples import opened_examples
from nsl_tools.formats.tfrecord.reader import read_batches
from nsl_tools.options import PackOptions
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from pathlib import Path

    Features = dict[bytes, tuple[str, object]]

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
KINDS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.int64(), INT64), (pa.int8(), st.integers(-128, 127)), (pa.uint16(), st.integers(0, 9)),
    (pa.float32(), st.floats(width=32)), (pa.float64(), st.floats(width=32)),
    (pa.string(), st.text(max_size=4)), (pa.large_binary(), st.binary(max_size=4)),
    (pa.bool_(), st.booleans()),
]  # fmt: skip


def payloads(path: Path, **options: Any) -> list[bytes]:
    with opened_examples(str(path), PackOptions(**options)) as source:
        # Twice: a table is read once, and its records as often as they are needed.
        first = [payload for batch in read_batches(source) for payload in batch.payloads]
        again = [payload for batch in read_batches(source) for payload in batch.payloads]
    assert first == again
    return first


def right(row: dict[str, Any]) -> Features:
    """Return what an example of a row holds."""
    return {name.encode(): feature(v) for name, v in row.items() if v is not None}


def feature(value: Any) -> tuple[str, object]:
    values = value if isinstance(value, list) else [value]
    if not values:
        return "", []
    if isinstance(values[0], float):
        return "float", struct.pack(f"<{len(values)}f", *values)
    if isinstance(values[0], bytes | str):
        return "bytes", [v.encode() if isinstance(v, str) else v for v in values]
    return "int64", list(map(int, values))


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    count = draw(st.integers(1, 9))
    columns = {"id": pa.array([f"n{row}" for row in range(count)])}
    for number in range(draw(st.integers(0, 4))):
        kind, values = draw(st.sampled_from(KINDS))
        form = draw(st.sampled_from(["one", "list", "large", "fixed"]))
        cell = values if form == "one" else st.lists(values, max_size=3)
        if form == "fixed":
            cell = st.lists(values, min_size=2, max_size=2)
        types = {
            "one": kind, "list": pa.list_(kind), "large": pa.large_list(kind),
            "fixed": pa.list_(kind, 2),
        }  # fmt: skip
        cells = draw(st.lists(cell | st.none(), min_size=count, max_size=count))
        columns[f"c{number}"] = pa.array(cells, types[form])
    return pa.table(columns)


@pytest.mark.thorough
@settings(max_examples=drawn(300))
@given(table=tables(), block=st.sampled_from([1, 100, 1 << 20]), feather=st.booleans())
def test_a_row_is_an_example(
    tmp_path_factory: pytest.TempPathFactory, table: pa.Table, block: int, feather: bool
) -> None:
    path = tmp_path_factory.mktemp("tables") / "t"
    if feather:
        pyarrow.feather.write_feather(table, str(path))
    else:
        pq.write_table(table, path, row_group_size=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TUNING, "batch_bytes", block)
        found = [right_features(payload) for payload in payloads(path)]
    for features, row in zip(found, table.to_pylist(), strict=True):
        expected = right(row)
        assert features is not None
        # Of an empty list, the type of the column says the kind.
        known = {
            n: v if v[0] else (features[n][0], type(features[n][1])()) for n, v in expected.items()
        }
        assert features == known


def test_the_bytes_are_those_of_rows_that_are_written(tmp_path: Path) -> None:
    """So what is packed of both is the same, too."""
    rows = [
        {"id": "a", "x": 1.5, "n": 300, "t": ["u", ""]},
        {"id": "b", "x": -1.0, "n": -1, "t": []},
    ]
    write_examples(str(tmp_path / "rows"), [rows[0], {**rows[1], "t": None}])
    table = pa.table({
        "id": ["a", "b"], "x": [1.5, -1.0], "n": [300, -1],
        "t": pa.array([["u", ""], None], pa.list_(pa.string())),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "table")
    assert payloads(tmp_path / "table") == payloads(tmp_path / "rows")


@pytest.mark.parametrize(
    "ids",
    [pa.array([7, 300]), pa.array(["7", "300"]), pa.array([b"7", b"300"]),
     pa.array(["7", "300"]).dictionary_encode(), pa.array([7, 300], pa.uint16())],
)  # fmt: skip
def test_ids_are_texts(tmp_path: Path, ids: pa.Array) -> None:
    pq.write_table(pa.table({"key": ids}), tmp_path / "t")
    found = [right_features(payload) for payload in payloads(tmp_path / "t", id_feature="key")]
    assert found == [{b"key": ("bytes", [b"7"])}, {b"key": ("bytes", [b"300"])}]


def test_views_with_gaps(tmp_path: Path) -> None:
    """Which pyarrow does not filter."""
    table = pa.table({"id": ["x", "y"], "t": pa.array(["a", None], pa.string_view())})
    pyarrow.feather.write_feather(table, f"{tmp_path}/t")
    found = [right_features(payload) for payload in payloads(tmp_path / "t")]
    assert found[1] == {b"id": ("bytes", [b"y"])}


def test_extensions_dictionaries_and_columns_of_nothing(tmp_path: Path) -> None:
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(np.arange(8, dtype="f2").reshape(2, 2, 2))
    words = pa.array([["a", "b"], ["a"]], pa.list_(pa.dictionary(pa.int8(), pa.string())))
    table = pa.table({"id": ["x", "y"], "t": tensors, "w": words, "none": pa.nulls(2)})
    pq.write_table(table, tmp_path / "t")
    found = [right_features(payload) for payload in payloads(tmp_path / "t")]
    assert found == [
        {
            b"id": ("bytes", [b"x"]),
            b"t": ("float", struct.pack("<4f", 0, 1, 2, 3)),
            b"w": ("bytes", [b"a", b"b"]),
        },
        {
            b"id": ("bytes", [b"y"]),
            b"t": ("float", struct.pack("<4f", 4, 5, 6, 7)),
            b"w": ("bytes", [b"a"]),
        },
    ]


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"x": [1]}, "no column 'id', expected one; it has x"),
        ({"id": [1.5]}, "column 'id' is of type double, expected strings, bytes or whole numbers"),
        ({"id": ["a"], "x": [{"y": 1}]}, "column 'x' is of type struct.*: leave it out of"),
        ({"id": ["a"], "x": [[[1]]]}, "column 'x' is of type list.*: leave it out of the table"),
        ({"id": ["a", "b"], "x": [[1], [2, None]]}, "row 1: column 'x': a value of the list is"),
        ({"id": ["a", "b"], "x": [1.0, 1e300]}, r"row 1: column 'x': 1e.300 does not fit float32"),
        (
            {"id": ["a"], "x": pa.array([(1 << 64) - 1], pa.uint64())},
            "row 0: column 'x': 18446744073709551615 does not fit int64",
        ),
    ],
)  # fmt: skip
def test_what_an_example_does_not_hold(
    tmp_path: Path, columns: dict[str, Any], problem: str
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "t")
    with pytest.raises(DataError, match=problem):
        payloads(tmp_path / "t")


def test_a_row_is_named_by_its_number(tmp_path: Path) -> None:
    """Not by a place in bytes, which a table does not have."""
    pq.write_table(pa.table({"id": ["a", "b"], "x": [1, None]}), tmp_path / "t")
    with opened_examples(str(tmp_path / "t"), PackOptions()) as source:
        (batch,) = read_examples([source])
        assert batch.records.error(1, "odd").place == "row 1"


def test_records_are_left_as_they_are(tmp_path: Path) -> None:
    write_examples(str(tmp_path / "t.parquet"), [{"id": "a"}])
    with opened_examples(str(tmp_path / "t.parquet"), PackOptions()) as source:
        assert source.spool is None
