"""`nsl_tools.formats.protobuf.name_numbers`: equal names have one number, and others another."""

from __future__ import annotations

from unittest import mock

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.formats.protobuf import name_numbers
from nsl_tools.formats.protobuf.lockstep import Spans
from nsl_tools.formats.protobuf.name_numbers import numbered
from nsl_tools.formats.protobuf.varints import Reader

_names = st.sampled_from(
    [b"", b"a", b"b", b"\xff", "é".encode(), b"eight_88", b"eight_89", b"seventeen_bytes_1",
     b"seventeen_bytes_2", b"first 8 _middle_ last 8", b"first 8 _Middle_ last 8", b"n" * 300]
)  # fmt: skip


@given(
    st.lists(st.tuples(_names, st.booleans()), max_size=40),
    st.booleans(),
)
def test_names_have_one_number_each(drawn: list[tuple[bytes, bool]], colliding: bool) -> None:
    """Those that are not good or not UTF-8 have none; nor has one whose hash is another's."""
    names = [name for name, _ in drawn]
    good = np.array([own for _, own in drawn], np.bool_)
    ends = np.cumsum([0, *map(len, names)])
    reader = Reader(np.frombuffer(b"".join(names), np.uint8))
    factors = name_numbers._FACTORS * np.uint64(not colliding)
    with mock.patch.object(name_numbers, "_FACTORS", factors):
        numbers, known = numbered(reader, Spans(ends[:-1], ends[1:]), good)
    assert len(set(known)) == len(known)
    for name, own, number in zip(names, good.tolist(), numbers.tolist(), strict=True):
        if number >= 0:
            assert own
            assert known[number] == name
        else:
            assert not own or name == b"\xff" or colliding
