"""Examples that are written from Python and NumPy values hold these values."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import right_features
from support import read_payloads

import nsl_tools as nsl
from nsl_tools.errors import UsageError
from nsl_tools.formats.example_writer import encode_row

LISTS = st.one_of(
    st.lists(st.integers(-(1 << 63), (1 << 63) - 1), min_size=1),
    st.lists(st.floats(width=32), min_size=1),
    st.lists(st.binary(), min_size=1),
)


def expected(values: list[Any]) -> tuple[str, object]:
    if isinstance(values[0], float):
        return "float", struct.pack(f"<{len(values)}f", *values)
    return "bytes" if isinstance(values[0], bytes) else "int64", values


@given(st.dictionaries(st.text(), LISTS, max_size=4))
def test_protobuf_finds_the_values_that_were_written(row: dict[str, list[Any]]) -> None:
    found = right_features(encode_row(row))
    assert found == {name.encode(): expected(values) for name, values in row.items()}


@pytest.mark.parametrize(
    ("value", "kind", "values"),
    [
        ("é", "bytes", ["é".encode()]),
        (b"a\0", "bytes", [b"a\0"]),
        (("a", b"b"), "bytes", [b"a", b"b"]),
        (np.array(["a", "bc"]), "bytes", [b"a", b"bc"]),
        (np.array([b"a\0", "b"], object), "bytes", [b"a\0", b"b"]),
        (7, "int64", [7]),
        (np.int8(-7), "int64", [-7]),
        (np.array([[1, 2], [3, 4]], np.uint8), "int64", [1, 2, 3, 4]),
        ([True, False], "int64", [1, 0]),
        (0.5, "float", struct.pack("<f", 0.5)),
        (np.array([[0.5], [2.0]], np.float16), "float", struct.pack("<2f", 0.5, 2.0)),
        (np.array([np.inf]), "float", struct.pack("<f", np.inf)),
        ([], "empty", None),
        (np.array([], np.float32), "float", b""),
    ],
)
def test_values_of_every_type(value: object, kind: str, values: object) -> None:
    assert right_features(encode_row({"name": value})) == {b"name": (kind, values)}


def test_none_is_left_out() -> None:
    assert right_features(encode_row({"a": None, "b": 1})) == {b"b": ("int64", [1])}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (1j, "row 3: expected text, bytes or numbers, received 1j"),
        (["a", 1], "row 3: expected text or bytes, received 1"),
        ([1, None], "row 3: expected text or bytes, received 1"),
        (np.array([1 << 63], np.uint64), "whole numbers that fit int64, received 9223372036854775"),
        ([1e300], "row 3: expected numbers that fit float32, received 1e\\+300"),
    ],
)
def test_what_an_example_does_not_hold(value: object, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        encode_row({"name": value}, 3)


def test_rows_to_a_file_and_to_shards(tmp_path: Path) -> None:
    rows = [{"id": f"{i}", "x": np.arange(i, dtype=np.float32)} for i in range(5)]
    nsl.data.write_examples(str(tmp_path / "one.tfr.gz"), rows)
    nsl.data.write_examples(str(tmp_path / "many@3"), iter(rows))
    shards = sorted(tmp_path.glob("many-0*"))
    found = [payload for path in shards for payload in read_payloads(path)]
    assert len(shards) == 3
    assert (tmp_path / "one.tfr.gz").read_bytes().startswith(b"\x1f\x8b")
    assert read_payloads(tmp_path / "one.tfr.gz") == found
    assert found == [encode_row(row) for row in rows]


def test_a_row_that_cannot_be_written_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="row 1"):
        nsl.data.write_examples(str(tmp_path / "x.tfr"), [{"a": 1}, {"a": 1j}])
    assert not list(tmp_path.iterdir())
