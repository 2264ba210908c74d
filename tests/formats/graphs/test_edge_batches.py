"""Rows of tables and matrices that are edges, and all others."""

import math

import numpy as np
import pyarrow as pa
import pytest

from nsl_tools.errors import DataError
from nsl_tools.formats.graphs.edge_batches import EDGE_SCHEMA, EdgeRows, weights_of
from nsl_tools.statistics import Statistics

ROWS = [
    ("a", "b", 0.5), (None, "b", 1.0), ("a", "", 1.0), ("a", "x\ty", 1.0), ("a", "b", math.nan),
    ("a", "b", -math.inf), ("a", "b", 1e39), ("b", "a", -2.0),
]  # fmt: skip
PROBLEMS = {
    1: "row 8: source: the id is missing",
    2: "row 9: target: the id is empty",
    3: "row 10: target: the id 'x.*ty' holds a tab",
    4: "row 11: weight: expected a number that fits float32, found nan",
    5: "row 12: weight: expected a number that fits float32, found -inf",
    6: r"row 13: weight: expected a number that fits float32, found 1e\+39",
}


def rows_of(rows: list[tuple[str | None, str | None, float]]) -> EdgeRows:
    sources, targets, weights = zip(*rows, strict=True)
    ends = [pa.array([n and n.encode() for n in ids], pa.binary()) for ids in (sources, targets)]
    return EdgeRows("f", 7, *ends, np.array(weights))  # type: ignore[call-arg]


def test_all_rows_are_edges() -> None:
    batch = rows_of([ROWS[0], ROWS[7]]).usable(Statistics())
    assert batch.schema == EDGE_SCHEMA
    assert batch["source"].to_pylist() == [b"a", b"b"]
    assert weights_of(batch).tolist() == [0.5, -2.0]


def test_rows_that_are_none_are_skipped_and_named() -> None:
    statistics = Statistics(max_errors=6)
    batch = rows_of(ROWS).usable(statistics)
    assert batch["target"].to_pylist() == [b"b", b"a"]
    assert weights_of(batch).tolist() == [0.5, -2.0]
    assert [err.number for _, err in statistics.skipped] == [8, 9, 10, 11, 12, 13]
    assert statistics.warnings == {"skipped: row not an edge": 6}


@pytest.mark.parametrize("row", PROBLEMS)
def test_the_first_is_an_error(row: int) -> None:
    rows = [*ROWS[:1] * row, ROWS[row]]
    with pytest.raises(DataError, match=f"f: {PROBLEMS[row]}"):
        rows_of(rows).usable(Statistics())


def test_weights_of_a_slice() -> None:
    batch = rows_of([ROWS[0], ROWS[7]]).usable(Statistics())
    assert weights_of(batch.slice(1)).tolist() == [-2.0]
