"""Embeddings in tables, whatever the columns; rows that are wrong are tried in `test_parquet`."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from nsl_tools.errors import DataError
from nsl_tools.formats.skipped_records import SkippedRecords
from nsl_tools.formats.tables.embeddings import TableEmbeddings
from nsl_tools.options import BuildGraphOptions
from nsl_tools.statistics import Statistics
from nsl_tools.tuning import TUNING

MATRIX = np.random.default_rng(0).integers(0, 100, (30, 12)).astype(np.float32)
IDS = [f"n{i}" for i in range(30)]
LISTS = pa.array(MATRIX.tolist(), pa.list_(pa.float32()))
WRITERS = {"parquet": pq.write_table, "arrow": pyarrow.feather.write_feather}


def read(
    path: Path, statistics: Statistics | None = None, **options: Any
) -> tuple[list[bytes], np.ndarray]:
    reader = TableEmbeddings([str(path)], BuildGraphOptions(**options))
    reader.check_options(seeded=False)
    skipped = SkippedRecords(statistics or Statistics())
    batches = list(reader.batches(skipped, np.empty))
    ids = [node for batch in batches for node in batch.ids.to_pylist()]
    return ids, np.concatenate([batch.vectors for batch in batches])


def write(path: Path, how: str = "parquet", **columns: Any) -> Path:
    WRITERS[how](pa.table(columns), str(path))
    return path


@pytest.mark.parametrize("how", sorted(WRITERS))
@pytest.mark.parametrize("kind", [np.float32, np.float16, np.float64, np.int8])
@pytest.mark.parametrize("block", [1, 300, 1 << 20])
def test_tensors_of_fixed_shape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, kind: type, block: int
) -> None:
    """Flat, if they are of more than one dimension."""
    monkeypatch.setattr(TUNING, "table_bytes", block)
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(MATRIX.astype(kind).reshape(30, 3, 4))
    ids, vectors = read(write(tmp_path / "t", how, id=IDS, embedding=tensors))
    assert ids == [node.encode() for node in IDS]
    np.testing.assert_array_equal(vectors, MATRIX)


@pytest.mark.parametrize("how", sorted(WRITERS))
@pytest.mark.parametrize("kinds", [[np.float32], [np.int8, np.float64, np.uint16]])
@pytest.mark.parametrize("block", [1, 300, 1 << 20])
def test_a_column_for_each_dimension(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, kinds: list[type], block: int
) -> None:
    """In the order of the table: e10 comes after e9."""
    monkeypatch.setattr(TUNING, "table_bytes", block)
    columns = {f"e{i}": MATRIX[:, i].astype(kinds[i % len(kinds)]) for i in range(12)}
    path = write(tmp_path / "t", how, e_id=IDS, label=[7] * 30, **columns)
    ids, vectors = read(path, embedding_columns="e*", id_feature="e_id")
    assert ids == [node.encode() for node in IDS]
    np.testing.assert_array_equal(vectors, MATRIX)
    _, vectors = read(path, embedding_columns="e3,e1[01]", id_feature="e_id")
    np.testing.assert_array_equal(vectors, MATRIX[:, [3, 10, 11]])


def test_what_is_wrong_in_a_column_is_named(tmp_path: Path) -> None:
    first, second = [1.0, None, 3.0, 4.0], [1 << 30, 2, 3, None]
    path = write(tmp_path / "t", id=list("abcd"), x=first, y=second)
    statistics = Statistics(max_errors=3)
    ids, vectors = read(path, statistics, embedding_columns="x,y")
    assert (ids, vectors.tolist()) == ([b"c"], [[3.0, 3.0]])
    assert [(err.number, str(err).rsplit(": ", 1)[1]) for _, err in statistics.skipped] == [
        (0, "a value is about 1073741824, not exact in float32, at position 1, expected numbers"),
        (1, "a value is missing at position 0, expected numbers"),
        (3, "a value is missing at position 1, expected numbers"),
    ]


@pytest.mark.parametrize(
    ("columns", "options", "problem"),
    [
        (
            {"x": [1.0]},
            {"embedding_columns": "e*"},
            r"no column 'e\*', expected one a dimen.*has x",
        ),
        (
            {"e": ["a"]},
            {"embedding_columns": "e*"},
            "column 'e' is of type 'string', expected numb",
        ),
        ({"embedding": [1.0]}, {}, "'embedding' is of type 'double', expected lists of numbers"),
        ({"id": [[1]], "embedding": [[1]]}, {}, "expected strings, bytes or whole numbers"),
        ({"embedding": [[1]]}, {"id_feature": "key"}, "no column 'key', expected one"),
    ],
)
def test_columns_that_are_not_there(
    tmp_path: Path, columns: Any, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(DataError, match=problem):
        read(write(tmp_path / "t", **columns), **options)


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.int64(), pa.uint64(), pa.dictionary(pa.int8(), pa.int64())]
)
def test_ids_that_are_numbers(tmp_path: Path, kind: pa.DataType) -> None:
    ids, _ = read(write(tmp_path / "t", id=pa.array(range(30), kind), embedding=LISTS))
    assert ids == [b"%d" % i for i in range(30)]


def test_the_largest_number_is_an_id(tmp_path: Path) -> None:
    numbers = pa.array([(1 << 64) - 1], pa.uint64())
    assert read(write(tmp_path / "t", id=numbers, embedding=[[1.0]]))[0] == [
        b"18446744073709551615"
    ]


def test_without_ids_the_rows_have_numbers(tmp_path: Path) -> None:
    """Said with a warning, for the column may have another name."""
    statistics = Statistics()
    ids, _ = read(write(tmp_path / "t", embedding=LISTS), statistics)
    assert ids == [b"%d" % i for i in range(30)]
    assert statistics.warnings == {
        f"{tmp_path}/t: no column 'id', no --ids: ids are the rows' numbers": 1
    }


@pytest.mark.parametrize(("count", "problem"), [(29, "29 ids, expected one"), (31, "31 ids, expe")])
def test_ids_of_another_file(tmp_path: Path, count: int, problem: str) -> None:
    """They go before those of the table; there is one for each row."""
    path = write(tmp_path / "t", id=IDS, embedding=LISTS)
    np.save(tmp_path / "ids.npy", np.arange(30) + 7)
    assert read(path, ids=f"{tmp_path}/ids.npy")[0] == [b"%d" % (i + 7) for i in range(30)]
    np.save(tmp_path / "ids.npy", np.arange(count))
    with pytest.raises(DataError, match=problem):
        read(path, ids=f"{tmp_path}/ids.npy")


def test_a_row_of_another_width_is_refused_in_the_next_file_too(tmp_path: Path) -> None:
    one = write(tmp_path / "a", id=["a"], embedding=[[1.0, 2.0]])
    two = write(tmp_path / "b", "arrow", id=["b"], embedding=[[1.0]])
    reader = TableEmbeddings([str(one), str(two)], BuildGraphOptions())
    with pytest.raises(DataError, match="b: row 0: dimension 1, expected 2"):
        list(reader.batches(SkippedRecords(Statistics()), np.empty))


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        (["id", "c", "b", "a"], "b: columns c, b, a, those of .*a are a, b, c"),
        (["id", "a", "b"], "b: columns a, b, those of .*a are a, b, c"),
        (["a", "b", "c"], "b: ids in no column, those of .*a are in 'id'"),
    ],
)
def test_all_tables_have_the_same_columns(tmp_path: Path, columns: list[str], problem: str) -> None:
    """In the same order: else a number would be one of another dimension."""
    values = {"id": ["x"], "a": [1.0], "b": [2.0], "c": [3.0]}
    paths = [
        write(tmp_path / "a", **values),
        write(tmp_path / "b", **{n: values[n] for n in columns}),
    ]
    reader = TableEmbeddings(list(map(str, paths)), BuildGraphOptions(embedding_columns="[abc]"))
    with pytest.raises(DataError, match=problem):
        list(reader.batches(SkippedRecords(Statistics()), np.empty))


def test_every_pattern_names_a_column(tmp_path: Path) -> None:
    path = write(tmp_path / "t", id=[1], a=[1.0], b=[2.0])
    with pytest.raises(DataError, match="no column 'typo', expected one a dimension; it has a, b"):
        read(path, embedding_columns="a,typo")


def test_ids_are_no_dimension(tmp_path: Path) -> None:
    """Also where others are given."""
    path = write(tmp_path / "t", id=[1, 2], a=[1.0, 2.0])
    np.save(tmp_path / "ids.npy", ["x", "y"])
    ids, vectors = read(path, embedding_columns="*", ids=f"{tmp_path}/ids.npy")
    assert (ids, vectors.tolist()) == ([b"x", b"y"], [[1.0], [2.0]])
