"""Ids taken in order, from blocks of any size, and the types that can be ids."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.formats.ids.row_ids import BlockIds, RowIds, RowNumbers, holds_ids, id_texts


@given(blocks=st.lists(st.lists(st.binary() | st.none())), counts=st.lists(st.integers(0, 9)))
def test_ids_are_taken_as_they_come(blocks: list[list[bytes | None]], counts: list[int]) -> None:
    every = [node for block in blocks for node in block]
    ids = BlockIds("f", (pa.array(block, pa.binary()) for block in blocks))
    found = [node for count in counts for node in ids.take(count).to_pylist()]
    assert found == every[: sum(counts)]
    assert ids.taken == len(found)
    assert ids.rest() == len(every) - len(found)


def test_numbers_are_as_many_as_rows() -> None:
    ids: RowIds = RowNumbers()
    assert ids.take(3).to_pylist() == [b"0", b"1", b"2"]
    assert ids.take(2).to_pylist() == [b"3", b"4"]
    assert (ids.taken, ids.rest(), ids.name) == (5, 0, "")


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (pa.string(), ["é", None], ["é".encode(), None]),
        (pa.large_string(), ["a"], [b"a"]),
        (pa.binary(), [b"\xff"], [b"\xff"]),
        (pa.binary(2), [b"ab"], [b"ab"]),
        (pa.dictionary(pa.int8(), pa.string()), ["b", "a", "b"], [b"b", b"a", b"b"]),
        (pa.int64(), [-1, None], [b"-1", None]),
        (pa.uint64(), [(1 << 64) - 1], [b"18446744073709551615"]),
    ],
)
def test_texts_and_whole_numbers_are_ids(
    kind: pa.DataType, values: list[object], expected: list[bytes]
) -> None:
    assert holds_ids(kind)
    found = id_texts(pa.array(values, kind))
    assert found.type == pa.binary()
    assert found.to_pylist() == expected


@pytest.mark.parametrize(
    "kind", [pa.float32(), pa.bool_(), pa.list_(pa.string()), pa.date32(), pa.decimal128(5)]
)
def test_nothing_else_is_an_id(kind: pa.DataType) -> None:
    assert not holds_ids(kind)
