"""Blocks for ranges of seeds: each range gets what it needs, held once or copied to each."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.pack_nbrs.neighbor_blocks import GAP_BYTES
from nsl_tools.pack_nbrs.neighbor_store import META, BlockStore, Pool, need_keys
from nsl_tools.tuning import TUNING


@dataclass(frozen=True)
class Block:
    """One block: its row, the digits of its rank, its bytes with gaps, and who needs it."""

    row: int
    digits: int
    length: int
    gaps: int
    data: bytes
    ranges: list[int]

    @property
    def key(self) -> int:
        """By which it is asked for."""
        return int(need_keys(np.array([self.row]), np.array([self.digits]))[0])


@st.composite
def batches(draw: st.DrawFn, ranges: int) -> list[list[Block]]:
    """Draw batches of blocks, by row and digits; rows lie close together or far apart."""
    apart = draw(st.sampled_from([1, 1000, 1 << 24]))
    rows = st.tuples(st.integers(0, 9), st.integers(1, 3))
    found = []
    for number in range(draw(st.integers(0, 4))):
        batch = []
        for row, digits in sorted(draw(st.sets(rows, max_size=5))):
            length, gaps = draw(st.sampled_from([0, 1, 7, 300])), draw(st.integers(0, 3))
            data = draw(st.binary(min_size=1, max_size=9)) * 400
            needs = draw(st.sets(st.integers(0, ranges - 1), min_size=1))
            whole = data[: length + GAP_BYTES * gaps]
            place = (10 * number + row) * apart
            batch.append(Block(place, digits, length, gaps, whole, sorted(needs)))
        found.append(batch)
    return found


def add(store: BlockStore, batch: list[Block], data: st.DataObject) -> None:
    """Add a batch of blocks, and who needs them, in any order."""
    meta = np.array([(b.key, b.length, b.gaps) for b in batch], META)
    needs = [(place, part) for place, b in enumerate(batch) for part in b.ranges]
    needs = data.draw(st.permutations(needs))
    places, ranges = np.array(needs, np.int64).reshape(-1, 2).T
    store.add(meta, np.frombuffer(b"".join(b.data for b in batch), np.uint8), places, ranges)


def held(pool: Pool, keys: list[int]) -> list[tuple[int, int, bytes]]:
    """Return length, gaps and bytes of the blocks that a pool has for keys."""
    found = []
    for place in pool.places_of(np.array(keys, np.uint64)).tolist():
        start, length, gaps = (int(a[place]) for a in (pool.starts, pool.lengths, pool.gaps))
        end = start + length + GAP_BYTES * gaps
        found.append((length, gaps, pool.data[start:end].tobytes()))
    return found


@pytest.mark.parametrize("ranges", [1, 2, 5])
@given(
    data=st.data(),
    allowance=st.sampled_from([0, 600, 10**6]),
    right=st.booleans(),
    piece=st.sampled_from([10, 1 << 22]),
)
def test_each_range_gets_the_blocks_it_needs(
    ranges: int, data: st.DataObject, allowance: int, right: bool, piece: int
) -> None:
    """Whether they are spilled or not, and were expected to be as many as they are or none.

    However many are copied together.
    """
    drawn = data.draw(batches(ranges))
    blocks = [block for batch in drawn for block in batch]
    size = sum(len(block.data) for block in blocks)
    pieces = mock.patch.object(TUNING, "copied_bytes", piece)
    with contextlib.ExitStack() as stack, pieces:
        store = BlockStore(ranges, allowance, size if right else 0, stack)
        for batch in drawn:
            add(store, batch, data)
        few = ranges == 1 or size <= allowance / 2
        assert store.will_copy(1.0) != few
        store.complete()
        copies = sum(len(block.data) * len(block.ranges) for block in blocks)
        assert store.copied == (0 if few else copies)
        count = 0
        for number, pool in enumerate(store.pools()):
            needed = [block for block in blocks if number in block.ranges]
            wanted = data.draw(st.permutations(needed))
            expected = [(block.length, block.gaps, block.data) for block in wanted]
            assert held(pool, [block.key for block in wanted]) == expected
            assert (np.diff(pool.keys.astype(np.int64)) > 0).all()
            assert len(pool.keys) == len(blocks if few else needed)
            count += 1
        assert count == ranges


@given(st.lists(st.tuples(st.integers(0, (1 << 32) - 1), st.integers(1, 10)), max_size=20))
def test_keys_are_ordered_by_row_then_digits(pairs: list[tuple[int, int]]) -> None:
    """Each pair has another, whatever type rows have."""
    rows, digits = np.array(pairs, np.int64).reshape(-1, 2).T
    keys = need_keys(rows.astype(np.uint32), digits)
    assert keys.tolist() == need_keys(rows, digits).tolist()
    by_key = [pair for _, pair in sorted(zip(keys.tolist(), pairs, strict=True))]
    assert by_key == sorted(pairs)
    assert len(set(keys.tolist())) == len(set(pairs))
