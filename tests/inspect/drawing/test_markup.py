"""Whatever a text holds, it is a text to those who parse the markup."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inspections import as_shown, texts

from nsl_tools.inspect.drawing.markup import Markup, element, escaped, joined, pixels


@given(texts, texts)
def test_texts_and_attributes_come_back(text: str, other: str) -> None:
    made = element("g", text, element("path", other, d=other), text, aria_label=text, class_=other)
    read = ET.fromstring(made)  # noqa: S314 -- our own
    assert read.attrib == {"aria-label": as_shown(text), "class": as_shown(other)}
    assert (read.text or "") == as_shown(text) == (read[0].tail or "")
    assert (read[0].text or "") == as_shown(other) == read[0].get("d")
    assert len(list(read.iter())) == 2


def test_what_acts_on_others_is_seen() -> None:
    assert escaped("a\u202eb\x00\n\udcff<") == r"a\u202eb\x00\n\udcff&lt;"


def test_markup_is_escaped_once() -> None:
    made = element("p", "a&b")
    assert escaped(made) is made
    assert joined(made, "<") == "<p>a&amp;b</p>&lt;"
    assert joined() == Markup()
    # What is put together as plain text is a text again.
    assert escaped(made + "") == "&lt;p&gt;a&amp;amp;b&lt;/p&gt;"


@pytest.mark.parametrize(
    ("value", "text"), [(1.26, "1.3"), (-0.01, "0"), (7, "7"), (123456.78, "123456.8")]
)
def test_pixels_are_told_to_a_tenth(value: float, text: str) -> None:
    assert pixels(value) == text
    assert element("rect", x=value) == f'<rect x="{text}"></rect>'


@given(st.floats(-1e5, 1e5))
def test_pixels_are_near(value: float) -> None:
    assert float(pixels(value)) == pytest.approx(value, abs=0.0501)
    assert "e" not in pixels(value)
