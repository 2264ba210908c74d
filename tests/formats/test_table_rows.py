"""Rows of a table that can be used: against a list of them, and what is said of the others."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import TableRow, right_rows

from nsl_tools.errors import DataError
from nsl_tools.formats.table_rows import IdPlace, Rows, usable
from nsl_tools.statistics import Statistics

_LARGE = (1 << 24) + 1
"""A whole number that float32 does not hold."""
_NUMBERS = st.sampled_from([0.0, 1.5, -2.0, 3.0e38]) | st.floats(width=32)
_LISTS = st.lists(_NUMBERS | st.sampled_from([None, _LARGE]), max_size=4)
_NODES = st.sampled_from([None, b"", b"a\tb", b"\xff", *(b"%d" % i for i in range(20))])
_TABLES = st.one_of(
    st.lists(st.tuples(_NODES, st.none() | _LISTS), min_size=1, max_size=8),
    # Most of them are as they should be.
    st.lists(
        st.tuples(
            st.integers(3, 99).map(b"%d".__mod__), st.lists(_NUMBERS, min_size=2, max_size=2)
        ),
        min_size=1,
        max_size=8,
    ),
).map(lambda rows: list({node: (node, numbers) for node, numbers in rows}.values()))


def rows_of(table: list[TableRow], first: int = 0, ids_source: str | None = None) -> Rows:
    """Return rows as a reader would: what is lost is zero, or about what it was."""
    ids = pa.array([b"before", *(node for node, _ in table)], pa.binary()).slice(1)
    lengths = [-1 if numbers is None else len(numbers) for _, numbers in table]
    values = [number for _, numbers in table for number in numbers or []]
    lost = [place for place, number in enumerate(values) if number in (None, _LARGE)]
    return Rows(
        "file", first, ids, np.array(lengths, np.int64),
        np.array([number or 0 for number in values], np.float32), np.array(lost, np.int64),
        IdPlace(ids_source, "line", 5) if ids_source else None,
    )  # fmt: skip


@given(table=_TABLES, first=st.integers(0, 3))
def test_rows_are_used_that_have_an_id_and_numbers(table: list[TableRow], first: int) -> None:
    """As many numbers as the first of them; the others are skipped, each counted."""
    right = right_rows(table)
    statistics = Statistics(max_errors=99)
    found = usable(rows_of(table, first), 0, statistics)
    ids = found.ids.to_pylist()
    assert list(zip(ids, found.vectors.tolist(), strict=True)) == right
    places = [place for place, (node, _) in enumerate(table) if node in ids]
    assert list(found.numbers) == [first + place for place in places]
    skipped = [err.number for _, err in statistics.skipped]
    assert sorted([*skipped, *found.numbers]) == list(range(first, first + len(table)))
    assert skipped == sorted(skipped)
    if skipped:
        with pytest.raises(DataError) as raised:
            usable(rows_of(table, first), 0, Statistics(len(skipped) - 1))
        assert raised.value.number == skipped[-1]


@given(table=_TABLES, width=st.integers(1, 3))
def test_rows_of_another_width_than_earlier_ones_are_not_used(
    table: list[TableRow], width: int
) -> None:
    """Whatever the first of them has."""
    found = usable(rows_of(table), width, Statistics(99))
    before: TableRow = (b"before", [0.0] * width)
    expected = right_rows([before, *table])[1:]
    assert list(zip(found.ids.to_pylist(), found.vectors.tolist(), strict=True)) == expected
    assert found.vectors.shape[1] == width


@pytest.mark.parametrize(
    ("row", "reason", "problem"),
    [
        ((None, [1.0, 2.0]), "id", "the id is missing (line 6 of ids)"),
        ((b"a\nb", [math.nan]), "id", r"the id 'a\nb' holds a tab, CR, LF or NUL (line 6 of ids)"),
        ((b"b", None), "embedding", "the embedding is missing, expected a list of numbers"),
        ((b"b", []), "embedding", "dimension 0, expected 2"),
        ((b"b", [1.0]), "embedding", "dimension 1, expected 2"),
        ((b"b", [0.0, None]), "embedding", "a value is missing at position 1, expected numbers"),
        (
            (b"b", [1.0, math.inf, math.nan]),
            "embedding",
            "a value is not finite, inf at position 1, expected numbers",
        ),
        (
            (b"b", [_LARGE, None]),
            "embedding",
            "a value is about 16777216, not exact in float32, at position 0, expected numbers",
        ),
    ],
)
def test_what_is_wrong_with_a_row_is_said(row: TableRow, reason: str, problem: str) -> None:
    """With its number, from the first row of the file on, and the line of its id."""
    statistics = Statistics(1)
    table: list[TableRow] = [(b"a", [1.0, 2.0]), row, (b"c", [3.0, 4.0])]
    found = usable(rows_of(table, 10, "ids"), 0, statistics)
    assert list(found.numbers) == [10, 12]
    ((said, err),) = statistics.skipped
    assert said == f"{reason} not usable"
    assert (str(err), err.number) == (f"file: row 11: {problem}", 11)


def test_of_no_row_that_can_be_used_no_width_is_known() -> None:
    statistics = Statistics(2)
    found = usable(rows_of([(b"a", []), (None, [1.0])]), 0, statistics)
    assert (len(found.ids), len(found.vectors)) == (0, 0)
    said = [str(err) for _, err in statistics.skipped]
    assert said == [
        "file: row 0: dimension 0, expected at least 1", "file: row 1: the id is missing",
    ]  # fmt: skip
