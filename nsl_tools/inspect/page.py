"""Findings as one HTML page, which needs nothing else: no script, no font, no network."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING

from nsl_tools.errors import printable
from nsl_tools.inspect.charts import chart
from nsl_tools.inspect.drawing.markup import Markup, element, escaped, joined
from nsl_tools.inspect.drawing.texts import shorten
from nsl_tools.inspect.findings import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nsl_tools.inspect.findings import Cell, Fact, Findings, Form, Section, Table


def page(findings: Findings) -> str:
    """Return an HTML page that shows findings; the same bytes for the same findings.

    Whatever came from a file is text, never markup. Should that fail, the page's policy allows
    neither scripts nor anything from elsewhere; its own style is known by its hash.
    """
    title = f"{findings.kind.capitalize()}: {', '.join(map(printable, findings.sources))}"
    sections = [_section(at, section) for at, section in enumerate(findings.sections, start=1)]
    main = element("main", _top(findings), *sections)
    return f"<!doctype html>\n{element('html', _head(title), element('body', main), lang='en')}\n"


def _head(title: str) -> Markup:
    # A style is no text that HTML would unescape.
    style = Markup(files("nsl_tools.inspect").joinpath("page.css").read_text(encoding="utf-8"))
    known = b64encode(sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{known}'; base-uri 'none'; form-action 'none'"
    metas = (
        '<meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
    )
    shortened = shorten(title, 800)
    return element("head", Markup(metas), element("title", shortened), element("style", style))


def _top(findings: Findings) -> Markup:
    names = [element("li", element("code", _text(printable(name)))) for name in findings.sources]
    sources = element("ul", *names, class_="sources")
    few = 5  # more of them, such as shards, would push what was found off the screen
    if len(names) > few:
        told = element("summary", f"{len(names):,} files")
        sources = element("details", told, sources, class_="many")
    links = [
        element("li", element("a", section.title, href=f"#section-{number}"))
        for number, section in enumerate(findings.sections, start=1)
    ]
    contents = element("nav", element("ul", *links), aria_label="Sections") if links else ""
    maker = element("p", "nsl-tools inspect", class_="note")
    return element("header", maker, element("h1", findings.kind.capitalize()), sources, contents)


def _section(number: int, section: Section) -> Markup:
    facts = [element("div", element("dt", fact.text), _fact(fact)) for fact in section.facts]
    advice = [element("p", text) for text in section.advice]
    tables = [_table(table, alone=len(section.tables) == 1) for table in section.tables]
    return element(
        "section",
        element("h2", section.title),
        element("dl", *facts, class_="facts") if facts else "",
        element("div", *advice, role="note", class_="advice") if advice else "",
        element("div", *tables, class_="tables") if tables else "",
        id=f"section-{number}",
    )


def _fact(fact: Fact) -> Markup:
    kind = "words" if isinstance(fact.value, str) else "value"
    return element("dd", _cell(fact.value, fact.form), class_=kind)


def _table(table: Table, *, alone: bool) -> Markup:
    drawn = chart(table)
    parts = [
        element("figcaption", element("h3", table.title)),
        element("div", drawn, class_="picture") if drawn else "",
        _box(table) if table.rows else element("p", "None.", class_="note"),
    ]
    # All of the width for many pictures, for many columns, and for what is alone.
    few = 5
    kind = "beside" if alone or len(table.columns) > few else "above"
    return element("figure", *parts, class_="beneath" if table.picture == "edges" else kind)


def _box(table: Table) -> Markup:
    """Return the rows in a box of their own, which scrolls where they are too many or too wide."""
    sides = list(_sides(table))
    heads = [
        element("th", column.text, scope="col", class_=side)
        for column, side in zip(table.columns, sides, strict=True)
    ]
    rows = [
        element(
            "tr",
            *(
                element("td", element("div", _cell(value, column.form)), class_=side)
                for value, column, side in zip(row, table.columns, sides, strict=True)
            ),
        )
        for row in table.rows
    ]
    body = joined(element("thead", element("tr", *heads)), element("tbody", *rows))
    # A key, too, must be able to scroll it.
    return element(
        "div",
        element("table", body),
        class_="box",
        tabindex="0",
        role="region",
        aria_label=table.title,
    )


def _sides(table: Table) -> Iterator[str]:
    """Yield for each column the side at which its values stand: numbers at the right."""
    for column in table.columns:
        texts = any(isinstance(value, str) for value in table.column(column.name))
        yield "text" if texts or column.form == "text" else "number"


def _cell(value: Cell, form: Form) -> Markup:
    return _text(shown(value, form))


def _text(text: str) -> Markup:
    """Return a text; of one that would fill the screen, its ends, and all of it on demand."""
    many = 160  # no path or URL that people can still read is longer
    if len(text) <= many:
        return escaped(text)
    told = f"{shorten(text, 300)} ({len(text):,} characters)"
    return element("details", element("summary", told), text, class_="long")
