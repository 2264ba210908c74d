"""Findings as text for people, at most 80 columns wide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nsl_tools.errors import printable, visible
from nsl_tools.inspect.findings import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nsl_tools.inspect.findings import Findings, Section, Table


def text(findings: Findings, width: int = 80) -> str:
    """Return all findings as lines, of at most `width` columns where what is in them allows."""
    sources = ", ".join(map(printable, findings.sources))
    lines = [f"{findings.kind}: {sources}"]
    for section in findings.sections:
        lines += ["", *_section(section, width)]
    return "\n".join(lines) + "\n"


def _section(section: Section, width: int) -> Iterator[str]:
    yield section.title
    yield "-" * len(section.title)
    values = [shown(fact.value, fact.form) for fact in section.facts]
    most = max(map(len, values), default=0)
    for fact, value in zip(section.facts, values, strict=True):
        yield f"{visible(value):>{most}}  {fact.text}"
    for table in section.tables:
        yield from ["", f"{table.title}:", *_table(table, width)] if table.rows else []
    for advice in section.advice:
        yield from ["", *_wrapped(visible(advice), width)]


def _table(table: Table, width: int) -> Iterator[str]:
    heads = [column.text for column in table.columns]
    cells = [
        [
            visible(shown(value, column.form))
            for value, column in zip(row, table.columns, strict=True)
        ]
        for row in table.rows
    ]
    is_text = [column.form == "text" for column in table.columns]
    widths = _widths([heads, *cells], is_text, width)
    for row in [heads, *cells]:
        parts = [
            f"{_cut(cell, own):{'<' if left else '>'}{own}}"
            for cell, own, left in zip(row, widths, is_text, strict=True)
        ]
        yield "  ".join(parts).rstrip()


def _widths(rows: Sequence[Sequence[str]], is_text: Sequence[bool], width: int) -> list[int]:
    """Return the widths of columns; texts are cut where all do not fit."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    texts = [i for i, one in enumerate(is_text) if one]
    least = 8  # characters of a text
    while sum(widths) + 2 * (len(widths) - 1) > width and texts:
        widest = max(texts, key=widths.__getitem__)
        if widths[widest] <= least:
            break
        widths[widest] -= 1
    return widths


def _cut(cell: str, width: int) -> str:
    return cell if len(cell) <= width else cell[: width - 3] + "..."


def _wrapped(line: str, width: int) -> list[str]:
    import textwrap  # here, since few need it

    return textwrap.wrap(line, width, break_long_words=False)
