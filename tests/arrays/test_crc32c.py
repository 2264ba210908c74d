"""Checksums of many records at once: as their own checksums promise them."""

from __future__ import annotations

import google_crc32c
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.arrays.crc32c import promised_crc
from nsl_tools.errors import DataError
from nsl_tools.files.streams import source
from nsl_tools.formats.tfrecord.frames import frame
from nsl_tools.formats.tfrecord.reader import read_batches


def _footers(framed: bytes, count: int) -> np.ndarray:
    records = np.frombuffer(framed, np.uint8).reshape(count, -1)
    return records[:, -4:].copy().view("<u4")[:, 0]


@given(count=st.integers(1, 300), length=st.integers(0, 50), seed=st.integers(0, 99))
def test_the_promise_is_the_checksum_of_all(count: int, length: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    framed = frame(*(random.bytes(length) for _ in range(count)))
    assert promised_crc(framed[:12], _footers(framed, count)) == google_crc32c.value(framed)


def test_more_records_than_two_rounds_fold() -> None:
    count = 64 * 64 * 2 + 1
    framed = frame(*(b"%06d" % i for i in range(count)))
    assert promised_crc(framed[:12], _footers(framed, count)) == google_crc32c.value(framed)


@given(
    damage=st.lists(
        st.tuples(st.integers(0, 99), st.integers(0, 20), st.integers(1, 255)),
        min_size=1,
        max_size=3,
        unique_by=lambda one: one[:2],
    )
)
def test_damage_is_noticed(damage: list[tuple[int, int, int]]) -> None:
    """Bytes of payloads and footers that are changed break the promise."""
    framed = bytearray(frame(*(b"payload of %06d" % i for i in range(100))))
    stride = len(framed) // 100
    for record, byte, change in damage:
        framed[record * stride + 12 + byte] ^= change
    found = google_crc32c.value(bytes(framed))
    assert promised_crc(bytes(framed[:12]), _footers(bytes(framed), 100)) != found


@pytest.mark.parametrize("wrong", [(5,), (99,), (7, 12, 50)])
def test_the_first_damaged_record_is_named(
    tmp_path_factory: pytest.TempPathFactory, wrong: tuple[int, ...]
) -> None:
    framed = bytearray(frame(*(b"payload of %06d" % i for i in range(100))))
    for record in wrong:
        framed[record * (len(framed) // 100) + 14] ^= 1
    path = tmp_path_factory.mktemp("records") / "some.tfr"
    path.write_bytes(framed)
    with pytest.raises(DataError, match=f"record {wrong[0]} at .* does not match its checksum"):
        list(read_batches(source(str(path))))
