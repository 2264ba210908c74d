"""Values over numbers, as lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nsl_tools.inspect.drawing.axes import Axis, fitting
from nsl_tools.inspect.drawing.frame import Frame, beneath, frame_for, grid, picture, titled
from nsl_tools.inspect.drawing.markup import Markup, element, joined
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
from nsl_tools.inspect.findings import shown

if TYPE_CHECKING:
    from nsl_tools.inspect.findings import Table

Points = list[tuple[float, float]]
"""x and y, in order of x."""


def lines(table: Table) -> Markup:
    """Return `y` over `x` as lines, a series each; nothing where no row has numbers for both."""
    series = series_of(table)
    points = [_points(each) for each in series]
    if not any(points):
        return Markup()
    plot = _plot(table, [point for some in points for point in some])
    drawn = [plot.line(at, series[at].name, some) for at, some in enumerate(points) if some]
    names = ", ".join(each.name for each in series)
    parts = [*plot.axes(column_of(table, table.x).text, series), *drawn]
    picture_of_all = picture(f"{table.title}: lines of {names}", 250, *parts)
    return joined(legend(series, of_bars=False), picture_of_all)


def _points(series: Series) -> Points:
    points = ((drawable(x), y) for x, y in series.points)
    return sorted((x, y) for x, y in points if x is not None)


@dataclass(frozen=True)
class _Plot:
    """Where lines go: values along and up, and the place of both in the picture."""

    x: Axis
    y: Axis
    frame: Frame

    def across(self, x: float) -> float:
        """Return the place of an x: off the ends, where marks would hide what is beside."""
        return self.frame.x(0.03 + 0.95 * self.x.share(x))

    def axes(self, along: str, series: list[Series]) -> tuple[Markup, Markup]:
        """Return what is behind the lines and what is under them."""
        ticks = [(self.across(tick), self.x.label(tick)) for tick in self.x.ticks]
        up = series[0].name if len(series) == 1 else ""
        return grid(self.frame, self.y, up), beneath(self.frame, ticks, titled(along, self.x))

    def line(self, number: int, name: str, points: Points) -> Markup:
        """Return the line of a series, with marks that tell what is there."""
        places = [(self.across(x), self.frame.y(self.y.share(y))) for x, y in points]
        path = "L".join(f"{across:.1f} {down:.1f}" for across, down in places)
        every = 1 + len(places) // 24  # as many marks as are told apart
        told = [f"{name}: {shown(x, self.x.form)}, {shown(y, self.y.form)}" for x, y in points]
        marks = [
            mark(number, *place, text)
            for place, text in list(zip(places, told, strict=True))[::every]
        ]
        drawn = element("path", d=f"M{path}", class_=f"line {colour(number)}")
        return element("g", drawn, *marks)


def _plot(table: Table, points: Points) -> _Plot:
    x = fitting([x for x, _ in points], column_of(table, table.x).form, 6)
    form = form_of(table)
    # A line of similarities may start anywhere: what matters is how it bends.
    y = fitting([y for _, y in points], form, 5, from_zero=form != "number")
    return _Plot(x, y, frame_for(y))
