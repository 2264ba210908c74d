"""`formats.tfrecord.sample`: records from many places, each of them one of the file."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nsl_tools.errors import DataError
from nsl_tools.files.streams import source
from nsl_tools.formats.tfrecord.frames import frame
from nsl_tools.formats.tfrecord.sample import sample_records

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.own_memory("thousands of rows, in blocks of some, would take minutes")
PACKERS: list[Callable[[bytes], bytes]] = [bytes, gzip.compress, zlib.compress]


def payloads(count: int, longest: int, seed: int) -> list[bytes]:
    """Return records of varied lengths, none like another."""
    random = np.random.default_rng(seed)
    sizes = random.integers(0, longest + 1, count)
    return [b"%06d" % i + random.bytes(int(size)) for i, size in enumerate(sizes)]


@settings(max_examples=25)
@given(count=st.integers(1, 400), longest=st.integers(0, 900), seed=st.integers(0, 99))
@pytest.mark.parametrize("pack", PACKERS)
def test_small_files_are_read_whole(
    tmp_path_factory: pytest.TempPathFactory,
    pack: Callable[[bytes], bytes],
    count: int,
    longest: int,
    seed: int,
) -> None:
    path = tmp_path_factory.mktemp("whole") / "r"
    written = payloads(count, longest, seed)
    path.write_bytes(pack(frame(*written)))
    found = sample_records(source(str(path)), 1 << 20)
    assert [payload for batch in found.batches for payload in batch.payloads] == written
    assert found.is_whole
    assert found.expected == count
    assert found.framed() == frame(*written)


@settings(max_examples=15)
@given(longest=st.integers(0, 900), seed=st.integers(0, 99))
@pytest.mark.parametrize("pack", PACKERS)
def test_of_large_files_some_records_are_read(
    tmp_path_factory: pytest.TempPathFactory,
    pack: Callable[[bytes], bytes],
    longest: int,
    seed: int,
) -> None:
    path = tmp_path_factory.mktemp("some") / "r"
    written = payloads(6000, longest, seed)
    path.write_bytes(pack(frame(*written)))
    most = 60_000 + 150 * longest
    found = sample_records(source(str(path)), most)
    read = [payload for batch in found.batches for payload in batch.payloads]
    assert set(read) <= set(written)
    assert len(set(read)) == len(read)
    assert not found.is_whole
    assert found.expected == pytest.approx(6000, rel=0.1)
    assert len(found.framed()) <= max(most, 3 << 20)
    if pack is bytes:
        numbers = [int(payload[:6]) for payload in read]
        assert numbers == sorted(numbers)
        assert max(numbers) > 5800  # the last places are among them
        assert min(numbers) == 0


def test_records_that_fit_no_piece_are_the_first_ones(tmp_path: Path) -> None:
    path = tmp_path / "r"
    written = payloads(8, 0, 0) + [bytes(3_000_000)] * 4
    path.write_bytes(frame(*written[::-1]))
    found = sample_records(source(str(path)), 1 << 20)
    assert found.count >= 1
    path.write_bytes(frame(*written[8:]))
    found = sample_records(source(str(path)), 1 << 20)
    assert found.batches[0].payloads[0] == written[-1]


def test_long_records_are_not_missed(tmp_path: Path) -> None:
    """Half of the records are as long as two pieces."""
    path = tmp_path / "r"
    random = np.random.default_rng(0)
    written = [random.bytes(int(size)) for size in random.choice([50, 40_000], 1000)]
    path.write_bytes(frame(*written))
    found = sample_records(source(str(path)), 64 * 20_000)
    assert found.expected == pytest.approx(1000, rel=0.35)
    lengths = [len(payload) for batch in found.batches for payload in batch.payloads]
    assert np.mean(lengths) == pytest.approx(20_000, rel=0.35)


def test_what_is_no_record_is_refused_as_it_is_when_read(tmp_path: Path) -> None:
    path = tmp_path / "r"
    path.write_bytes(b"a\tb\t1\n" * 1000)
    with pytest.raises(DataError, match="not a TFRecord file"):
        sample_records(source(str(path)), 100)
