"""`formats.tfrecord.frames`: records are framed as TensorFlow frames them, damage is found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.formats.tfrecord.frames import (
    FOOTER_BYTES,
    HEADER_BYTES,
    first_damaged,
    footers_of,
    frame,
    frame_header,
    frame_headers,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_a_frame_is_tensorflows(tf: Any, tmp_path: Path) -> None:
    payloads = [b"", b"x", bytes(range(256)) * 9]
    with tf.io.TFRecordWriter(str(tmp_path / "f")) as writer:
        for payload in payloads:
            writer.write(payload)
    assert (tmp_path / "f").read_bytes() == frame(*payloads)


@given(st.lists(st.integers(0, 2**32 - 1), max_size=20))
def test_many_headers_are_those_of_each(lengths: list[int]) -> None:
    found = frame_headers(np.array(lengths, np.int64))
    assert [row.tobytes() for row in found] == [frame_header(length) for length in lengths]


@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize("wrong", [None, 0, 37, 99])
def test_the_first_damaged_record_is_found(wrong: int | None, *, alike: bool) -> None:
    """Among records of one length, which are summed together, and of any."""
    payloads = [b"%06d" % i + b"x" * (0 if alike else i % 7) for i in range(100)]
    data = bytearray(frame(*payloads))
    bounds = np.cumsum([0, *(len(payload) + HEADER_BYTES + FOOTER_BYTES for payload in payloads)])
    starts, ends = bounds[:-1] + HEADER_BYTES, bounds[1:] - FOOTER_BYTES
    if wrong is not None:
        data[starts[wrong] + 3] ^= 1
        data[starts[99]] ^= 1
    whole = bytes(data)
    assert first_damaged(whole, starts, ends, footers_of(whole, ends)) == wrong
