"""`nsl_tools.formats.protobuf.varints`: many varints at once are what single ones are."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.formats.protobuf.varints import Reader, put_varints, varint_sizes
from nsl_tools.formats.protobuf.wire import MAX_LENGTH, WireError, read_varint, write_varint

_edges = st.sampled_from([1 << bits for bits in range(0, 35, 7)])
_values = (
    st.integers(0, 300)
    | st.builds(int.__add__, _edges, st.integers(-1, 1))
    | st.integers(0, 2**35 - 1)
)


@given(st.lists(_values, max_size=30))
def test_varints_are_written_as_single_ones_are(values: list[int]) -> None:
    """Wherever they go, and nothing beside them is touched."""
    encoded = list(map(write_varint, values))
    numbers = np.array(values, np.int64)
    sizes = varint_sizes(numbers)
    assert sizes.tolist() == list(map(len, encoded))
    out = np.full(7 * len(values), 99, np.uint8)
    put_varints(numbers, sizes, out, 7 * np.arange(len(values)))
    assert out.tobytes() == b"".join(text.ljust(7, b"c") for text in encoded)


@given(st.lists(st.tuples(st.integers(0, 255), _values.map(write_varint) | st.binary(max_size=7))))
def test_fields_are_read_as_single_ones_are(fields: list[tuple[int, bytes]]) -> None:
    """Lengths in their shortest form; others have no tag. The last one may end the data."""
    texts = [bytes([tag]) + length for tag, length in fields]
    data = b"".join(texts)
    places = np.cumsum([0, *map(len, texts)])[: len(texts)]
    reader = Reader(np.frombuffer(data, np.uint8))
    found = (column.tolist() for column in reader.fields(places))
    for place, tag, start, end in zip(places.tolist(), *found, strict=True):
        expected = _field(data + bytes(8), place)
        assert (tag, start, end) == expected if expected else tag == 0


def _field(data: bytes, place: int) -> tuple[int, int, int] | None:
    try:
        length, start = read_varint(data, place + 1, len(data), limit=5)
    except WireError:
        return None
    if length > MAX_LENGTH or len(write_varint(length)) < start - place - 1:
        return None
    return data[place], start, start + length


@given(st.binary(max_size=20), st.lists(st.integers(0, 20), max_size=9))
def test_words_are_eight_bytes_and_zeros_behind_the_end(data: bytes, places: list[int]) -> None:
    words = Reader(np.frombuffer(data, np.uint8)).words(np.array(places, np.int64))
    assert words.tolist() == [int.from_bytes(data[place : place + 8], "little") for place in places]
