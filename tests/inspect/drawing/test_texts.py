"""Texts in pictures fit, and keep their ends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from inspections import as_shown, texts

from nsl_tools.inspect.drawing.texts import shorten, width


@given(texts, st.floats(8, 500))
def test_a_text_fits_its_room(text: str, room: float) -> None:
    short, whole = shorten(text, room), as_shown(text)
    assert width(short) <= room
    if short != whole:
        assert width(whole) > room
        start, end = short.rsplit("…", 1) if short.count("…") == 1 else ("", "")
        assert whole.startswith(start)
        assert whole.endswith(end)


def test_ids_that_differ_at_their_ends_still_do() -> None:
    assert shorten("node_00000001", 80) == "node_…0001"
    assert shorten("node_00000001", 100) == "node_00000001"
    assert shorten("ab", 1) == "…"


def test_wide_letters_take_more_room() -> None:
    assert width("文書") > 1.5 * width("ab") > 0
    assert width("") == 0
