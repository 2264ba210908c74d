"""The series of a table: what is drawn in one colour, with one mark, under one name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nsl_tools.inspect.drawing.markup import Markup, element, joined
from nsl_tools.inspect.findings import shown

if TYPE_CHECKING:
    from nsl_tools.inspect.findings import Cell, Column, Form, Table


@dataclass(frozen=True)
class Series:
    """Some values of y.

    Attributes:
        name: of the series, for people.
        points: x and y by row, without the rows that have no number for y.
    """

    name: str
    points: list[tuple[Cell, float]]


def drawable(value: Cell) -> float | None:
    """Return the number of a cell; None for a cell without one, or with an infinite one.

    What is so small or so large that differences would be nothing, or infinite, is 0 or None.
    """
    least, largest = 1e-290, 1e300
    if isinstance(value, str) or value is None or not abs(value) < largest:
        return None
    return value if abs(value) > least else 0


def column_of(table: Table, name: str) -> Column:
    """Return a column by its name."""
    return next(column for column in table.columns if column.name == name)


def form_of(table: Table) -> Form:
    """Return how the values of all series are shown, which is how those of the first are."""
    return column_of(table, table.y[0]).form


def series_of(table: Table) -> list[Series]:
    """Return the series of a table in the order in which it names them."""
    if not table.by:
        return [_series(table, y, column_of(table, y).text) for y in table.y]
    groups = dict.fromkeys(table.column(table.by))
    return [_of_group(table, y, group) for y in table.y for group in groups]


def _of_group(table: Table, y: str, group: Cell) -> Series:
    by = column_of(table, table.by)
    name = f"{by.text} {shown(group, by.form)}"
    if table.y[1:]:
        name = f"{column_of(table, y).text}, {name}"
    return _series(table, y, name, group)


def _series(table: Table, y: str, name: str, group: Cell = None) -> Series:
    groups = table.column(table.by) if table.by else [None] * len(table.rows)
    rows = zip(table.column(table.x), table.column(y), groups, strict=True)
    points = [(x, drawable(value)) for x, value, own in rows if own == group]
    return Series(name, [(x, value) for x, value in points if value is not None])


def mark(number: int, x: float, y: float, title: str = "") -> Markup:
    """Return the mark of a series, by its number, at a place; five forms, then again."""
    forms = (
        "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",  # a disc
        "m-3.5-3.5h7v7h-7z",  # a square
        "m0-5.2l5.2 5.2l-5.2 5.2l-5.2-5.2z",  # a diamond
        "m0-4.8l4.8 8.4h-9.6z",  # a triangle
        "m-4.8-3.6h9.6l-4.8 8.4z",  # one that points down
    )
    path = f"M{x:.1f} {y:.1f}{forms[number % len(forms)]}"
    told = [element("title", title)] if title else []
    return element("path", *told, d=path, class_=f"mark {colour(number)}")


def colour(number: int) -> str:
    """Return the class of the colour and the dashes of a series; six, then again."""
    return f"s{number % 6 + 1}"


def legend(series: list[Series], *, of_bars: bool) -> Markup:
    """Return the names of series beside what they look like; nothing for one alone."""
    items = [
        element("li", _key(number, of_bars=of_bars), each.name)
        for number, each in enumerate(series)
    ]
    return element("ul", *items, class_="legend") if items[1:] else Markup()


def _key(number: int, *, of_bars: bool) -> Markup:
    if of_bars:
        drawn = element("rect", x=8, y=1, width=12, height=12, class_=f"bar {colour(number)}")
    else:
        line = element("path", d="M0 7H28", class_=f"line {colour(number)}")
        drawn = joined(line, mark(number, 14, 7))
    return element("svg", drawn, viewBox="0 0 28 14", aria_hidden="true", class_="key")
