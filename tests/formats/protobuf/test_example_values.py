"""`formats.protobuf.example_values`: values of many features are what protobuf reads of each."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from example_mutations import mutated_examples
from hypothesis import given
from hypothesis import strategies as st
from oracles import right_features
from support import drawn

from nsl_tools.formats.protobuf import example
from nsl_tools.formats.protobuf.example_columns import ExampleError, ExampleParser
from nsl_tools.formats.protobuf.example_values import Values, kinds_of, values_of
from nsl_tools.formats.protobuf.lockstep import Spans
from nsl_tools.formats.protobuf.wire import write_field, write_varint

KINDS = {"bytes": example.Kind.BYTES, "float": example.Kind.FLOAT, "int64": example.Kind.INT64}
_int64s = st.sampled_from([0, 1, 127, 128, 2**14, 2**28, 2**35, 2**56, -1]) | st.integers(
    -(2**63), 2**63 - 1
)
_lists = {
    "bytes": st.lists(st.binary(max_size=4) | st.binary(min_size=120, max_size=300), max_size=9),
    "float": st.lists(st.floats(width=32, allow_nan=False), max_size=40),
    "int64": st.lists(_int64s, max_size=40),
}
_encode = {
    "bytes": example.encode_bytes,
    "float": example.encode_floats,
    "int64": example.encode_int64,
}


def spans_of(features: list[bytes]) -> tuple[Any, Spans]:
    """Return features end to end, and where each is; an empty one is nowhere."""
    ends = np.cumsum([2, *map(len, features)])
    data = np.frombuffer(b"\xff\xff" + b"".join(features), np.uint8)
    return data, Spans(ends[:-1].copy(), ends[1:].copy())


def lists_of(values: Values) -> list[list[Any]]:
    return [part.tolist() for part in np.split(values.flat, values.offsets[1:-1])]


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_values_come_back(kind: str, data: st.DataObject) -> None:
    """Of features that are there, empty lists, and missing ones."""
    lists = data.draw(st.lists(st.none() | _lists[kind], min_size=1, max_size=20))
    features = [b"" if values is None else _encode[kind](values) for values in lists]  # type: ignore[operator]
    found = values_of(*spans_of(features), KINDS[kind])
    assert lists_of(found) == [values or [] for values in lists]
    kinds = kinds_of(*spans_of(features)).tolist()
    assert kinds == [0 if values is None else KINDS[kind] for values in lists]


@pytest.mark.parametrize("seed", range(drawn(40)))
def test_odd_records_give_what_protobuf_reads(seed: int) -> None:
    """Repeated fields, lists given twice, padded lengths: whatever the parser takes."""
    payloads = [p for p in mutated_examples(seed, 60) if right_features(p) is not None]
    whole = b"".join(payloads)
    ends = np.cumsum([0, *map(len, payloads)])
    try:
        parsed = ExampleParser().parse(whole, ends[:-1], ends[1:])
    except ExampleError:
        pytest.skip("a SequenceExample is among them")
    expected: defaultdict[bytes, list[tuple[str, Any]]] = defaultdict(list)
    for row, payload in enumerate(payloads):
        for name, value in (right_features(payload) or {}).items():
            if (row, name) not in parsed.plain:  # has unknown fields within, read by itself
                expected[name].append((row, value))
    for name, found in expected.items():
        spans = parsed.column(name)
        kinds = kinds_of(parsed.data, spans)
        for row, (kind, values) in found:
            assert kinds[row] == KINDS.get(kind, 0)
            if kind in KINDS:
                got = values_of(parsed.data, spans.at(np.array([row])), KINDS[kind])
                right = np.frombuffer(values, "<f4") if kind == "float" else values
                np.testing.assert_array_equal(got.flat, np.array(right, got.flat.dtype))


def test_a_text_whose_length_takes_more_bytes_than_it_needs() -> None:
    """It is legal, and left to the walk."""
    padded = write_field(example.Kind.BYTES, b"\x0a\x83\x00abc" + write_field(example.ITEM, b"d"))
    features = [example.encode_bytes([b"x"]), padded, example.encode_bytes([b"y", b""])]
    found = values_of(*spans_of(features), example.Kind.BYTES)
    assert lists_of(found) == [[b"x"], [b"abc", b"d"], [b"y", b""]]


def test_a_list_far_longer_than_the_others() -> None:
    texts = [[b"a"], [b"%d" % i for i in range(3000)], [b"b", b"c"]]
    found = values_of(*spans_of([example.encode_bytes(t) for t in texts]), example.Kind.BYTES)
    assert lists_of(found) == texts


@given(st.lists(_int64s, max_size=200), st.integers(0, 5))
def test_some_rows_of_each_group(numbers: list[int], start: int) -> None:
    """Two groups of 6 lists each: rows from `start` on of both."""
    bounds = np.linspace(0, len(numbers), 13).astype(int)
    values = Values(np.array(numbers, np.int64), bounds)
    part = values.of_groups(2, slice(start, 6))
    lists = lists_of(values)
    assert lists_of(part) == lists[start:6] + lists[6 + start :]


def test_varints_of_every_size() -> None:
    numbers = [(1 << 7 * size) - 1 for size in range(1, 10)] + [(1 << 64) - 1, 1 << 63]
    run = b"".join(map(write_varint, numbers))
    feature = write_field(example.Kind.INT64, write_field(example.ITEM, run))
    found = values_of(*spans_of([feature]), example.Kind.INT64)
    assert found.flat.view(np.uint64).tolist() == numbers
