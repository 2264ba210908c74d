"""Spans of bytes: copies of many at once are what slices give."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.arrays.byte_spans import (
    all_equal,
    by_value,
    copy_spans,
    gather,
    offsets_of,
    put,
    windows,
)

_DATA = np.random.default_rng(0).integers(0, 255, 40_000).astype(np.uint8)
_spans = st.lists(
    st.tuples(st.integers(0, 200), st.sampled_from([0, 1, 2, 7]) | st.integers(0, 50)), max_size=80
)
_long_spans = st.lists(
    st.tuples(st.integers(0, 9000), st.sampled_from([4095, 4096, 4097]) | st.integers(0, 30_000)),
    max_size=40,
)


@given(_spans | _long_spans, st.integers(1, 3))
def test_copies_are_what_slices_give(spans: list[tuple[int, int]], gap: int) -> None:
    """Of few and of many spans of one length, wherever they go."""
    starts = np.array([start for start, _ in spans], np.int64)
    lengths = np.array([length for _, length in spans], np.int64)
    offsets = offsets_of(lengths + gap)
    out = np.full(offsets[-1], 255, np.uint8)
    copy_spans(_DATA, starts, lengths, out, offsets[:-1])
    expected = b"".join(_DATA[a : a + n].tobytes() + b"\xff" * gap for a, n in spans)
    assert out.tobytes() == expected


@given(st.lists(st.integers(0, 240), max_size=30), st.integers(0, 16))
def test_gathered_spans_are_what_slices_give(starts: list[int], length: int) -> None:
    """In any order; steps that are equal give a view."""
    found = gather(_DATA, np.array(starts, np.int64), length)
    assert [row.tobytes() for row in found] == [_DATA[a : a + length].tobytes() for a in starts]


@given(st.integers(0, 7), st.integers(0, 5))
def test_rows_of_a_table_may_be_put_anywhere(length: int, gap: int) -> None:
    """Whatever lies between the rows of the table, and between the places."""
    table = np.arange(10 * (length + gap), dtype=np.uint8).reshape(10, -1)[:, :length]
    places = np.arange(10)[::-1] * (length + gap)
    out = np.full(10 * (length + gap), 255, np.uint8)
    put(table, out, places)
    for row, place in enumerate(places.tolist()):
        assert out[place : place + length].tolist() == table[row].tolist()
    assert (out == 255).sum() >= 10 * gap


def test_spans_at_equal_steps_are_a_view() -> None:
    assert gather(_DATA, np.array([3, 10, 17]), 5).base is not None
    assert windows(_DATA[:256], 300).shape == (0, 300)


@given(st.lists(st.integers(0, 5)))
def test_each_value_comes_once_with_its_places(lengths: list[int]) -> None:
    found = {n: rows.tolist() for n, rows in by_value(np.array(lengths, np.int64))}
    assert list(found) == sorted(set(lengths))
    for length, rows in found.items():
        assert rows == [i for i, n in enumerate(lengths) if n == length]


@given(st.integers(0, 5), st.integers(0, 7), st.integers(0, 3), st.data())
def test_rows_are_all_equal_if_none_differs(
    count: int, length: int, gap: int, data: st.DataObject
) -> None:
    """Whatever lies between them."""
    table = np.zeros((count, length + gap), np.uint8)
    table[:, length:] = np.arange(count)[:, np.newaxis]
    rows, row = table[:, :length], np.zeros(length, np.uint8)
    assert all_equal(rows, row)
    if count and length:
        place = data.draw(st.tuples(st.integers(0, count - 1), st.integers(0, length - 1)))
        rows[place] = 1
        assert not all_equal(rows, row)
