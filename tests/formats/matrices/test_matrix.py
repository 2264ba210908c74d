"""Matrices in open files, row after row or column after column."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.errors import DataError
from nsl_tools.formats.matrices.matrix import ColumnMatrix, RowMatrix, check_size


class Trickle(io.BytesIO):
    """A file that gives a few bytes at a time."""

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill some bytes of a buffer."""
        return super().readinto(buffer[:3])


class Stream:
    """What can only be read: a member of a zip file, say."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int, /) -> bytes:
        """Return some bytes."""
        return self._file.read(min(5, size))


@given(
    shape=st.tuples(st.integers(0, 9), st.integers(1, 9)),
    kind=st.sampled_from(["<f4", ">f2", "|i1", "V2"]),
    block_bytes=st.integers(1, 100),
    before=st.binary(max_size=5),
    seed=st.integers(0, 99),
)
def test_blocks_are_the_matrix(
    shape: tuple[int, int], kind: str, block_bytes: int, before: bytes, seed: int
) -> None:
    """Whatever their size, the order of the numbers, and how the file comes."""
    size = shape[0] * shape[1] * np.dtype(kind).itemsize
    data = np.random.default_rng(seed).bytes(size)
    right = np.frombuffer(data, kind).reshape(shape)
    columns = before + np.asfortranarray(right).tobytes("F")
    for matrix in (
        RowMatrix("f", shape, np.dtype(kind), Trickle(data)),
        RowMatrix("f", shape, np.dtype(kind), Stream(data)),
        ColumnMatrix("f", shape, np.dtype(kind), (Trickle(columns), len(before))),
    ):
        blocks = list(matrix.blocks(block_bytes))
        assert sum(map(len, blocks)) == shape[0]
        assert all(block.shape[1] == shape[1] for block in blocks)
        assert b"".join(block.tobytes() for block in blocks) == data


@pytest.mark.parametrize(
    ("shape", "kind", "problem"),
    [
        ((2,), "f4", r"f: shape \(2,\) of float32, expected a matrix of numbers"),
        ((2, 3, 4), "f4", r"f: shape \(2, 3, 4\) of float32, expected a matrix of numbers"),
        ((2, 3), "c8", "of complex64, expected a matrix"),
        ((2, 3), "f4,f4", "expected a matrix"),
        ((2, 3), "V4", r"of \|V4, expected a matrix"),
        ((2, 0), "f4", "f: dimension 0, expected at least 1"),
    ],
)
def test_what_is_no_matrix_of_numbers(shape: tuple[int, ...], kind: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        RowMatrix("f", shape, np.dtype(kind), io.BytesIO())


def test_a_file_that_ends_early() -> None:
    matrix = RowMatrix("f", (3, 2), np.dtype("f4"), io.BytesIO(bytes(20)))
    with pytest.raises(DataError, match="f: ends early: it was cut while it was read"):
        list(matrix.blocks(8))


@pytest.mark.parametrize(("found", "cause"), [(23, "the file is cut"), (25, "bytes follow")])
def test_a_size_that_is_not_that_of_the_shape(found: int, cause: str) -> None:
    check_size("f", 24, (3, 2), np.dtype("f4"))
    with pytest.raises(DataError, match=f"f: {found} bytes of numbers, expected 24 .*: {cause}"):
        check_size("f", found, (3, 2), np.dtype("f4"))
