"""`nsl_tools.pack_nbrs.neighbor_blocks`: a block is what encoding its entries one by one gives."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.formats.protobuf import example
from nsl_tools.formats.protobuf.example_columns import ExampleError, ExampleParser, Parsed
from nsl_tools.pack_nbrs.neighbor_blocks import FLOAT_BYTES, GAP_BYTES, make_blocks, weight_places
from nsl_tools.tuning import TUNING

_names = st.sampled_from([b"id", b"x", b"weight_", "é".encode(), b"n" * 115, b"n" * 116])
_values = st.sampled_from([0, 1, 100, 120, 127, 128, 20_000]).map(
    lambda size: example.encode_bytes([b"v" * size])
) | st.lists(st.floats(width=32)).map(example.encode_floats)
_records = st.dictionaries(_names, _values, max_size=4)
_needs = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 3)), max_size=20)


def _parsed(records: list[dict[bytes, bytes]], many: int) -> Parsed:
    payloads = list(map(example.encode, records))
    ends = np.cumsum([0, *map(len, payloads)])
    with mock.patch.object(TUNING, "alike_records", many):
        return ExampleParser().parse(b"".join(payloads), ends[:-1], ends[1:])


def _filled(block: bytes, gaps: list[int], rank: bytes) -> bytes:
    out = bytearray(block)
    for gap in gaps:
        out[gap : gap + len(rank)] = rank
    return bytes(out)


@given(st.lists(_records, min_size=1, max_size=9), _needs, st.booleans(), st.sampled_from([2, 99]))
def test_blocks_are_encoded_entries(
    records: list[dict[bytes, bytes]], needs: list[tuple[int, int]], alike: bool, many: int
) -> None:
    """Of records of any features, and of many alike, once the rank is put into the gaps."""
    records = [records[0]] * len(records) if alike else records
    rows = np.array([row % len(records) for row, _ in needs], np.int64)
    digits = np.array([count for _, count in needs], np.int64)
    found = make_blocks(_parsed(records, many), rows, digits)
    data, place = found.data.tobytes(), 0
    for i, (row, count) in enumerate(zip(rows.tolist(), digits.tolist(), strict=True)):
        length, gaps = int(found.lengths[i]), int(found.gaps[i])
        block = data[place : place + length]
        table = np.frombuffer(data, "<u4", gaps, place + length).tolist()
        place += length + GAP_BYTES * gaps
        rank = b"789"[:count]
        prefix = b"NL_nbr_%b_" % rank
        entries = {prefix + b"weight": example.encode_floats([0.0])}
        entries.update({prefix + name: value for name, value in records[row].items()})
        assert _filled(block, table, rank) == example.encode_entries(entries)
        at = int(weight_places(np.array([count]))[0])
        assert block[:at].endswith(b"\x12\x06\x0a\x04")
        assert block[at : at + FLOAT_BYTES] == bytes(FLOAT_BYTES)
    assert place == len(data)


def test_a_feature_called_weight_is_renamed_or_refused() -> None:
    """In those that are needed; also where another has the new name, but not the same one."""
    value = example.encode_int64([1])
    records = [{b"a": value}, {b"a": value, b"weight": value}, {b"weight": value, b"w": value}]
    parsed, one = _parsed(records, 99), np.ones(1, np.int64)
    assert len(make_blocks(parsed, np.array([0]), one).data)
    with pytest.raises(ExampleError, match="has a feature 'weight'"):
        make_blocks(parsed, np.array([1]), one)
    assert b"NL_nbr_0_w\x12" in make_blocks(parsed, np.array([1]), one, "w").data.tobytes()
    with pytest.raises(ExampleError, match="has a feature 'w' already") as caught:
        make_blocks(parsed, np.array([0, 2]), np.ones(2, np.int64), "w")
    assert caught.value.index == 2
