"""What the tests of inspections share: findings to show, and what a picture of them holds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from hypothesis import strategies as st

from nsl_tools.errors import visible
from nsl_tools.inspect.drawing.texts import width
from nsl_tools.inspect.findings import Column, Fact, Findings, Section, Table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

NASTY = [
    *("<script>alert(1)</script>", "</style>", "</title>", "<!--", "]]>", "&lt;", "\"'>`", ""),
    *("x" * 400, "文" * 90, "abc\u202edef", "a\x00\r\n\t\x85b", "\udcff\udcfe", "onload=x"),
    *("javascript:alert(1)", "https://example.com/?a=b", "שלום", "-", "…", " two  spaces "),
]
texts = st.sampled_from(NASTY) | st.text(max_size=30)
ids = st.sampled_from("abcdefghijklmnopqrst") | texts
numbers = (
    st.integers(-3, 100)
    | st.integers(-(2**70), 2**70)
    | st.floats(0, 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
forms = st.sampled_from(["text", "count", "number", "share"])


@st.composite
def tables(
    draw: st.DrawFn, picture: str | None = None, cells: st.SearchStrategy = numbers
) -> Table:
    """Draw a table with a picture: `x`, then `y0`, `y1`..., and `by`; mostly ids for edges."""
    count = draw(st.integers(1, 7))
    x = st.none() | (cells if draw(st.booleans()) else texts)
    row = [x, *[st.none() | cells] * count, ids]
    if picture == "edges":
        count = draw(st.integers(1, 2))
        row = [st.none() | ids, st.none() | ids, st.none() | cells | ids]
    columns = [Column("x", draw(texts), draw(forms))]
    columns += [Column(f"y{at}", draw(texts), draw(forms)) for at in range(len(row) - 2)]
    columns += [Column("by", draw(texts), draw(forms))]
    rows = draw(st.lists(st.tuples(*row), max_size=30))
    y = [column.name for column in columns[1 : count + 1]]
    by = draw(st.sampled_from(["", "by"])) if picture != "edges" else ""
    return Table("t", draw(texts), columns, rows, picture, "x", y, by)  # type: ignore[arg-type]


facts = st.builds(Fact, texts, texts, st.none() | numbers | texts, forms)
any_tables = st.sampled_from([None, "lines", "bars", "edges"]).flatmap(tables)
sections = st.builds(
    Section,
    texts,
    texts,
    st.lists(facts, max_size=4),
    st.lists(any_tables, max_size=3),
    st.lists(texts, max_size=2),
)
findings = st.builds(Findings, texts, st.lists(texts, max_size=8), st.lists(sections, max_size=3))


def table(rows: list[tuple], form: str = "count", **options: object) -> Table:
    """Return a table of `x` and `y` as bars, or as `options` say."""
    names = [chr(ord("x") + at) for at in range(len(rows[0]) if rows else 2)]
    columns = [Column(name, name.upper(), form) for name in names]  # type: ignore[arg-type]
    given = {"picture": "bars", "x": "x", "y": names[1:]} | options
    return Table("t", "T", columns, rows, **given)  # type: ignore[arg-type]


def pictures(markup: str) -> list[Element]:
    """Return the pictures in some HTML, each parsed as XML."""
    found = re.findall(r"<svg.*?</svg>", markup, re.DOTALL)
    return [ET.fromstring(each) for each in found]  # noqa: S314 -- our own


def drawn_outside(picture: Element) -> list[str]:
    """Return what is not within the picture: shapes and, by their width about, texts."""
    _, _, across, height = map(float, picture.attrib["viewBox"].split())
    slack = 1  # pixels: half a line, and what rounding adds
    return [
        ET.tostring(each, encoding="unicode")
        for each in picture.iter()
        for x, y in _corners(each)
        if not (-slack <= x <= across + slack and -slack <= y <= height + slack)
    ]


def _corners(each: Element) -> Iterator[tuple[float, float]]:
    here = {name: float(each.get(name, 0)) for name in ("x", "y", "width", "height", "cx", "cy")}
    x, y = here["x"], here["y"]
    if each.tag == "rect":
        assert min(here["width"], here["height"]) >= 0
        yield from [(x, y), (x + here["width"], y + here["height"])]
    elif each.tag == "circle":
        yield here["cx"], here["cy"]
    elif each.tag == "text":
        long, kind = width(each.text or ""), each.get("class", "").split()
        before = long if "end" in kind else long / 2 if "middle" in kind else 0
        yield from [(x - before, y), (x - before + long, y)]
    elif each.tag == "path":
        yield from places_of(each)


def places_of(path: Element) -> list[tuple[float, float]]:
    """Return the places that a path goes through, without the form of a mark there."""
    steps = re.sub(r"[a-z].*?(?=[A-Z]|$)", "", path.attrib["d"])
    if along := re.fullmatch(r"M(\S+) (\S+)H(\S+)", steps):
        return [(float(along[1]), float(along[2])), (float(along[3]), float(along[2]))]
    places = [tuple(map(float, each.split())) for each in re.findall(r"[\d.-]+ [\d.-]+", steps)]
    if "Q" in steps:
        start, over, end = places
        places[1] = tuple((a + 2 * b + c) / 4 for a, b, c in zip(start, over, end, strict=True))
    return places  # type: ignore[return-value]


def texts_of(picture: Element) -> list[str]:
    """Return what is written in a picture, in order, without what a mouse would be told."""
    return [each.text or "" for each in picture.iter("text")]


def as_shown(text: str) -> str:
    """Return a text as a page shows it."""
    return visible(text)
