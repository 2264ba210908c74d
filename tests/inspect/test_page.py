"""A page shows all that was found, as text, and asks for nothing else."""

from __future__ import annotations

import base64
import hashlib
import itertools
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from inspections import NASTY, as_shown, drawn_outside, findings, pictures, table, texts_of
from support import drawn

from nsl_tools.errors import printable
from nsl_tools.inspect.findings import Column, Fact, Findings, Section, Table, shown
from nsl_tools.inspect.page import page

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ELEMENTS = {
    *("html", "head", "meta", "title", "style", "body", "main", "header", "nav", "section"),
    *("h1", "h2", "h3", "p", "ul", "li", "a", "code", "dl", "dt", "dd", "div", "figure"),
    *("figcaption", "table", "thead", "tbody", "tr", "th", "td", "details", "summary"),
    *("svg", "g", "path", "rect", "circle", "text"),
}
ATTRIBUTES = {
    *("lang", "charset", "http-equiv", "content", "name", "id", "class", "href", "scope"),
    *("role", "tabindex", "aria-label", "aria-hidden"),
    *("viewbox", "x", "y", "width", "height", "cx", "cy", "r", "d"),
}


class Reader(HTMLParser):
    """Reads a page strictly: each element ends where it should.

    Attributes:
        attributes: all, with their elements.
        texts: of each element, all that is in it, in the order in which elements start.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[tuple[str, list[str]]] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.texts: list[tuple[str, list[str]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep its attributes, and gather its texts until it ends."""
        self.attributes += [(tag, *each) for each in attrs]
        entry: tuple[str, list[str]] = (tag, [])
        self.texts.append(entry)
        if tag != "meta":
            self.open.append(entry)

    def handle_endtag(self, tag: str) -> None:
        """End the element that began last, and no other."""
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        """Add a text to all elements that it is in."""
        for _, texts in self.open:
            texts.append(data)

    def handle_comment(self, data: str) -> None:
        """Fail: a page has none."""
        raise AssertionError(data)

    def of(self, *tags: str) -> list[str]:
        """Return the texts of some elements."""
        return ["".join(texts) for tag, texts in self.texts if tag in tags]


def expected(found: Findings) -> Iterator[str]:
    """Yield what headings, facts and cells say, in order."""
    yield as_shown(found.kind.capitalize())
    for section in found.sections:
        yield as_shown(section.title)
        for fact in section.facts:
            yield from (as_shown(fact.text), as_shown(shown(fact.value, fact.form)))
        for each in section.tables:
            yield as_shown(each.title)
            if each.rows:
                yield from (as_shown(column.text) for column in each.columns)
            for row in each.rows:
                for value, column in zip(row, each.columns, strict=True):
                    yield as_shown(shown(value, column.form))


@given(findings)
@settings(max_examples=drawn(300))
def test_a_page_shows_all_of_what_was_found_and_nothing_but_text(found: Findings) -> None:
    read = Reader(page(found))
    texts = read.of("h1", "h2", "h3", "dt", "dd", "th", "td")
    for text, whole in itertools.zip_longest(texts, expected(found)):
        # A long text is there twice: shortened, and whole.
        assert text == whole or (len(whole) > 160 and text.endswith(whole))
    assert {tag for tag, _ in read.texts} <= ELEMENTS
    assert {name for _, name, _ in read.attributes} <= ATTRIBUTES
    links = [value or "" for _, name, value in read.attributes if name == "href"]
    assert all(re.fullmatch(r"#section-\d+", link) for link in links)


@given(findings)
@settings(max_examples=drawn(200))
def test_a_page_tells_sources_and_advice(found: Findings) -> None:
    read = Reader(page(found))
    codes = read.of("code")
    for name, code in zip(found.sources, codes, strict=True):
        assert code.endswith(printable(name))
    advice = Counter(as_shown(text) for section in found.sections for text in section.advice)
    assert advice <= Counter(read.of("p"))


@given(findings)
@settings(max_examples=drawn(200))
def test_pictures_on_a_page_are_named_and_within_their_bounds(found: Findings) -> None:
    for picture in pictures(page(found)):
        if picture.get("aria-hidden") != "true":
            assert picture.get("role") == "img"
            assert picture[0].tag == "title"
            assert picture[0].text
        assert drawn_outside(picture) == []


@given(findings)
@settings(max_examples=drawn(200))
def test_a_page_is_of_one_style_which_its_policy_names(found: Findings) -> None:
    text = page(found)
    read = Reader(text)
    (style,) = read.of("style")
    known = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policies = [value for _, name, value in read.attributes if name == "content"]
    assert policies[0] == (
        f"default-src 'none'; style-src 'sha256-{known}'; base-uri 'none'; form-action 'none'"
    )
    assert text.encode().decode() == text
    assert not re.search(r"url\(|@import|expression|</", style)


def rich() -> Findings:
    """Return findings of every kind."""
    columns = [Column("id", "Id", "text"), Column("other", "Other", "text"), Column("w", "Weight")]
    links = [["a", name, at / 9] for at, name in enumerate(NASTY)] + [["b", "a", 1], ["a", "b", 2]]
    links += [[f"n{at}", "a", None] for at in range(9)]
    rows = [(at, *(at * by for by in range(7))) for at in range(5)]
    tables = [
        Table("edges", "Edges", columns, links, "edges", "id", ["other", "w"]),
        table(rows, picture="lines"),
        table([(f"n{at}", *row) for at, row in enumerate(rows)]),
        table([(1, 5), (2, None), (3, 10**6)], picture="lines"),
        table([("a", 1)], picture=None),
        table([]),
    ]
    facts = [Fact("n", "Nodes", 5), Fact("s", "Source", "x", "text"), Fact("u", "Unknown", None)]
    sections = [
        Section("a", "A", facts, tables, ["Look here."]),
        Section("b", "B", [], tables[3:4]),
    ]
    return Findings("graph", NASTY, sections)


def test_empty_findings_make_a_page() -> None:
    assert Reader(page(Findings("graph", []))).of("h1") == ["Graph"]
    assert "None." in Reader(page(Findings("", [], [Section("a", "", [], [table([])])]))).of("p")


def test_a_long_id_is_shortened_and_there_to_be_opened() -> None:
    long = "a" * 5_000 + "b" * 5_000
    found = page(Findings("graph", [long], [Section("s", "S", [], [table([(long, 1)], "text")])]))
    summary, other = Reader(found).of("summary")
    assert summary == other
    assert len(summary) < 70
    assert summary.endswith("bbb (10,000 characters)")
    assert Reader(found).of("td")[0] == summary + long
    (picture,) = pictures(found)
    assert max(map(len, texts_of(picture))) < 30


def test_passwords_of_sources_are_not_told() -> None:
    text = page(Findings("graph", ["s3://key:secret@host/graph.tsv"]))
    assert "secret" not in text
    assert "s3://***@host/graph.tsv" in text


def test_the_same_findings_make_the_same_bytes() -> None:
    """In another process, too, where sets have another order."""
    code = "from test_page import *; sys.stdout.buffer.write(page(rich()).encode())"
    folders = [os.path.dirname(__file__), os.path.dirname(os.path.dirname(__file__))]
    for seed in ("1",):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        environment["PYTHONPATH"] = os.pathsep.join([*folders, *filter(None, sys.path)])
        found = subprocess.run(
            [sys.executable, "-c", code], env=environment, check=True, capture_output=True
        )
        assert found.stdout == page(rich()).encode()


CSS = files("nsl_tools.inspect").joinpath("page.css").read_text(encoding="utf-8")


def test_every_class_of_the_style_is_on_some_page() -> None:
    used = {
        name
        for _, attribute, value in Reader(page(rich())).attributes
        if attribute == "class"
        for name in (value or "").split()
    }
    assert set(re.findall(r"\.([a-z][a-z0-9]*)\b(?=[^{}]*\{)", CSS)) - used == set()


def brightness(colour: str) -> float:
    """Return the relative luminance of a colour, as WCAG 2 defines it."""
    shares = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_written_and_drawn_stands_out(scheme: str) -> None:
    """By 4.5 to 1 for texts, and by 3 to 1 for lines and bars, as WCAG 2 AA asks."""
    light, dark = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
    names = dict(
        re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6});", light if scheme == "light" else dark)
    )
    pairs = [(ink, under, 4.5) for ink in ("ink", "quiet", "link") for under in ("page", "surface")]
    pairs += [("ink", "advice", 4.5)]
    drawn_with = ["axis", *(f"s{at}" for at in range(1, 7))]
    pairs += [(name, "surface", 3) for name in drawn_with]
    pairs += [("advice-edge", "advice", 3)]
    for first, second, least in pairs:
        low, high = sorted((brightness(names[first]), brightness(names[second])))
        assert (high + 0.05) / (low + 0.05) >= least, (first, second)


def told_by_browser(path: Path, text: str) -> tuple[str, list[str]]:
    """Return a page as a browser has read it, and what the browser's console says of it."""
    (path / "page.html").write_text(text, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={path}/profile"]
    found = subprocess.run(
        ["chromium", *options, "--enable-logging=stderr", "--dump-dom", f"file://{path}/page.html"],
        check=True,
        capture_output=True,
        timeout=60,
    )
    lines = found.stderr.decode(errors="replace").splitlines()
    return found.stdout.decode(), [line for line in lines if "CONSOLE" in line]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromium"), reason="needs Chromium")
def test_a_browser_reads_the_same_and_has_nothing_to_complain_about(tmp_path: Path) -> None:
    text = page(rich())
    read, said = told_by_browser(tmp_path, text)
    assert said == []
    assert Reader(read.strip()).of("td", "text") == Reader(text).of("td", "text")
    assert "<script" not in read
    # What is not allowed would be told, and not be done.
    bad = '<p style="color: red"><script>document.title = "run"</script>'
    read, said = told_by_browser(tmp_path, text.replace("<main>", f"<main>{bad}"))
    assert len(said) == 2
    assert "<title>run" not in read
