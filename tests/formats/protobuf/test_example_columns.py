"""`formats.protobuf.example_columns`: parsing many records gives what parsing each gives."""

from __future__ import annotations

import random
from unittest import mock

import numpy as np
import pytest
from example_mutations import damaged, mutated_examples
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.formats.protobuf import example
from nsl_tools.formats.protobuf.example_columns import ExampleError, ExampleParser, Parsed
from nsl_tools.formats.protobuf.wire import WireError, write_field
from nsl_tools.tuning import TUNING

_SEED = 20_240_612

_int64s = st.sampled_from([0, 1, 127, 128, 300, -1]) | st.integers(-(2**63), 2**63 - 1)
_names = st.sampled_from(
    [b"id", b"x", "é".encode(), b"", b"eight888", b"nine_9999", b"seventeen_bytes_a",
     b"seventeen_bytes_b", b"seventeen_bytes_aa", b"a name of more than sixteen bytes 1",
     b"a name of more_than sixteen bytes 1", b"n" * 130]
)  # fmt: skip
_features = (
    st.just(b"")
    | st.lists(st.binary(max_size=4) | st.binary(min_size=100, max_size=300), max_size=4).map(
        example.encode_bytes
    )
    | st.lists(st.floats(width=32), max_size=80).map(example.encode_floats)
    | st.lists(_int64s, max_size=80).map(example.encode_int64)
)
_records = st.dictionaries(_names, _features, max_size=6).map(example.encode)
"""Records of any features, in any order, of any length."""


@st.composite
def _alike(draw: st.DrawFn) -> list[bytes]:
    """Return records of the same features, some of which some of them lack."""
    names = draw(st.lists(_names, unique=True, max_size=6))
    count = draw(st.integers(0, 20))
    lacking = draw(st.sets(st.sampled_from(names))) if names else set()
    return [
        example.encode(
            {n: draw(_features) for n in names if n not in lacking or draw(st.booleans())}
        )
        for _ in range(count)
    ]


def _by_walk(payload: bytes) -> list[tuple[bytes, bytes]] | None:
    try:
        return list(example.parse(payload).items())
    except WireError:
        return None


def _parse(
    payloads: list[bytes], gap: bytes = b"gap", parser: ExampleParser | None = None
) -> Parsed:
    """Parse payloads that lie one after the other, as records do."""
    ends = np.cumsum([0, *map(len, payloads)])
    gaps = len(gap) * np.arange(len(payloads))
    data = b"".join(payload + gap for payload in payloads)
    return (parser or ExampleParser()).parse(data, ends[:-1] + gaps, ends[1:] + gaps)


def _together(payloads: list[bytes], gap: bytes, parser: ExampleParser | None) -> object:
    """Return what `parse` returned, order of features included, or the index that it refuses."""
    try:
        parsed = _parse(payloads, gap, parser)
    except ExampleError as err:
        return err.index
    for index, payload in enumerate(payloads):
        entries = parsed.bytes_at(parsed.maps, index)
        known = not example.parse_whole(payload)[1]
        assert not known or example.parse(write_field(10, entries)) == parsed.features(index)
    return [list(parsed.features(index).items()) for index in range(len(payloads))]


def _check(payloads: list[bytes], gap: bytes = b"gap", parser: ExampleParser | None = None) -> None:
    expected = [_by_walk(payload) for payload in payloads]
    bad = [index for index, features in enumerate(expected) if features is None]
    assert _together(payloads, gap, parser) == (bad[0] if bad else expected)


@given(st.lists(_records, max_size=20) | _alike(), st.sampled_from([b"", b"gap", bytes(12)]))
def test_records_of_any_features_and_lengths(payloads: list[bytes], gap: bytes) -> None:
    """Parse as one by one, wherever the data ends behind them."""
    _check(payloads, gap)


@given(st.lists(_records.filter(bool), min_size=1, max_size=4), st.lists(st.integers(0)))
def test_flipped_bits(records: list[bytes], bits: list[int]) -> None:
    """A record that differs from others by one bit parses as the walk parses it."""
    for bit in bits:
        _check([*records, _flipped(records[0], bit % (8 * len(records[0]))), *records])


def _flipped(record: bytes, bit: int) -> bytes:
    flipped = bytearray(record)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


@pytest.mark.slow
def test_every_flipped_bit_of_one_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """No bit of a record with every kind of feature is overlooked, nor in many alike."""
    monkeypatch.setattr(TUNING, "alike_records", 2)
    record = example.encode(
        {
            b"id": example.encode_bytes([b"n1", b""]),
            b"x": example.encode_floats([0.5, -1.0]),
            b"n": example.encode_int64([1, 300, -1]),
            b"a name of more than sixteen bytes": example.encode_bytes([b"v" * 200]),
            b"none": b"",
        }
    )
    for bit in range(8 * len(record)):
        _check([_flipped(record, bit), record, _flipped(record, bit)])
        _check([record, record, _flipped(record, bit)])


@st.composite
def _like(draw: st.DrawFn, features: dict[bytes, bytes]) -> bytes:
    """Return a record of features of these kinds, and of as many values of as many bytes."""
    made = dict(features)
    for name, feature in features.items():
        kind = example.kind_name(feature)
        if kind == "bytes":
            sizes = list(map(len, example.decode_bytes(feature)))
            made[name] = example.encode_bytes(
                draw(st.binary(min_size=n, max_size=n)) for n in sizes
            )
        elif kind == "float":
            size = len(example.decode_floats(feature))
            made[name] = example.encode_floats(
                draw(st.lists(st.floats(width=32), min_size=size, max_size=size))
            )
        elif kind == "int64":
            size = len(example.decode_int64(feature))
            made[name] = example.encode_int64(draw(st.lists(_int64s, min_size=size, max_size=size)))
    return example.encode(made)


_alike_records = st.dictionaries(_names, _features, max_size=3).flatmap(
    lambda features: st.lists(_like(features), min_size=1, max_size=20)
)


@given(st.lists(_alike_records, max_size=3))
def test_records_that_are_alike(batches: list[list[bytes]]) -> None:
    """Batch by batch, by one parser: as those before, or unlike them."""
    parser = ExampleParser()
    with mock.patch.object(TUNING, "alike_records", 2):
        for batch in batches:
            _check(batch, parser=parser)
            _check(batch * 2, parser=parser)


def test_damaged_records_among_good_ones() -> None:
    """Every damaged record is judged by itself."""
    rng = random.Random(_SEED)  # noqa: S311 - test data
    good = [p for p in mutated_examples(_SEED, 500) if _by_walk(p) is not None]
    _check(good)
    for payload in good:
        _check([payload, damaged(payload, rng)])


def test_a_name_twice_in_a_record_is_the_last_one() -> None:
    """As protobuf reads maps, whatever other records have."""
    once = {b"a": example.encode_int64([1]), b"b": example.encode_int64([2])}
    entry = example.encode_entry(b"a", example.encode_int64([3]))
    twice = write_field(example.ITEM, example.encode_entries(once) + entry)
    _check([example.encode(once), twice, twice, example.encode({b"a": entry})])


@pytest.mark.parametrize("values", [1, 10, 200])
def test_lists_and_maps_of_any_size(monkeypatch: pytest.MonkeyPatch, values: int) -> None:
    """Walked together at first, and one by one where a few are much longer than others."""
    monkeypatch.setattr(TUNING, "steps", 5)
    lists = [example.encode({b"x": example.encode_bytes([b"v"] * n)}) for n in (values, 0, 1, 3)]
    maps = [example.encode({b"%d" % i: example.encode_int64([i]) for i in range(values)})]
    _check([*lists, *maps] * 4)


def test_varints_of_more_than_ten_bytes_are_found_in_any_list() -> None:
    """Between good ones, which end and begin with many bytes."""
    long = b"\xff" * 9 + b"\1"
    good = example.encode({b"n": write_field(example.Kind.INT64, write_field(10, long * 3))})
    run = long + b"\xff" * 10 + b"\1" + long
    bad = example.encode({b"n": write_field(example.Kind.INT64, write_field(10, run))})
    _check([good] * 3)
    _check([good, bad, good])


def test_a_record_that_is_not_canonical_is_encoded_anew() -> None:
    """So that all may be copied as they are."""
    record = example.encode({b"a": example.encode_int64([1])})
    unpacked = bytes.fromhex("0a0b0a090a016112041a020801")
    parsed = _parse([record, unpacked, record])
    entries = {parsed.bytes_at(parsed.maps, index) for index in range(3)}
    assert entries == {example.encode_entries(example.parse(record))}


@given(_alike(), _names)
def test_a_column_is_where_the_feature_of_each_record_is(
    payloads: list[bytes], name: bytes
) -> None:
    """And empty where it has none."""
    parsed = _parse(payloads)
    spans = parsed.column(name)
    found = [parsed.bytes_at(spans, index) for index in range(len(payloads))]
    assert found == [example.parse(payload).get(name, b"") for payload in payloads]


@pytest.mark.parametrize("payloads", [[], [b""], [b"", b""]])
def test_nothing_to_parse(payloads: list[bytes]) -> None:
    """No record, and records without a byte, are legal."""
    parsed = _parse(payloads)
    assert [parsed.features(index) for index in range(len(payloads))] == [{} for _ in payloads]
