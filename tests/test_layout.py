"""`nsl_tools.layout`: parsing by layout gives what parsing one by one gives."""

from __future__ import annotations

import random

import numpy as np
import pytest
from example_mutations import damaged, mutated_examples
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools import example
from nsl_tools.layout import ExampleError, ExampleParser, Parsed
from nsl_tools.wire import WireError

_SEED = 20_240_612

_int64s = st.sampled_from([0, 1, 127, 128, 300, -1]) | st.integers(-(2**63), 2**63 - 1)


def _records_like(features: dict[bytes, bytes]) -> st.SearchStrategy[bytes]:
    """Return records of these features' kinds and numbers of values, so mostly of one layout."""
    return st.fixed_dictionaries(
        {name: _feature_like(feature) for name, feature in features.items()}
    ).map(example.encode)


def _feature_like(feature: bytes) -> st.SearchStrategy[bytes]:
    kind = example.kind_name(feature)
    if kind == "bytes":
        sizes = map(len, example.decode_bytes(feature))
        values = st.tuples(*(st.binary(min_size=size, max_size=size) for size in sizes))
        return values.map(example.encode_bytes)
    if kind == "float":
        size = len(example.decode_floats(feature))
        return st.lists(st.floats(width=32), min_size=size, max_size=size).map(
            example.encode_floats
        )
    if kind == "int64":
        size = len(example.decode_int64(feature))
        return st.lists(_int64s, min_size=size, max_size=size).map(example.encode_int64)
    return st.just(feature)


_layouts = st.dictionaries(
    st.sampled_from([b"id", b"x", b"y", "é".encode(), b""]),
    st.just(b"")
    | st.lists(st.binary(max_size=4), max_size=2).map(example.encode_bytes)
    | st.lists(st.just(0.0), max_size=3).map(example.encode_floats)
    | st.lists(_int64s, max_size=3).map(example.encode_int64),
    max_size=3,
)
_mixed_records = st.lists(_layouts, min_size=1, max_size=3).flatmap(
    lambda layouts: st.lists(st.one_of(*map(_records_like, layouts)), max_size=20)
)


def _by_walk(payload: bytes) -> list[tuple[bytes, bytes]] | None:
    try:
        return list(example.parse(payload).items())
    except WireError:
        return None


def _parse(parser: ExampleParser, payloads: list[bytes]) -> Parsed:
    """Parse payloads that lie one after the other, as records do."""
    ends = np.cumsum([0, *map(len, payloads)])
    gaps = 3 * np.arange(len(payloads))
    data = b"".join(payload + b"gap" for payload in payloads)
    return parser.parse(data, ends[:-1] + gaps, ends[1:] + gaps)


def _features(parsed: Parsed, payloads: list[bytes]) -> list[example.Features]:
    return [parsed.features(index) for index in range(len(payloads))]


def _by_layout(parser: ExampleParser, payloads: list[bytes]) -> object:
    """Return what `parse` returned, order of features included, or the index that it refuses."""
    try:
        parsed = _parse(parser, payloads)
    except ExampleError as err:
        return err.index
    rows = [row for group in parsed.groups for row in group.rows.tolist()]
    assert sorted([*rows, *parsed.walked]) == list(range(len(payloads)))
    for index in rows:
        assert example.encode(parsed.features(index)) == payloads[index]
    return [list(features.items()) for features in _features(parsed, payloads)]


def _check(parser: ExampleParser, payloads: list[bytes]) -> None:
    expected = [_by_walk(payload) for payload in payloads]
    bad = {index for index, features in enumerate(expected) if features is None}
    found = _by_layout(parser, payloads)
    if bad:
        assert found in bad
    else:
        assert found == expected


@given(_mixed_records, _mixed_records)
def test_mixed_layouts(first: list[bytes], second: list[bytes]) -> None:
    """Records of several layouts, in any order and in several batches, parse as one by one."""
    parser = ExampleParser()
    _check(parser, first)
    _check(parser, second + first)


@given(_layouts.filter(bool).flatmap(_records_like), st.lists(st.integers(0), max_size=20))
def test_flipped_bits(record: bytes, bits: list[int]) -> None:
    """A record that differs from a known layout by one bit parses as the walk parses it."""
    parser = ExampleParser()
    _check(parser, [record] * 2)
    for bit in bits:
        _check(parser, [record, _flipped(record, bit % (8 * len(record))), record])


def _flipped(record: bytes, bit: int) -> bytes:
    flipped = bytearray(record)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


def test_every_flipped_bit_of_one_record() -> None:
    """No bit of a record with every kind of feature is overlooked."""
    record = example.encode(
        {
            b"id": example.encode_bytes([b"n1", b""]),
            b"x": example.encode_floats([0.5, -1.0]),
            b"n": example.encode_int64([1, 300, -1]),
            b"none": b"",
        }
    )
    parser = ExampleParser()
    _check(parser, [record] * 2)
    for bit in range(8 * len(record)):
        _check(parser, [_flipped(record, bit)] * 2)


def test_damaged_records_among_good_ones() -> None:
    """A parser that has learned layouts still judges every damaged record by itself."""
    rng = random.Random(_SEED)  # noqa: S311 - test data
    parser = ExampleParser()
    good = [p for p in mutated_examples(_SEED, 500) if _by_walk(p) is not None]
    _check(parser, good)
    for payload in good:
        _check(parser, [payload, damaged(payload, rng)])


def test_the_first_layouts_of_a_length_are_enough_to_be_right() -> None:
    """Records of more layouts of one length than are learned are walked, not lost."""
    names = [b"a", b"b", b"c", b"d", b"e", b"f", b"g"]
    records = [example.encode({name: example.encode_bytes([name])}) for name in names] * 3
    parsed = _parse(ExampleParser(), records)
    assert _features(parsed, records) == [example.parse(record) for record in records]
    assert 0 < len(parsed.walked) < len(records)


def test_a_record_that_is_not_canonical_is_walked() -> None:
    """Only records that may be copied as they are count as fitting a layout."""
    record = example.encode({b"a": example.encode_int64([1])})
    unpacked = bytes.fromhex("0a0b0a090a016112041a020801")
    payloads = [record, unpacked, record]
    parsed = _parse(ExampleParser(), payloads)
    assert _features(parsed, payloads) == [example.parse(record)] * 3
    assert set(parsed.walked) == {1}


@pytest.mark.parametrize("payloads", [[], [b""], [b"", b""]])
def test_nothing_to_parse(payloads: list[bytes]) -> None:
    """No record, and records without a byte, are legal."""
    parsed = _parse(ExampleParser(), payloads)
    assert _features(parsed, payloads) == [{} for _ in payloads]
    with pytest.raises(IndexError):
        parsed.features(len(payloads))
