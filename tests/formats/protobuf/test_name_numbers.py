"""`nsl_tools.formats.protobuf.name_numbers`: equal names have one number, and others another."""

from __future__ import annotations

from unittest import mock

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.formats.protobuf import name_numbers
from nsl_tools.formats.protobuf.example import ITEM, VALUE
from nsl_tools.formats.protobuf.name_numbers import numbered
from nsl_tools.formats.protobuf.varints import Reader
from nsl_tools.formats.protobuf.wire import write_field

_names = st.sampled_from(
    [b"", b"a", b"b", b"\xff", "é".encode(), b"eight_88", b"eight_89", b"seventeen_bytes_1",
     b"seventeen_bytes_2", b"first 8 _middle_ last 8", b"first 8 _Middle_ last 8", b"n" * 300,
     b"m" * 127, b"m" * 60 + b"n" + b"m" * 66, b"thirteen_byte", b"thirteeN_byte"]
)  # fmt: skip


@given(
    st.lists(st.tuples(_names, st.booleans()), max_size=40),
    st.booleans(),
)
def test_names_have_one_number_each(drawn: list[tuple[bytes, bool]], colliding: bool) -> None:
    """Those that are not good or not UTF-8 have none; nor has one whose hash is another's."""
    entries = [b"padd", *(_entry(name, good=good) for name, good in drawn)]
    places = np.cumsum(list(map(len, entries)))[:-1]
    reader = Reader(np.frombuffer(b"".join(entries), np.uint8))
    factor = name_numbers._FACTOR * np.uint64(not colliding)
    with mock.patch.object(name_numbers, "_FACTOR", factor):
        numbers, ends, known = numbered(reader, places)
    assert len(set(known)) == len(known)
    for row, (name, good) in enumerate(drawn):
        if numbers[row] >= 0:
            assert good
            assert known[numbers[row]] == name
            assert ends[row] == places[row] + 2 + len(name)
        else:
            assert not good or name == b"\xff" or len(name) > 127 or colliding


def _entry(name: bytes, *, good: bool) -> bytes:
    """Return the content of a map entry, with another tag for its value if it is not good."""
    return write_field(ITEM, name) + write_field(VALUE if good else ITEM, b"")
