"""Many examples at once are the bytes that each gives alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import drawn

from nsl_tools.arrays.byte_spans import offsets_of
from nsl_tools.formats.protobuf import example
from nsl_tools.formats.protobuf.encoder import Column, encode_examples, text_items, varints
from nsl_tools.formats.protobuf.example import Kind
from nsl_tools.formats.tfrecord.frames import frame, seal

VALUES: dict[int, st.SearchStrategy[Any]] = {
    Kind.BYTES: st.binary(max_size=5) | st.integers(100, 300).map(bytes),
    Kind.FLOAT: st.floats(width=32),
    Kind.INT64: st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-2, 300),
}
ENCODERS: dict[int, Any] = {
    Kind.BYTES: example.encode_bytes,
    Kind.FLOAT: example.encode_floats,
    Kind.INT64: example.encode_int64,
}
Cells = list[list[Any] | None]


@st.composite
def tables(draw: st.DrawFn) -> dict[bytes, tuple[int, Cells]]:
    count = draw(st.integers(1, 6))
    names = draw(st.lists(st.text(max_size=4), min_size=1, max_size=4, unique=True))
    found = {}
    for name in names:
        kind = draw(st.sampled_from(sorted(VALUES)))
        cell = st.none() | st.lists(VALUES[kind], max_size=draw(st.sampled_from([1, 3, 40])))
        found[name.encode()] = kind, draw(st.lists(cell, min_size=count, max_size=count))
    return found


def column_of(name: bytes, kind: int, cells: Cells) -> Column:
    values = [value for cell in cells for value in cell or []]
    ends = offsets_of(np.array([len(cell or []) for cell in cells], np.int64))
    if kind == Kind.FLOAT:
        data, bounds = np.array(values, "<f4").view(np.uint8), 4 * np.arange(len(values) + 1)
    elif kind == Kind.INT64:
        data, bounds = varints(np.array(values, np.int64))
    else:
        lengths = np.array(list(map(len, values)), np.int64)
        joined = np.frombuffer(b"".join(values), np.uint8)
        data, bounds = text_items(joined, offsets_of(lengths)[:-1], lengths)
    present = np.array([cell is not None for cell in cells])
    return Column(name, kind, data, bounds[ends], present)


@pytest.mark.thorough
@settings(max_examples=drawn(300))
@given(tables())
def test_each_example_is_as_if_encoded_alone(table: dict[bytes, tuple[int, Cells]]) -> None:
    columns = [column_of(name, *found) for name, found in table.items()]
    count = len(columns[0].present)
    payloads = [
        example.encode(
            {
                name: ENCODERS[kind](cells[row])
                for name, (kind, cells) in table.items()
                if cells[row] is not None
            }
        )
        for row in range(count)
    ]
    found = seal(encode_examples(columns))
    assert found.data.tobytes() == frame(*payloads)
    assert found.ends.tolist() == [len(frame(*payloads[:row])) for row in range(count + 1)]


@given(st.lists(VALUES[Kind.INT64]))
def test_varints_are_those_of_protobuf(values: list[int]) -> None:
    data, bounds = varints(np.array(values, np.int64))
    encoded = example.encode_int64(values)
    assert encoded.endswith(data.tobytes())
    assert len(bounds) == len(values) + 1
    for value, start, end in zip(values, bounds, bounds[1:], strict=False):
        assert example.encode_int64([value]).endswith(data[start:end].tobytes())
