"""Walking many messages in lockstep: each is found to be what the walk of it alone finds."""

from __future__ import annotations

from itertools import accumulate
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.formats.protobuf import example
from nsl_tools.formats.protobuf.lockstep import Spans, features_of, sole_contents, walk
from nsl_tools.formats.protobuf.varints import Reader
from nsl_tools.formats.protobuf.wire import WireError, read_varint, write_field, write_varint
from nsl_tools.tuning import TUNING

_CONTENTS = st.binary(max_size=3) | st.sampled_from([127, 128, 300, 20_000]).map(bytes)
_MESSAGES = st.lists(st.tuples(st.integers(1, 127), _CONTENTS), min_size=1, max_size=5).map(
    lambda fields: b"".join(write_field(tag, content) for tag, content in fields)
)
_INT64S = st.sampled_from([0, 127, 128, -1]) | st.integers(-(2**63), 2**63 - 1)
_FEATURES = st.one_of(
    st.just(b""),
    st.lists(_CONTENTS, max_size=3).map(example.encode_bytes),
    st.lists(st.floats(width=32), max_size=40).map(example.encode_floats),
    st.lists(_INT64S, max_size=40).map(example.encode_int64),
)
_TEXT, _NUMBER = write_field(10, b"x"), write_field(10, b"\x01")
# What a feature may be that is not in canonical form, or just about is.
_ODD = [
    b"\x22" + example.encode_bytes([b"x"])[1:],
    example.encode_bytes([b"x"]) * 2,
    example.encode_bytes([b"x"]) + example.encode_int64([1]),
    b"\x0a\x83\x00" + _TEXT,
    write_field(example.Kind.BYTES, _TEXT + b"\x12\x01x"),
    write_field(example.Kind.BYTES, b"\x12\x01x"),
    write_field(example.Kind.BYTES, b"\x12\x01x" + _TEXT),
    write_field(example.Kind.BYTES, _TEXT * 2),
    write_field(example.Kind.BYTES, _TEXT + b"\x0a\x02x"),
    write_field(example.Kind.INT64, _NUMBER * 2),
    write_field(example.Kind.INT64, b"\x08\x01\x08\x02"),
    write_field(example.Kind.INT64, b"\x12\x01\x01"),
    write_field(example.Kind.INT64, write_field(10, b"")),
    write_field(example.Kind.INT64, write_field(10, b"\x80")),
    write_field(example.Kind.INT64, write_field(10, b"\x01\x80")),
    *(
        write_field(example.Kind.INT64, write_field(10, b"\1" * before + b"\x80" * count + b"\1"))
        for before in range(4)
        for count in range(7, 13)
    ),
    write_field(example.Kind.FLOAT, write_field(10, b"")),
    write_field(example.Kind.FLOAT, write_field(10, bytes(5))),
    write_field(example.Kind.FLOAT, write_field(10, bytes(4)) * 2),
]
_UNUSUAL = st.binary(min_size=1, max_size=12) | st.sampled_from(_ODD)


def laid_out(texts: list[bytes], gap: bytes = b"", start: bytes = b"") -> tuple[bytes, Spans]:
    """Return texts one behind the other, and where each is."""
    places = np.array([*accumulate((len(text + gap) for text in texts), initial=len(start))], int)
    starts, lengths = places[:-1], np.array(list(map(len, texts)), int)
    return start + b"".join(text + gap for text in texts), Spans(starts, starts + lengths)


def fields_of(data: bytes, start: int, end: int) -> tuple[list[int], bool]:
    """Return where the fields of one message start, and whether the last ends where it does."""
    found = []
    while start < end:
        found.append(start)
        length, content = read_varint(data, start + 1, len(data))
        start = content + length
    return found, start == end


@given(st.lists(_MESSAGES, max_size=12), st.lists(st.integers(0, 4), min_size=12, max_size=12))
def test_fields_are_found_where_they_start(messages: list[bytes], cut: list[int]) -> None:
    """In order; a message that is cut within a field is told apart."""
    data, whole = laid_out(messages, bytes(20))
    spans = Spans(whole.starts, np.maximum(whole.ends - cut[: len(messages)], whole.starts + 1))
    fits = np.ones(len(messages), np.bool_)
    with mock.patch.object(TUNING, "steps", 10**6):
        owners, steps, starts = walk(Reader(np.frombuffer(data, np.uint8)), spans, fits)
    for row in range(len(messages)):
        own = owners == row
        assert steps[own].tolist() == list(range(own.sum()))
        expected = fields_of(data, int(spans.starts[row]), int(spans.ends[row]))
        assert (starts[own].tolist(), bool(fits[row])) == expected


@pytest.mark.parametrize("long", [1, 8, 9])
def test_few_of_many_more_fields_are_left_to_the_walk(long: int) -> None:
    """Though they are good; many such go on together."""
    messages = [
        write_field(10, b"x") * (100 if row % 2 and row < 2 * long else 3) for row in range(30)
    ]
    data, spans = laid_out(messages)
    fits = np.ones(len(messages), np.bool_)
    with mock.patch.object(TUNING, "steps", 10):
        owners, _, _ = walk(Reader(np.frombuffer(data, np.uint8)), spans, fits)
    left = set(range(1, 2 * long, 2)) if long <= 8 else set()
    assert set(np.flatnonzero(~fits).tolist()) == left
    counts = np.bincount(owners)
    assert all(counts[row] == len(messages[row]) // 3 for row in range(30) if row not in left)


def is_canonical(feature: bytes) -> bool:
    """Tell whether parsing a feature changes no byte of it."""
    try:
        same = example.canonical(feature) == feature
        if not same or feature[:1] != bytes([example.Kind.BYTES]):
            return same
        # The walk leaves the lengths of texts as they are; those that are padded are left to it.
        return example.encode_bytes(example.decode_bytes(feature)) == feature
    except WireError:
        return False


@given(
    features=st.lists(_FEATURES | _UNUSUAL, max_size=20),
    shifts=st.lists(st.integers(-1, 1), min_size=20, max_size=20),
    padded=st.booleans(),
)
def test_features_that_are_not_canonical_are_told_apart(
    features: list[bytes], shifts: list[int], padded: bool
) -> None:
    """And those whose length is another than they have, or not given in the shortest form."""
    lengths = [write_varint(max(0, len(f) + s)) for f, s in zip(features, shifts, strict=False)]
    if padded:
        lengths[:1] = [n[:-1] + bytes((n[-1] | 0x80, 0)) for n in lengths[:1]]
    check_features(features, lengths)


def test_each_odd_feature_is_told_apart() -> None:
    """Alone, and beside features that are not odd: numbers that go on are not theirs."""
    number = example.encode_int64([1])
    for feature in _ODD:
        for features in ([feature], [number, feature, number], [feature, number] * 9):
            check_features(features, [write_varint(len(f)) for f in features])


def check_features(features: list[bytes], lengths: list[bytes]) -> None:
    """Compare what is told of features, behind these lengths, with what the walk tells."""
    texts = [length + feature for length, feature in zip(lengths, features, strict=True)]
    data, spans = laid_out([b"\x12" + text for text in texts], start=b"start")
    good = np.arange(len(texts)) % 7 != 3
    looked_at = good.copy()
    with mock.patch.object(TUNING, "steps", 10**6):
        reader = Reader(np.frombuffer(data, np.uint8))
        found = features_of(reader, spans.starts + 1, spans.ends, good)
    for row, (feature, length) in enumerate(zip(features, lengths, strict=True)):
        right = length == write_varint(len(feature)) and is_canonical(feature)
        assert good[row] == (right and looked_at[row]), feature
        if good[row]:
            assert data[found.starts[row] : found.ends[row]] == feature


@given(st.lists(_FEATURES | st.sampled_from(list(filter(is_canonical, _ODD))), max_size=20))
def test_the_only_value_or_run_of_numbers_is_found(features: list[bytes]) -> None:
    """Else the kind is 0; of several texts the first is found all the same."""
    data, spans = laid_out(features, b"end of it")
    kinds, found = sole_contents(np.frombuffer(data, np.uint8), spans)
    for row, feature in enumerate(features):
        content = data[found.starts[row] : found.ends[row]]
        kind = example.kind_name(feature)
        values = example.decode_bytes(feature) if kind == "bytes" else None
        if values is not None:
            assert kinds[row] == (example.Kind.BYTES if len(values) == 1 else 0)
            assert not values or content == values[0]
        elif kinds[row]:
            assert kinds[row] == feature[0]
            assert feature.endswith(content)
            assert feature == write_field(feature[0], write_field(example.ITEM, content))
        else:
            assert len(feature) <= 2


def test_spans_are_cut_and_measured() -> None:
    spans = Spans(np.array([0, 5, 9]), np.array([2, 9, 9]))
    assert spans.lengths.tolist() == [2, 4, 0]
    assert [part.tolist() for part in spans.at(spans.lengths > 0)] == [[0, 5], [2, 9]]
    assert [part.tolist() for part in spans.at(slice(1, None))] == [[5, 9], [9, 9]]
