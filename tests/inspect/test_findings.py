"""Findings: what JSON holds of them, and how their values are read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inspections import any_tables, findings, forms, numbers, table
from support import drawn

from nsl_tools.inspect.drawing.series import drawable
from nsl_tools.inspect.findings import Column, Fact, Findings, Form, Section, Table, shown


def test_json_has_a_field_for_each_section_fact_and_table() -> None:
    rows = Table("hubs", "Hubs", [Column("id", "Id", "text"), Column("in", "In")], [["a", 2]])
    section = Section("size", "Size", [Fact("nodes", "Nodes", 3)], [rows], ["Look."])
    plain = Section("plain", "Plain", [Fact("share", "Share", None, "share")])
    assert Findings("graph", ["g.tsv"], [section, plain]).as_json() == {
        "kind": "graph",
        "sources": ["g.tsv"],
        "size": {"nodes": 3, "hubs": [{"id": "a", "in": 2}], "advice": ["Look."]},
        "plain": {"share": None},
    }


@given(findings)
@settings(max_examples=drawn(200))
def test_json_can_hold_all_that_is_found(found: Findings) -> None:
    assert json.loads(json.dumps(found.as_json())) == found.as_json()


@given(any_tables)
def test_a_column_is_what_rows_have_at_its_place(some: Table) -> None:
    columns = [some.column(column.name) for column in some.columns]
    assert list(zip(*columns, strict=True)) == [tuple(row) for row in some.rows]


def test_an_unknown_column_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing"):
        table([(1, 2)]).column("nothing")


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (1234567, "count", "1,234,567"),
        (0, "count", "0"),
        (0.1234, "share", "12.3 %"),
        (0, "number", "0"),
        (0.5, "number", "0.5000"),
        (-0.00001234, "number", "-1.234e-05"),
        (12.345678, "number", "12.35"),
        (1234567.8, "number", "1,234,568"),
        (1e20, "number", "1e+20"),
        (None, "count", "-"),
        ("a", "share", "a"),
        ("a\n", "count", "a\n"),
        (5, "text", "5"),
    ],
)
def test_values_are_shown_as_people_read_them(value: object, form: Form, text: str) -> None:
    assert shown(value, form) == text  # type: ignore[arg-type]


@given(numbers.filter(lambda value: drawable(value) is not None), forms)
def test_a_number_can_be_read_back(value: float, form: Form) -> None:
    read = float(shown(value, form).replace(",", "").removesuffix(" %"))
    digits = {"count": 1e-9, "text": 1e-9, "number": 1e-3, "share": 1e-9}
    expected = 100 * value if form == "share" else value
    assert read == pytest.approx(
        expected, rel=digits[form], abs=5.1e-2 if form == "share" else 6e-5
    )


@given(st.text(), forms)
def test_a_text_stays_as_it_is(text: str, form: Form) -> None:
    assert shown(text, form) == text
