"""Matrices of float32 rows that may be larger than the memory: in memory, or in a scratch file.

All are read alike: `matrix[rows]` returns an array, for a slice or for row
numbers in any order. A scratch file is read into buffers, not mapped, since mapped
pages count as memory of the process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from nsl_tools.groups import blocks
from nsl_tools.scratch import ScratchFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from typing_extensions import Self

_GAP_BYTES, _RUN_BYTES = 1 << 14, 1 << 20

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


class ScratchMatrix:
    """A matrix of shape (n, d) in a scratch file, row after row."""

    def __init__(self, file: ScratchFile, shape: tuple[int, int]) -> None:
        self._file = file
        self.shape = shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | Rows) -> Floats:
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(len(self))
            return self._read(start, max(start, stop))
        distinct, places = np.unique(rows, return_inverse=True)
        found = np.empty((len(distinct), self.shape[1]), np.float32)
        for start, stop in self._runs(distinct):
            run = distinct[start:stop]
            found[start:stop] = self._read(int(run[0]), int(run[-1]) + 1)[run - run[0]]
        return found[places]

    def _runs(self, rows: Rows) -> Iterator[tuple[int, int]]:
        """Yield start and stop of the parts of ascending `rows` that are near each other.

        Reading the rows between them costs less than another call; a run is of bounded size.
        """
        width = max(1, 4 * self.shape[1])
        apart = np.diff(rows) > max(1, _GAP_BYTES // width)
        full = np.diff(rows // max(1, _RUN_BYTES // width)) > 0
        borders = (np.flatnonzero(apart | full) + 1).tolist()
        return zip([0, *borders], [*borders, len(rows)], strict=True) if len(rows) else iter(())

    def _read(self, start: int, stop: int) -> Floats:
        found = np.empty((stop - start, self.shape[1]), np.float32)
        if found.size:
            self._file.read_into(found.data, 4 * self.shape[1] * start)
        return found


@dataclass(frozen=True)
class Selected:
    """Some rows of a scratch matrix, as a matrix."""

    matrix: ScratchMatrix
    rows: Rows

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (n, d)."""
        return len(self.rows), self.matrix.shape[1]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice | Rows) -> Floats:
        return self.matrix[self.rows[rows]]


Matrix: TypeAlias = Floats | ScratchMatrix | Selected


def select(matrix: Matrix, rows: Rows) -> Matrix:
    """Return some rows of a matrix as a matrix, in memory if the whole is."""
    if isinstance(matrix, Selected):
        return Selected(matrix.matrix, matrix.rows[rows])
    return Selected(matrix, rows) if isinstance(matrix, ScratchMatrix) else matrix[rows]


def row_hashes(matrix: Matrix) -> npt.NDArray[np.uint64]:
    """Return a number for each row of `matrix`, shape (n, d), the same for rows of equal bytes.

    Rows that differ have the same number with a probability of 2^-63, if they are not made to.
    """
    random = np.random.default_rng(0)
    factors = random.integers(0, 1 << 63, matrix.shape[1], np.uint64) << np.uint64(1) | np.uint64(1)
    hashes = np.empty(len(matrix), np.uint64)
    for block in blocks(len(matrix)):
        bits = matrix[block].view(np.uint32).astype(np.uint64)
        hashes[block] = np.einsum("ij,j->i", bits, factors)
    return hashes


class MatrixStore:
    """Keeps matrices, each in memory as long as it takes no more than `budget` bytes.

    A context manager: it ends the life of its scratch files.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._files: list[ScratchFile] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._files:
            file.__exit__(kind, error, trace)

    @property
    def spilled(self) -> bool:
        """Whether anything is in a scratch file."""
        return bool(self._files)

    def writer(self, expected: int = 0) -> MatrixWriter:
        """Return the means to write one matrix, row by row, of about `expected` bytes at most."""
        return MatrixWriter(self, expected)

    def file(self) -> ScratchFile:
        """Return a new scratch file."""
        self._files.append(ScratchFile())
        return self._files[-1]


class MatrixWriter:
    """Collects blocks of rows to a matrix; see `MatrixStore`."""

    def __init__(self, store: MatrixStore, expected: int) -> None:
        self._store = store
        # Takes memory only as it is filled, and saves a copy of all at the end.
        self._room = np.empty(min(expected, store.budget) // 4, np.float32)
        self._filled = 0
        self._blocks: list[Floats] = []
        self._file: ScratchFile | None = None
        self._bytes = 0
        self._shape = (0, 0)

    @property
    def shape(self) -> tuple[int, int]:
        """The shape so far; (0, 0) before the first block."""
        return self._shape

    def room(self, shape: tuple[int, int]) -> Floats:
        """Return where the next rows may be put, before they are appended: that saves a copy."""
        end = self._filled + shape[0] * shape[1]
        if end <= len(self._room) and not self._blocks:
            return self._room[self._filled : end].reshape(shape)
        return np.empty(shape, np.float32)

    def append(self, block: Floats) -> None:
        """Add rows, shape (m, d)."""
        self._shape = (self._shape[0] + len(block), block.shape[1])
        if not block.size:
            return
        self._bytes += block.nbytes
        end = self._filled + block.size
        if end <= len(self._room) and not self._blocks:
            if block.base is not self._room:
                self._room[self._filled : end] = block.ravel()
            self._filled = end
        else:
            self._blocks.append(block)
        if self._bytes > self._store.budget:
            self._spill()

    def _spill(self) -> None:
        self._file = self._file or self._store.file()
        for waiting in self._waiting():
            self._file.write(np.ascontiguousarray(waiting).data)
        self._room, self._filled, self._blocks = self._room[:0], 0, []

    def _waiting(self) -> list[Floats]:
        """Return what is in memory, in order, end to end."""
        return [self._room[: self._filled], *(block.ravel() for block in self._blocks)]

    def finish(self) -> Matrix:
        """Return the matrix."""
        if self._file is not None:
            return ScratchMatrix(self._file, self._shape)
        values = self._waiting()
        whole = values[0] if len(values) == 1 else np.concatenate(values)
        return whole.reshape(self._shape)
