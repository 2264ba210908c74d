"""Numbers of every type as float32."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.formats.numbers import NUMBER_KINDS, as_float32

PLAIN = [kind for kind in NUMBER_KINDS if kind != "V2"]


@given(kind=st.sampled_from(PLAIN), order=st.sampled_from("<>"), data=st.data())
def test_a_number_is_the_nearest_one_or_lost(kind: str, order: str, data: st.DataObject) -> None:
    values = st.floats(width=64)
    if np.dtype(kind).kind != "f":
        values = st.integers(np.iinfo(kind).min, np.iinfo(kind).max)
    with np.errstate(all="ignore"):
        numbers = np.full((2, 3), data.draw(values), order + kind)
        found, lost = as_float32(numbers)
        right = numbers.astype(np.float32)
    np.testing.assert_array_equal(found, right)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    exact = np.dtype(kind).kind == "f" or abs(int(numbers[0, 0])) <= 1 << 24
    assert lost.tolist() == ([] if exact else list(range(6)))


@given(st.integers(0, (1 << 16) - 1))
def test_bfloat16_is_the_upper_half_of_a_float32(half: int) -> None:
    found, lost = as_float32(np.array([half], "<u2").view("V2"))
    (right,) = struct.unpack("<f", struct.pack("<I", half << 16))
    np.testing.assert_array_equal(found, np.float32([right]))
    assert not len(lost)


@pytest.mark.parametrize("kind", ["f4", "V2"])
def test_columns_become_rows(kind: str) -> None:
    numbers = np.arange(6, dtype="f4").reshape(2, 3)
    values = numbers if kind == "f4" else (numbers.view("u4") >> 16).astype("u2").view("V2")
    found, _ = as_float32(values.T)
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, numbers.T)
