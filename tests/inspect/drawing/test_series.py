"""Series: what is drawn of a table, under which name, and how it is told from the others."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from inspections import pictures, table, tables

from nsl_tools.inspect.drawing.series import (
    Series,
    colour,
    column_of,
    drawable,
    form_of,
    legend,
    mark,
    series_of,
)
from nsl_tools.inspect.findings import Cell, Column, Table


@pytest.mark.parametrize("cell", [None, "1", math.nan, math.inf, -math.inf, 10**400, 1e301])
def test_what_is_no_number_is_not_drawn(cell: Cell) -> None:
    assert drawable(cell) is None


@pytest.mark.parametrize(("cell", "value"), [(0, 0), (-2.5, -2.5), (10**200, 10**200), (5e-324, 0)])
def test_numbers_are_drawn_as_they_are(cell: Cell, value: float) -> None:
    assert drawable(cell) == value


def test_each_column_is_a_series() -> None:
    drawn = table([(1, 2, None), ("b", "-", 4)])
    assert series_of(drawn) == [Series("Y", [(1, 2)]), Series("Z", [("b", 4)])]
    assert form_of(drawn) == "count"
    assert column_of(drawn, "z") == Column("z", "Z")


def test_a_column_parts_the_rows_into_series() -> None:
    rows = [(1, 10, 5), (2, 20, 5), (1, 30, 1000)]
    assert series_of(table(rows, y=["y"], by="z")) == [
        Series("Z 5", [(1, 10), (2, 20)]),
        Series("Z 1,000", [(1, 30)]),
    ]
    names = [each.name for each in series_of(table(rows, y=["y", "z"], by="z"))]
    assert names == ["Y, Z 5", "Y, Z 1,000", "Z, Z 5", "Z, Z 1,000"]


@given(tables("lines"))
def test_every_number_is_in_one_series(drawn: Table) -> None:
    found = [y for each in series_of(drawn) for _, y in each.points]
    cells = [drawable(cell) for name in drawn.y for cell in drawn.column(name)]
    assert sorted(found) == sorted(cell for cell in cells if cell is not None)


def test_thirty_series_are_told_apart() -> None:
    """By what is no colour, too, five of them: by marks."""
    looks = [(colour(number), mark(number, 0, 0).split('class="')[0]) for number in range(30)]
    assert len(set(looks)) == 30
    assert len({form for _, form in looks[:5]}) == 5


def test_a_mark_is_where_it_should_be_and_tells() -> None:
    assert mark(0, 1.25, 7, "<x>").startswith('<path d="M1.2 7.0m')
    assert "<title>&lt;x&gt;</title>" in mark(0, 1, 2, "<x>")


@pytest.mark.parametrize("of_bars", [False, True])
def test_a_legend_shows_what_series_look_like(of_bars: bool) -> None:
    some = [Series("one", []), Series("<two>", [])]
    assert legend(some[:1], of_bars=of_bars) == ""
    found = legend(some, of_bars=of_bars)
    keys = pictures(found)
    assert [keys[at][0].get("class") for at in range(2)] == [
        f"{'bar' if of_bars else 'line'} s{at}" for at in (1, 2)
    ]
    assert "&lt;two&gt;</li>" in found
