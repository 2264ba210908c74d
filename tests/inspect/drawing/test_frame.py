"""The frame of a plot: where shares lie, and what is written around it."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from inspections import drawn_outside, pictures, texts, texts_of

from nsl_tools.inspect.drawing.axes import Axis, fitting, linear
from nsl_tools.inspect.drawing.frame import (
    Frame,
    above,
    beneath,
    frame_for,
    grid,
    picture,
    titled,
    words,
)
from nsl_tools.inspect.drawing.series import drawable


def test_shares_lie_to_the_right_and_upwards() -> None:
    frame = Frame(left=10, top=5, right=110, bottom=205)
    assert (frame.x(0), frame.x(0.5), frame.x(1)) == (10, 60, 110)
    assert (frame.y(0), frame.y(0.5), frame.y(1)) == (205, 105, 5)


values_of_y = st.lists(st.floats(-1e9, 1e9).map(drawable), min_size=1, max_size=5)


@given(values_of_y, texts, texts, st.floats(0, 1))
def test_all_around_a_plot_is_in_its_picture(
    values: list[float], title: str, label: str, share: float
) -> None:
    axis = linear(values, "number", 5)
    frame = frame_for(axis)
    labels = [(frame.x(share), label)]
    found = picture(title, 250, grid(frame, axis, title), beneath(frame, labels, title))
    assert drawn_outside(pictures(found)[0]) == []
    written = texts_of(pictures(found)[0])
    assert [text for text in written if text in map(axis.label, axis.ticks)]


def test_a_grid_has_a_line_at_each_tick() -> None:
    axis = linear([0, 4], "count", 5)
    frame = Frame(40, 0, 100, 80)
    found = grid(frame, axis, "Nodes")
    assert re.findall(r'd="(.*?)"', found) == [f"M40.0 {80 - 20 * at:.1f}H100.0" for at in range(5)]
    assert re.findall(r">(\w+)</text>", found) == ["Nodes", "0", "1", "2", "3", "4"]


def test_a_title_says_where_steps_are_factors() -> None:
    log = fitting([1, 10_000], "count", 5)
    even = linear([1, 2], "count", 5)
    assert (titled("Nodes", log), titled("Nodes", even)) == ("Nodes, log scale", "Nodes")
    assert titled("", log) == "log scale"
    assert above("", even) == ""
    assert ">log scale</text>" in above("", log)


def test_a_short_text_tells_all_where_a_mouse_rests() -> None:
    assert words("abc", 1, 2, 100, "tick") == '<text x="1" y="2" class="tick">abc</text>'
    (found,) = pictures(f"<svg>{words('node_00000001', 1, 2, 80, 'end')}</svg>")
    assert (found[0].text, found[0][0].text) == ("node_…0001", "node_00000001")


def test_room_is_left_for_what_is_beside() -> None:
    wide = Axis(0, 1, [0, 123456], "number")
    assert frame_for(wide).left > frame_for(Axis(0, 1, [0, 1], "number")).left
