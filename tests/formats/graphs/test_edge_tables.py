"""Graphs in Parquet and Arrow."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from nsl_tools.errors import DataError
from nsl_tools.formats.graphs.edge_tables import read_edge_table
from nsl_tools.formats.graphs.node_names import NodeNames
from nsl_tools.statistics import Statistics

Edges = list[tuple[bytes, bytes, float]]


def read(path: Path, statistics: Statistics | None = None, names: NodeNames = NodeNames()) -> Edges:  # noqa: B008 - immutable
    batches = read_edge_table(str(path), statistics or Statistics(), names)
    return [tuple(row.values()) for batch in batches for row in batch.to_pylist()]


def write(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return path


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.binary(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]
)
@pytest.mark.parametrize("weight", [pa.float32(), pa.float64(), pa.float16(), pa.int8()])
def test_ids_and_weights_of_any_type(
    tmp_path: Path, kind: pa.DataType, weight: pa.DataType
) -> None:
    """In any order of the columns, beside others."""
    table = pa.table({
        "rank": [0, 1, 0],
        "weight": pa.array(np.array([1, 2, 0], np.float16)).cast(weight),
        "target": pa.array(["b", "c", "a"]).cast(kind),
        "source": pa.array(["a", "a", "b"]).cast(kind),
    })  # fmt: skip
    expected = [(b"a", b"b", 1.0), (b"a", b"c", 2.0), (b"b", b"a", 0.0)]
    pq.write_table(table, tmp_path / "g")
    assert read(tmp_path / "g") == expected
    pyarrow.feather.write_feather(table, str(tmp_path / "g"))
    assert read(tmp_path / "g") == expected


def test_a_graph_without_weights(tmp_path: Path) -> None:
    statistics = Statistics()
    path = write(tmp_path / "g", source=["a", "b", "c"], target=["b", "c", "a"])
    assert [weight for *_, weight in read(path, statistics)] == [1.0, 1.0, 1.0]
    assert statistics.counts["edges without weight (taken as 1.0)"] == 3


@pytest.mark.parametrize("kind", [pa.int64(), pa.uint32()])
def test_numbers_of_nodes(tmp_path: Path, kind: pa.DataType) -> None:
    ends = {"source": pa.array([0, 1], kind), "target": pa.array([1, 0], kind)}
    path = write(tmp_path / "g", **ends)
    assert read(path) == [(b"0", b"1", 1.0), (b"1", b"0", 1.0)]
    names = NodeNames(pa.array([b"x", b"y"], pa.binary()), "ids")
    assert read(path, names=names) == [(b"x", b"y", 1.0), (b"y", b"x", 1.0)]
    with pytest.raises(DataError, match="g: the number of a node is 1, expected one below 1"):
        read(path, names=NodeNames(pa.array([b"x"], pa.binary()), "ids"))


def test_a_row_that_is_no_edge(tmp_path: Path) -> None:
    path = write(
        tmp_path / "g", source=["a", "b", None], target=["b", "", "a"], weight=[1, 2, None]
    )
    with pytest.raises(DataError, match="g: row 1: target: the id is empty"):
        read(path)
    statistics = Statistics(max_errors=2)
    assert read(path, statistics) == [(b"a", b"b", 1.0)]
    assert [err.number for _, err in statistics.skipped] == [1, 2]


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"source": ["a"]}, "no column 'target', expected one; it has source"),
        ({"source": [1.5], "target": ["b"]}, "column 'source' is of type double, expected strings"),
        (
            {"source": ["a"], "target": ["b"], "weight": ["1"]},
            "'weight' is of type string, expected",
        ),
    ],
)
def test_columns_that_are_not_those_of_a_graph(
    tmp_path: Path, columns: dict[str, Any], problem: str
) -> None:
    with pytest.raises(DataError, match=problem):
        read(write(tmp_path / "g", **columns))


def test_a_graph_without_edges(tmp_path: Path) -> None:
    statistics = Statistics()
    kind = pa.array([], pa.string())
    assert read(write(tmp_path / "g", source=kind, target=kind), statistics) == []
    assert statistics.counts["empty files"] == 1


@pytest.mark.parametrize("ids", [None, ["x", "y"]])
def test_a_number_that_is_missing_is_that_of_one_row(tmp_path: Path, ids: list[str]) -> None:
    """The others are numbers of nodes, as if it were not there."""
    path = write(tmp_path / "g", source=[0, None, 1, 0], target=[1, 1, 0, None])
    statistics = Statistics(max_errors=2)
    names = NodeNames(pa.array(ids, pa.binary()), "ids") if ids else NodeNames()
    found = [(s.decode(), t.decode()) for s, t, _ in read(path, statistics, names)]
    first, second = ids or ["0", "1"]
    assert found == [(first, second), (second, first)]
    assert [err.number for _, err in statistics.skipped] == [1, 3]


def test_the_largest_numbers(tmp_path: Path) -> None:
    ends = {name: pa.array([(1 << 64) - 1, 1], pa.uint64()) for name in ("source", "target")}
    path = write(tmp_path / "g", **ends, weight=pa.array([(1 << 60) + 1, 2]))
    assert read(path)[0] == (b"18446744073709551615", b"18446744073709551615", 2.0**60)
    with pytest.raises(DataError, match="is 18446744073709551615, expected one below 1, the ids"):
        read(path, names=NodeNames(pa.array([b"x"]), "ids"))
