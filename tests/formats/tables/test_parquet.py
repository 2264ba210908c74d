"""Parquet files: every row that can be used is, as it was written, and every other one is named."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import right_rows
from support import NEEDS_NEW_PYARROW

from nsl_tools.arrays.ids import IdColumn
from nsl_tools.build_graph.read import read_embeddings
from nsl_tools.errors import DataError
from nsl_tools.formats import table_rows
from nsl_tools.formats.skipped_records import SkippedRecords
from nsl_tools.formats.tables.embeddings import TableEmbeddings
from nsl_tools.memory_budget import MemoryBudget
from nsl_tools.options import BuildGraphOptions
from nsl_tools.spill.matrix import MatrixStore
from nsl_tools.statistics import Statistics
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from pathlib import Path

    from nsl_tools.build_graph.embeddings import Embeddings

Row = tuple[Any, Any]

_COLUMNS = [
    pa.list_(pa.float32()), pa.list_(pa.float64()), pa.list_(pa.float16()),
    pa.large_list(pa.float32()), pa.list_(pa.int16()), pa.list_(pa.uint64()),
]  # fmt: skip
_IDS = [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string())]


def read(
    path: Path, statistics: Statistics | None = None, limit: int | None = None, **changed: str
) -> Embeddings:
    options = BuildGraphOptions(memory_limit=limit, **changed)  # type: ignore[arg-type]
    skipped = SkippedRecords(statistics or Statistics(), "first")
    with MatrixStore(1 << 20) as store:
        ids = IdColumn(str(path), MemoryBudget(1 << 30))
        return read_embeddings(TableEmbeddings([str(path)], options), skipped, store, ids)


def write(path: Path, *columns: tuple[str, Any, pa.DataType | None], **how: Any) -> Path:
    names, values = [name for name, _, _ in columns], [pa.array(v, kind) for _, v, kind in columns]
    pq.write_table(pa.Table.from_arrays(values, names), path, **how)
    return path


def _numbers(kind: pa.DataType) -> st.SearchStrategy[Any]:
    if pa.types.is_integer(kind):
        return st.integers(0, 30_000)
    plain = st.floats(width=16)
    if kind == pa.float16():  # older versions of pyarrow take nothing else
        return plain.map(np.float16)
    return plain | st.just(1e300) if kind == pa.float64() else plain


@st.composite
def _tables(draw: st.DrawFn) -> tuple[pa.DataType, pa.DataType, list[Row]]:
    kind = draw(st.sampled_from(_COLUMNS))
    number = _numbers(kind.value_type)
    width = draw(st.integers(1, 3))
    alike = st.lists(number, min_size=width, max_size=width)
    odd = st.none() | st.lists(number | st.none(), max_size=4)
    vectors = draw(st.lists(alike, max_size=9) | st.lists(alike | odd, max_size=20))
    bad = st.none() | st.sampled_from(["", "a\tb"])
    ids = [draw(bad) if draw(st.integers(0, 9)) == 0 else f"n{i}" for i in range(len(vectors))]
    return kind, draw(st.sampled_from(_IDS)), list(zip(ids, vectors, strict=True))


@given(
    table=_tables(),
    group=st.integers(1, 9),
    block=st.integers(1, 200),
    how=st.fixed_dictionaries({
        "use_dictionary": st.booleans(),
        "compression": st.sampled_from(["none", "snappy", "zstd"]),
        "data_page_version": st.sampled_from(["1.0", "2.0"]),
        "write_page_checksum": st.booleans(),
        "store_schema": st.booleans(),
    }),
)  # fmt: skip
def test_rows_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory,
    table: tuple[pa.DataType, pa.DataType, list[Row]],
    group: int,
    block: int,
    how: dict[str, Any],
) -> None:
    """Whatever the types, groups, encodings and blocks; the others are skipped, each by number."""
    kind, id_kind, rows = table
    columns = (
        ("id", [row[0] for row in rows], id_kind),
        ("embedding", [row[1] for row in rows], kind),
    )
    path = write(tmp_path_factory.mktemp("parquet") / "e", *columns, row_group_size=group, **how)
    statistics = Statistics(max_errors=len(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TUNING, "table_bytes", block)
        found = read(path, statistics)
    vectors = np.asarray(found.vectors).tolist()
    right = right_rows(
        [(node if node is None else node.encode(), numbers) for node, numbers in rows]
    )
    assert list(zip(found.ids.to_pylist(), vectors, strict=True)) == right
    names = [str(node).encode() for node, _ in rows]
    left_out = [number for number, name in enumerate(names) if name not in dict(right)]
    assert [err.number for _, err in statistics.skipped] == left_out


@pytest.mark.parametrize(
    ("ids", "vectors", "problem"),
    [
        (["a", None], [[1.0], [2.0]], "row 1: the id is missing"),
        (["a", ""], [[1.0], [2.0]], "row 1: the id is empty"),
        (["a", "b"], [[1.0], None], "row 1: the embedding is missing, expected a list"),
        (["a", "b"], [[1.0], []], "row 1: dimension 0, expected 1"),
        (["a", "b"], [[], [1.0]], "row 0: dimension 0, expected 1"),
        (["a", "b"], [[1.0], [None]], "row 1: a value is missing at position 0"),
        (["a", "b"], [[1.0, 2], [1.0, math.nan]], "row 1: .*finite, nan at position 1"),
        (["a", "b"], [[1.0], [2.0, 3.0]], "row 1: dimension 2, expected 1"),
        (
            ["a", "b"],
            [[1], [(1 << 24) + 1]],
            "row 1: a value is about 16777216, not exact in float",
        ),
    ],
)
def test_a_row_that_is_wrong_is_named_or_skipped(
    tmp_path: Path, ids: list[str], vectors: list[Any], problem: str
) -> None:
    path = write(tmp_path / "e.parquet", ("id", ids, None), ("embedding", vectors, None))
    with pytest.raises(DataError, match=problem):
        read(path)
    statistics = Statistics(max_errors=1)
    assert len(read(path, statistics).ids) == 1
    reason = "id" if "the id" in problem else "embedding"
    assert statistics.warnings == {f"skipped: {reason} not usable": 1}


@NEEDS_NEW_PYARROW
def test_lists_of_fixed_size_may_lack_values(tmp_path: Path) -> None:
    """And whole lists: those read as lists of nulls in some versions."""
    kind = pa.list_(pa.float32(), 2)
    vectors = [[1.0, 2.0], None, [3.0, None], [5.0, 6.0]]
    path = write(tmp_path / "e", ("id", list("abcd"), None), ("embedding", vectors, kind))
    statistics = Statistics(max_errors=2)
    found = read(path, statistics)
    assert found.ids.to_pylist() == [b"a", b"d"]
    assert np.asarray(found.vectors).tolist() == [[1.0, 2.0], [5.0, 6.0]]
    assert [err.number for _, err in statistics.skipped] == [1, 2]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.list_(pa.bool_()), [[True]]),
        (pa.list_(pa.string()), [["1.0"]]),
        (pa.list_(pa.decimal128(5, 2)), [[1]]),
        (pa.list_(pa.list_(pa.float32())), [[[1.0]]]),
        (pa.float32(), [1.0]),
        (pa.struct([("x", pa.float32())]), [{"x": 1.0}]),
        (pa.map_(pa.string(), pa.float32()), [[("x", 1.0)]]),
    ],
)
def test_embeddings_are_lists_of_numbers(
    tmp_path: Path, kind: pa.DataType, values: list[Any]
) -> None:
    path = write(tmp_path / "e", ("id", ["a"], None), ("embedding", values, kind))
    with pytest.raises(DataError, match=r"'embedding' is of type .*, expected lists of numbers"):
        read(path)


def test_ids_are_texts_or_whole_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "e", ("id", [7.5], None), ("embedding", [[1.0]], None))
    with pytest.raises(DataError, match="'id' is of type 'double', expected strings, bytes or wh"):
        read(path)


def test_a_column_is_not_the_field_of_another_one(tmp_path: Path) -> None:
    """Whose path in the file is the same: `x.y`."""
    field = pa.array([{"y": [9.0]}], pa.struct([("y", pa.list_(pa.float32()))]))
    columns = {"x": field, "id": ["a"], "x.y": pa.array([[1.0]], pa.list_(pa.float32()))}
    pq.write_table(pa.table(columns), tmp_path / "both")
    pq.write_table(pa.table({"x": field, "id": ["a"]}), tmp_path / "field")
    found = read(tmp_path / "both", embedding_feature="x.y")
    assert np.asarray(found.vectors).tolist() == [[1.0]]
    with pytest.raises(DataError, match=r"no column 'x\.y', expected one; it has x, id"):
        read(tmp_path / "field", embedding_feature="x.y")


def test_a_name_that_two_columns_have_is_refused(tmp_path: Path) -> None:
    columns = ("id", ["a"], None), ("embedding", [[1.0]], None), ("id", ["b"], None)
    with pytest.raises(DataError, match="2 columns 'id', expected one"):
        read(write(tmp_path / "e", *columns))


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = write(
        tmp_path / "e", ("id", ["a"], None), ("embedding", [[1.0]], None), ("zzz", [1], None)
    )
    path.write_bytes(path.read_bytes().replace(b"zzz", b"\xff\xff\xff"))
    with pytest.raises(DataError, match="the name of a column is not UTF-8"):
        read(path)


def test_page_checksums_are_verified(tmp_path: Path) -> None:
    """Where they are written: one bit of the numbers is enough."""
    columns = ("id", ["a"], None), ("embedding", [[1.5, 2.5]], pa.list_(pa.float32()))
    how = {"use_dictionary": False, "compression": "none", "write_page_checksum": True}
    path = write(tmp_path / "e", *columns, **how)
    data = bytearray(path.read_bytes())
    data[data.index(np.float32([1.5, 2.5]).tobytes())] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="CRC checksum verification failed"):
        read(path)


def test_a_file_that_is_replaced_meanwhile_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = ("id", list("abcd"), None), ("embedding", [[1.0]] * 4, None)
    path = write(tmp_path / "e", *columns, row_group_size=1)
    new = write(tmp_path / "new", *columns)
    usable = table_rows.usable

    def use_and_replace(*given: Any) -> Any:
        if new.exists():
            new.rename(path)
        return usable(*given)

    monkeypatch.setattr(table_rows, "usable", use_and_replace)
    with pytest.raises(DataError, match="e: changed while it was read"):
        read(path)
