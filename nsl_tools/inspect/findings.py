"""What an inspection finds, as data: facts and tables, which text, JSON and HTML all show.

Findings -> sections -> facts, tables. A table that is worth a picture says which one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from nsl_tools.errors import without_secrets

if TYPE_CHECKING:
    from collections.abc import Sequence

Cell = str | int | float | None
"""A value; None for one that is not known or makes no sense."""

Form = Literal["text", "count", "number", "share"]
"""How a value is shown: as it is, as 1,234, as 0.1234, as 12.3 %."""

Picture = Literal["lines", "bars", "edges"]
"""What to draw of a table: y over x as lines, y for each x as bars, its rows as links."""


@dataclass(frozen=True)
class Fact:
    """One value.

    Attributes:
        name: of the field in JSON: small letters and underscores.
        text: what it is, for people.
        value: the value.
        form: how to show it.
    """

    name: str
    text: str
    value: Cell
    form: Form = "count"


@dataclass(frozen=True)
class Column:
    """One column of a table; attributes as of `Fact`."""

    name: str
    text: str
    form: Form = "count"


@dataclass(frozen=True)
class Table:
    """Rows of values.

    Attributes:
        name: of the field in JSON.
        title: what it shows, for people.
        columns: of each row, in order.
        rows: each as long as `columns`.
        picture: what to draw of it; None for nothing.
        x: the name of the column that the picture goes along.
        y: the names of the columns that it shows, each of them a series; for `edges`, `x` is
            the source, and `y` the target and the weight.
        by: the name of the column whose values part the rows into series; empty for one of each
            `y`.
    """

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    picture: Picture | None = None
    x: str = ""
    y: Sequence[str] = ()
    by: str = ""

    def column(self, name: str) -> list[Cell]:
        """Return the values of a column."""
        place = [column.name for column in self.columns].index(name)
        return [row[place] for row in self.rows]


@dataclass(frozen=True)
class Section:
    """What belongs together.

    Attributes:
        name: of the field in JSON.
        title: for people.
        facts: single values.
        tables: tables.
        advice: what to do about it, in sentences; none if nothing is odd.
    """

    name: str
    title: str
    facts: Sequence[Fact] = ()
    tables: Sequence[Table] = ()
    advice: Sequence[str] = ()


@dataclass(frozen=True)
class Findings:
    """All that was found in some files.

    Attributes:
        kind: what they hold: `graph`, `embeddings`, `examples` or `packed examples`.
        sources: their names, as they were given.
        sections: in the order in which people read them.
    """

    kind: str
    sources: Sequence[str]
    sections: Sequence[Section] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """Return what JSON can hold: a field for each section, fact and table, by their names."""
        found: dict[str, Any] = {
            "kind": self.kind,
            "sources": list(map(without_secrets, self.sources)),
        }
        for section in self.sections:
            fields: dict[str, Any] = {fact.name: fact.value for fact in section.facts}
            for table in section.tables:
                names = [column.name for column in table.columns]
                fields[table.name] = [dict(zip(names, row, strict=True)) for row in table.rows]
            if section.advice:
                fields["advice"] = list(section.advice)
            found[section.name] = fields
        return found


def shown(value: Cell, form: Form) -> str:
    """Return a value as people read it."""
    if value is None:
        return "-"
    if form == "share" and not isinstance(value, str):
        return f"{100 * value:.1f} %"
    if form == "count" and not isinstance(value, str):
        return f"{value:,}"
    if form == "number" and not isinstance(value, str):
        return _number(value)
    return str(value)


def _number(value: float) -> str:
    """Return a number: four digits, or four decimals, or as an integer if it is large."""
    small, large, huge = 1e-4, 1e4, 1e15
    if large <= abs(value) < huge:
        return f"{value:,.0f}"
    return f"{value:.4f}" if small <= abs(value) < 1 else f"{value:.4g}"
