"""A matrix of numbers in an open file: what each format of matrices becomes."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from nsl_tools.errors import DataError
from nsl_tools.formats.numbers import NUMBER_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from nsl_tools.files.streams import ByteStream, Rewindable

    Numbers = npt.NDArray[np.generic]

EXPECTED = "expected a matrix of numbers"


class NumberMatrix(ABC):
    """A matrix of shape (n, d) of one of `NUMBER_KINDS`, in a file.

    Attributes:
        path: the file, and what it calls the matrix, for messages.
        shape: rows and columns.
        dtype: of its numbers.
    """

    def __init__(self, path: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Take a matrix.

        Raises:
            DataError: it is none, or not of numbers.
        """
        is_number = dtype.newbyteorder("=").str.lstrip("<>=|") in NUMBER_KINDS
        if len(shape) != 2 or not is_number or dtype.names:  # noqa: PLR2004 - rows and columns
            raise DataError(path, "", f"shape {shape} of {shown_type(dtype)}, {EXPECTED}")
        if not shape[1]:
            raise DataError(path, "", "dimension 0, expected at least 1")
        self.path = path
        self.shape = int(shape[0]), int(shape[1])
        self.dtype = dtype

    @property
    def row_bytes(self) -> int:
        """The bytes that a row takes in memory."""
        return self.shape[1] * self.dtype.itemsize

    def blocks(self, block_bytes: int) -> Iterator[Numbers]:
        """Yield all rows, in order, in blocks of shape (m, d) of about `block_bytes`.

        Raises:
            DataError: they cannot be read.
        """
        step = self.rows_at_once(block_bytes)
        for first in range(0, self.shape[0], step):
            yield self.read(first, min(step, self.shape[0] - first))

    def rows_at_once(self, block_bytes: int) -> int:
        """Return how many rows to read together, for about `block_bytes`."""
        return max(1, block_bytes // self.row_bytes)

    @abstractmethod
    def read(self, first: int, count: int) -> Numbers:
        """Return rows, shape (count, d); each is asked for once, in order.

        Raises:
            DataError: they cannot be read.
        """

    def read_at(self, first: int, count: int) -> Numbers:
        """Return rows as `read` does, of any place after those that were read before.

        Raises:
            DataError: they cannot be read.
        """
        return self.read(first, count)


class RowMatrix(NumberMatrix):
    """A matrix that is read row after row from a stream, which is at the first."""

    def __init__(
        self, path: str, shape: tuple[int, ...], dtype: np.dtype[Any], stream: ByteStream
    ) -> None:
        super().__init__(path, shape, dtype)
        self._stream = stream
        self._next = 0

    def read(self, first: int, count: int) -> Numbers:  # noqa: ARG002 - all are read in order
        """Return the next rows."""
        block = np.empty((count, self.shape[1]), self.dtype)
        fill(self._stream, block, self.path)
        self._next += count
        return block

    def read_at(self, first: int, count: int) -> Numbers:
        """Return rows, and pass over those before them."""
        # All that matrices are read from can do so, though reading them in order does not ask it.
        self._stream.seek((first - self._next) * self.row_bytes, os.SEEK_CUR)  # type: ignore[attr-defined]
        self._next = first
        return self.read(first, count)


class ColumnMatrix(NumberMatrix):
    """A matrix that lies column after column in a file, as Fortran has it."""

    def __init__(
        self,
        path: str,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        file: tuple[Rewindable, int],
    ) -> None:
        """Take the file, and where in it the first column starts."""
        super().__init__(path, shape, dtype)
        self._file, self._offset = file

    def rows_at_once(self, block_bytes: int) -> int:
        """Return how many rows to read together: more, since each column is read apart."""
        return super().rows_at_once(8 * block_bytes)

    def read(self, first: int, count: int) -> Numbers:
        """Return rows: a piece of each column."""
        block = np.empty((self.shape[1], count), self.dtype)
        for column, piece in enumerate(block):
            place = column * self.shape[0] + first
            self._file.seek(self._offset + place * self.dtype.itemsize)
            fill(self._file, piece, self.path)
        return np.asarray(block.T)


def fill(stream: ByteStream, array: Numbers, path: str) -> None:
    """Fill an array in C order with the next bytes of a stream.

    Raises:
        DataError: there are fewer.
    """
    left = array.reshape(-1).view(np.uint8).data
    readinto = getattr(stream, "readinto", None)
    while left:
        if readinto:
            count = readinto(left)
        else:
            data = stream.read(len(left))
            count = len(data)
            left[:count] = data
        if not count:
            raise DataError(path, "", "ends early: it was cut while it was read")
        left = left[count:]


def check_size(path: str, found: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse a matrix of `found` bytes, if that is not what its shape and type take.

    Raises:
        DataError: it is not.
    """
    expected = shape[0] * shape[1] * dtype.itemsize
    if found == expected:
        return
    cause = "the file is cut" if found < expected else "bytes follow the array"
    problem = (
        f"{found} bytes of numbers, expected {expected} for shape {shape} of "
        f"{shown_type(dtype)}: {cause}"
    )
    raise DataError(path, "", problem)


def shown_type(dtype: np.dtype[Any]) -> str:
    """Return a type of numbers in words."""
    return str(dtype) if dtype.kind != "V" else dtype.str
