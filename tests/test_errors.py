"""Errors: one line, which says where."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.errors import DataError, NslToolsError, UsageError, printable, visible


@given(st.text() | st.text("a\n\x1b\u2028\udcff é\\"))
def test_a_message_is_one_printable_line(text: str) -> None:
    """What can be printed stays, spaces too; the rest is told by its escapes."""
    found = printable(text)
    assert found.isprintable()
    assert printable(found) == found
    if all(unicodedata.category(c)[0] not in "CZ" or c == " " for c in text):
        assert found == text


def test_what_cannot_be_printed_is_escaped() -> None:
    assert printable("a\nb\x1b\udcff\u2028") == r"a\nb\x1b\udcff\u2028"


def test_an_id_stays_whole_where_a_message_would_hide_secrets() -> None:
    """Ids may be addresses, which differ in what follows the question mark."""
    assert visible("https://a/?b=1\u202e") == r"https://a/?b=1\u202e"
    assert printable("https://a/?b=1") == "https://a/?***"


@pytest.mark.parametrize(
    ("place", "said"), [("line 7", "a\\nb: line 7: bad\\t"), ("", "a\\nb: bad\\t")]
)
def test_a_data_error_says_where(place: str, said: str) -> None:
    """In words, and by numbers for the report."""
    err = DataError("a\nb", place, "bad\t", 7, 120)
    assert str(err) == said
    assert (err.source, err.place, err.number, err.offset) == ("a\nb", place, 7, 120)
    assert (DataError("f", "", "x").number, DataError("f", "", "x").offset) == (None, None)


def test_all_are_expected_failures() -> None:
    """The command line catches them by one class."""
    assert issubclass(DataError, NslToolsError)
    assert issubclass(UsageError, NslToolsError)
    assert not issubclass(UsageError, DataError)
