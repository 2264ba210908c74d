"""Values of categories or of ranges, as bars."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from nsl_tools.inspect.drawing.axes import Axis, fitting, linear, round_up
from nsl_tools.inspect.drawing.frame import above, beneath, frame_for, grid, picture, words
from nsl_tools.inspect.drawing.markup import Markup, element, joined
from nsl_tools.inspect.drawing.series import (
    Series,
    colour,
    column_of,
    drawable,
    form_of,
    legend,
    series_of,
)
from nsl_tools.inspect.drawing.texts import width
from nsl_tools.inspect.findings import shown

if TYPE_CHECKING:
    from nsl_tools.inspect.findings import Cell, Table

Groups = list[tuple["Cell", list[float | None]]]
"""What stands at each x: a value of each series, None where it has none."""


def bars(table: Table) -> Markup:
    """Return `y` for each `x` as bars: upright over numbers, lying beside names.

    Nothing where no row has a number.
    """
    series = series_of(table)
    values = [y for each in series for _, y in each.points]
    if not values:
        return Markup()
    groups = _groups(table, series)
    upright = all(drawable(x) is not None for x, _ in groups)
    title = f"{table.title}: bars of {', '.join(each.name for each in series)}"
    draw = _upright if upright else _lying
    y = fitting(values, form_of(table), 5, from_zero=True)
    return joined(legend(series, of_bars=True), draw(table, series, groups, y, title))


def _groups(table: Table, series: list[Series]) -> Groups:
    if not table.by:
        ys = [table.column(y) for y in table.y]
        cells = [list(map(drawable, row)) for row in zip(*ys, strict=True)]
        return list(zip(table.column(table.x), cells, strict=True))
    by_x = [dict(each.points) for each in series]
    return [(x, [each.get(x) for each in by_x]) for x in dict.fromkeys(table.column(table.x))]


def _upright(table: Table, series: list[Series], groups: Groups, y: Axis, title: str) -> Markup:
    frame = frame_for(y)
    band = (frame.right - frame.left) / len(groups)
    # A fifth of the room stays free between groups; where they are few, they stay narrow.
    gap = max(min(band / 5, 12), band - 72)
    thick = (band - gap) / len(series)
    base = frame.y(y.share(0))
    drawn = []
    for at, (x, values) in enumerate(groups):
        left = frame.left + at * band + gap / 2
        for number, value in enumerate(values):
            if value is not None:
                end = frame.y(y.share(value))
                place = (left + number * thick, min(base, end), thick, abs(end - base))
                drawn.append(_bar(number, place, _told(table, series[number], x, value)))
    across = column_of(table, table.x)
    xs = [drawable(x) or 0 for x, _ in groups]
    labels = list(map(linear(xs, across.form, 5).label, xs))
    # Every label, or every second, fifth... so that none touches the next.
    every = math.ceil(round_up(max((max(map(width, labels)) + 10) / band, 1)))
    places = [(frame.left + (at + 0.5) * band, labels[at]) for at in range(0, len(groups), every)]
    name = series[0].name if len(series) == 1 else ""
    return picture(title, 250, grid(frame, y, name), *drawn, beneath(frame, places, across.text))


def _lying(table: Table, series: list[Series], groups: Groups, y: Axis, title: str) -> Markup:
    most = 40  # more names nobody reads in a picture; they are in the table below
    left_out = len(groups) - most
    groups = groups[:most]
    form = column_of(table, table.x).form
    names = [shown(x, form) for x, _ in groups]
    numbers = [shown(value, y.form) for _, row in groups for value in row]
    left, right = min(max(map(width, names)), 150) + 10, 392 - min(max(map(width, numbers)), 120)
    base = left + y.share(0) * (right - left)
    drawn = [above(series[0].name if len(series) == 1 else "", y)]
    # A bar is as high as the number at its end, and a group half of that apart from the next.
    top, thick = 24.0, 16.0
    for name, (x, values) in zip(names, groups, strict=True):
        drawn.append(words(name, left - 8, top + thick * len(values) / 2 + 4, left - 10, "end"))
        for number, value in enumerate(values):
            if value is not None:
                end = left + y.share(value) * (right - left)
                place = (min(base, end), top + 1, abs(end - base), thick - 2)
                drawn.append(_bar(number, place, _told(table, series[number], x, value)))
                beside = max(base, end) + 5
                drawn.append(words(shown(value, y.form), beside, top + 12, 120, "tick"))
            top += thick
        top += thick / 2
    if left_out > 0:
        drawn.append(words(f"and {left_out:,} more", left, top + 8, 300, "title"))
    return picture(title, top + 14, *drawn)


def _bar(number: int, place: tuple[float, float, float, float], told: str) -> Markup:
    x, y, across, height = place
    shape = {"x": x, "y": y, "width": across, "height": height}
    return element("rect", element("title", told), class_=f"bar {colour(number)}", **shape)


def _told(table: Table, series: Series, x: Cell, value: float) -> str:
    """Return what a mouse that rests on a bar is told."""
    at = shown(x, column_of(table, table.x).form)
    return f"{series.name}: {at}, {shown(value, form_of(table))}"
