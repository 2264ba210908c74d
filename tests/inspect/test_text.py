"""Findings as text: complete, within 80 columns, and safe to print."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.inspect.findings import Column, Fact, Findings, Section, Table
from nsl_tools.inspect.text import text

_TEXT = st.text(max_size=100)
_ROW = st.tuples(_TEXT, _TEXT, st.integers(0, 10**9), st.floats(-10, 10), st.none())


@given(rows=st.lists(_ROW, max_size=5), advice=_TEXT)
def test_lines_fit_a_terminal_and_have_no_control_characters(
    rows: list[tuple[object, ...]], advice: str
) -> None:
    columns = [
        Column("a", "one", "text"),
        Column("b", "two", "text"),
        Column("n", "count"),
        Column("x", "number", "number"),
        Column("s", "share", "share"),
    ]
    table = Table("t", "A table", columns, rows)  # type: ignore[arg-type]
    facts = [Fact("f", "a fact", 1234), Fact("g", "nothing", None, "share")]
    found = text(Findings("graph", ["g.tsv"], [Section("s", "Title", facts, [table], [advice])]))
    lines = found.split("\n")
    assert all(len(line) <= 80 or " " not in line.strip() for line in lines)
    assert all(character.isprintable() for line in lines for character in line)
    assert "1,234  a fact" in lines
    assert "    -  nothing" in lines
    assert ("A table:" in lines) == bool(rows)


def test_long_ids_are_cut_and_numbers_are_not() -> None:
    columns = [Column("id", "node", "text"), Column("n", "is a neighbour of")]
    table = Table("hubs", "Hubs", columns, [("x" * 200, 123_456_789), ("y", 1)])
    found = text(Findings("graph", ["g"], [Section("s", "S", tables=[table])])).split("\n")
    assert found[7] == "x" * 58 + "...        123,456,789"
    assert found[8].startswith("y ")
    assert found[8].endswith(" 1")
