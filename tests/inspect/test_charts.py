"""Tables become the pictures that they ask for, whatever is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from inspections import drawn_outside, pictures, table, tables, texts_of
from support import drawn

from nsl_tools.inspect.charts import chart
from nsl_tools.inspect.drawing.series import drawable

if TYPE_CHECKING:
    from nsl_tools.inspect.findings import Table


@pytest.mark.parametrize("picture", ["lines", "bars", "edges"])
def test_a_picture_is_within_its_bounds_whatever_is_drawn(picture: str) -> None:
    @given(tables(picture))
    @settings(max_examples=drawn(300))
    def check(drawn_table: Table) -> None:
        for each in pictures(chart(drawn_table)):
            assert drawn_outside(each) == []

    check()


@given(tables())
def test_no_picture_is_asked_for(drawn_table: Table) -> None:
    assert chart(drawn_table) == ""


@given(tables("bars"))
def test_a_number_is_enough_for_a_picture(drawn_table: Table) -> None:
    cells = [cell for name in drawn_table.y for cell in drawn_table.column(name)]
    assert bool(chart(drawn_table)) == any(drawable(cell) is not None for cell in cells)


def test_each_picture_is_of_its_kind() -> None:
    rows = [(1, 2), (3, 4)]
    marks = {
        name: {each.tag for each in pictures(chart(table(rows, picture=name)))[-1].iter()}
        for name in ("lines", "bars", "edges")
    }
    assert "circle" in marks["edges"]
    assert "rect" in marks["bars"]
    assert not {"rect", "circle"} & marks["lines"]


def test_ids_in_a_picture_are_texts() -> None:
    nasty = "</text><script>"
    found = chart(table([(nasty, "b", 1)], form="text", picture="edges"))
    assert texts_of(pictures(found)[0]) == ["1", nasty, "b"]
