"""Matrices in memory and in scratch files: read alike."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.spill.matrix import MatrixStore, ScratchMatrix, reordered, row_hashes, select
from nsl_tools.tuning import TUNING


@given(
    sizes=st.lists(st.integers(0, 9), max_size=6),
    width=st.integers(1, 5),
    budget=st.sampled_from([0, 60, 10**6]),
    room=st.sampled_from([0, 50, 10**5]),
    gap=st.sampled_from([4, 40, 10**4]),
    data=st.data(),
)
def test_a_matrix_reads_as_the_blocks_written(
    sizes: list[int], width: int, budget: int, room: int, gap: int, data: st.DataObject
) -> None:
    """By slice, by row numbers in any order and repeated, whole and as a selection.

    The same if it was put into another order, and whatever is read together.
    """
    random = np.random.default_rng(0)
    parts = [random.normal(size=(size, width)).astype(np.float32) for size in sizes]
    expected = np.concatenate([np.empty((0, width), np.float32), *parts])
    numbers = st.integers(0, max(0, len(expected) - 1))
    rows, again = (
        np.array(data.draw(st.lists(numbers, max_size=20 if len(expected) else 0)), np.int64)
        for _ in range(2)
    )
    with MatrixStore(budget) as store, pytest.MonkeyPatch.context() as patch:
        patch.setattr(TUNING, "gap_bytes", gap)
        patch.setattr(TUNING, "gather_bytes", 10 * gap)
        writer = store.writer(room)
        for part in parts:
            place = writer.new_rows(part.shape) if data.draw(st.booleans()) else np.empty_like(part)
            place[:] = part
            writer.append(place)
        matrix = writer.finish()
        assert isinstance(matrix, ScratchMatrix) == (expected.nbytes > budget)
        if not parts:
            return
        assert matrix.shape == expected.shape
        assert np.array_equal(matrix[rows], expected[rows])
        start, stop = (data.draw(st.integers(0, len(expected) + 2)) for _ in range(2))
        assert np.array_equal(matrix[start:stop], expected[start:stop])
        chosen = select(matrix, rows)
        assert chosen.shape == (len(rows), width)
        again = again[again < len(rows)]
        assert np.array_equal(chosen[again], expected[rows][again])
        assert np.array_equal(select(chosen, again)[:], expected[rows][again])
        distinct = np.array(list(dict.fromkeys(rows.tolist())), np.int64)
        assert np.array_equal(reordered(matrix, distinct, store)[rows], expected[rows])


@given(st.lists(st.lists(st.integers(0, 1), min_size=3, max_size=3), min_size=1, max_size=300))
def test_equal_rows_and_no_others_share_a_number(rows: list[list[int]]) -> None:
    hashes = row_hashes(np.array(rows, np.float32)).tolist()
    assert len(set(hashes)) == len(set(map(tuple, rows)))
    assert len(set(zip(hashes, map(tuple, rows), strict=True))) == len(set(hashes))


@pytest.mark.slow
def test_rows_that_differ_in_signs_alone_have_their_own_numbers() -> None:
    """Bits at the top of a word, which products modulo 2^64 nearly lose; whatever the secret."""
    signs = np.random.default_rng(0).choice(np.array([-1, 1], np.float32), (300_000, 40))
    assert len(set(row_hashes(signs).tolist())) == len(np.unique(signs, axis=0))
    assert (row_hashes(signs[:9]) != row_hashes(signs[:9])).all()


def test_scratch_files_are_closed_with_their_store() -> None:
    with MatrixStore(0) as store:
        writer = store.writer()
        writer.append(np.ones((2, 2), np.float32))
        matrix = writer.finish()
        assert matrix[:].tolist() == [[1, 1], [1, 1]]
    with pytest.raises(ValueError, match="closed"):
        matrix[:]
