"""Lines go through all points, from left to right, up for more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from inspections import pictures, places_of, table, texts_of

from nsl_tools.inspect.drawing.lines import lines

points = st.lists(
    st.tuples(st.integers(-50, 50), st.integers(-50, 50)),
    min_size=1,
    max_size=40,
    unique_by=lambda point: point[0],
)


@given(points)
def test_lines_keep_the_order_of_values(drawn: list[tuple[int, int]]) -> None:
    (picture,) = pictures(lines(table(drawn, picture="lines")))
    (line,) = [each for each in picture.iter("path") if each.get("class") == "line s1"]
    places = places_of(line)
    values = sorted(drawn)
    assert len(places) == len(values)
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    for (_, one), (_, other), (_, a), (_, b) in zip(
        places, places[1:], values, values[1:], strict=False
    ):
        assert (one > other) == (a < b)
        assert (one == other) == (a == b)


@given(points)
def test_marks_are_few_and_tell_their_values(drawn: list[tuple[int, int]]) -> None:
    (picture,) = pictures(lines(table(drawn, picture="lines")))
    told = [each[0].text for each in picture.iter("path") if each.get("class") == "mark s1"]
    assert 1 <= len(told) <= 24
    assert {*told} <= {f"Y: {x}, {y}" for x, y in drawn}
    if len(drawn) < 24:
        assert len(told) == len(drawn)


def test_axes_have_titles_and_lines_a_legend() -> None:
    rows = [(1, 0.5, 0.1), (20, 0.25, None)]
    found = lines(table(rows, "share", picture="lines"))
    assert "Y</li>" in found
    (*_, picture) = pictures(found)
    assert picture[0].text == "T: lines of Y, Z"
    assert texts_of(picture)[:6] == ["0 %", "10 %", "20 %", "30 %", "40 %", "50 %"]
    assert texts_of(picture)[-1] == "X"
    one = lines(table([(1, 2)], picture="lines"))
    assert "<ul" not in one
    assert texts_of(pictures(one)[0])[0] == "Y"


def test_similarities_need_not_start_at_zero() -> None:
    rows = [(1, 0.8), (2, 0.9)]
    texts = {form: texts_of(pictures(lines(table(rows, form)))[0]) for form in ("number", "share")}
    assert "0" not in texts["number"]
    assert "0 %" in texts["share"]


def test_what_spans_more_than_a_thousand_is_drawn_by_factors() -> None:
    (picture,) = pictures(lines(table([(10**at, 10 ** (6 - at)) for at in range(7)])))
    assert {"Y, log scale", "X, log scale", "1M"} <= set(texts_of(picture))


def test_nothing_to_draw_is_no_picture() -> None:
    assert lines(table([])) == lines(table([(None, 1), ("a", 2), (3, None)])) == ""
