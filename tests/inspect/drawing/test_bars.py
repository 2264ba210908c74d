"""Bars are as long as their values, from zero."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inspections import pictures, table, texts_of
from support import drawn

from nsl_tools.inspect.drawing.bars import bars

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from nsl_tools.inspect.findings import Table

values = st.lists(st.integers(-200, 200), min_size=1, max_size=30)


def lengths(drawn: Table, side: str) -> list[float]:
    """Return the lengths of the bars, in their order."""
    return [float(each.get(side, 0)) for each in rects(drawn)]


def rects(drawn: Table) -> list[Element]:
    """Return the bars."""
    return list(pictures(bars(drawn))[-1].iter("rect"))


@pytest.mark.parametrize("side", ["height", "width"])
def test_bars_are_in_proportion(side: str) -> None:
    @given(values)
    def check(drawn: list[int]) -> None:
        rows = [(at if side == "height" else f"n{at}", value) for at, value in enumerate(drawn)]
        found = lengths(table(rows), side)
        most = max(map(abs, drawn)) or 1
        unit = max(found) / most
        assert found == pytest.approx([abs(value) * unit for value in drawn], abs=0.2)

    check()


@given(values)
def test_bars_of_a_side_are_on_that_side(drawn: list[int]) -> None:
    found = rects(table(list(enumerate(drawn))))
    ends = [(float(each.get("y", 0)), float(each.get("height", 0))) for each in found]
    bases = {
        round(y + height * (value > 0)) for (y, height), value in zip(ends, drawn, strict=True)
    }
    assert max(bases) - min(bases) <= 1


@given(st.integers(1, 300))
@settings(max_examples=drawn(300))
def test_bars_and_their_labels_do_not_touch(count: int) -> None:
    some = table([(at, at) for at in range(count)])
    found = sorted(float(each.get("x", 0)) for each in rects(some))
    thick = lengths(some, "width")[0]
    assert all(b - a >= thick - 0.11 for a, b in itertools.pairwise(found))
    (picture,) = pictures(bars(some))
    under = [each for each in picture.iter("text") if each.get("class") == "tick middle"]
    for one, other in itertools.pairwise(under):
        apart = float(other.get("x", 0)) - float(one.get("x", 0))
        assert apart > 7.6 * len(other.text or "")


def test_names_stand_beside_bars_that_lie() -> None:
    (picture,) = pictures(bars(table([("cat", 3), ("dog", 1500)])))
    assert texts_of(picture) == ["Y", "cat", "3", "dog", "1,500"]
    assert picture[0].text == "T: bars of Y"
    assert [each[0].text for each in picture.iter("rect")] == ["Y: cat, 3", "Y: dog, 1,500"]


def test_many_names_are_left_out_and_that_is_said() -> None:
    (picture,) = pictures(bars(table([(f"n{at}", at) for at in range(1040)])))
    assert len(list(picture.iter("rect"))) == 40
    assert texts_of(picture)[-1] == "and 1,000 more"


def test_a_bar_of_one_is_seen_beside_one_of_a_million() -> None:
    for rows in ([(1, 1), (2, 10**6), (3, 0)], [("a", 1), ("b", 10**6), ("c", 0)]):
        one, most, none = lengths(table(rows), "height" if rows[0][0] == 1 else "width")
        assert none == 0
        assert most > one > 5
        assert "Y, log scale" in texts_of(pictures(bars(table(rows)))[0])


def test_groups_are_by_column_or_by_value() -> None:
    by_column = table([("a", 1, 2), ("b", None, 4)])
    rows = [("a", 1, "one"), ("a", 2, "two"), ("b", 4, "two")]
    by_value = table(rows, y=["y"], by="z")
    for some in (by_column, by_value):
        found = rects(some)
        assert [each.get("class") for each in found] == ["bar s1", "bar s2", "bar s2"]
        assert bars(some).startswith('<ul class="legend">')


def test_nothing_to_draw_is_no_picture() -> None:
    assert bars(table([])) == bars(table([("a", None), (3, "x")])) == ""
