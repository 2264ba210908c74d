"""Matrices of float32 rows that may be larger than the memory: in memory, or in a scratch file.

All are read alike: `matrix[rows]` returns an array, for a slice or for row
numbers in any order. A scratch file is read into buffers, not mapped, since mapped
pages count as memory of the process.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.groups import HALF_WORD, blocks
from nsl_tools.progress import Progress
from nsl_tools.spill.scratch import ScratchFile, announce
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

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
        step = max(1, TUNING.gather_bytes // (TUNING.gap_bytes + self._width))
        for start in range(0, len(distinct), step):
            part = slice(start, start + step)
            found[part] = self._read_apart(distinct[part])
        return found[places]

    @property
    def _width(self) -> int:
        return 4 * self.shape[1]

    def _read_apart(self, rows: Rows) -> Floats:
        """Return `rows`, which ascend; those near each other are read at once."""
        # Reading the rows between them costs less than another call.
        breaks = np.flatnonzero(np.diff(rows) > max(1, TUNING.gap_bytes // max(1, self._width))) + 1
        firsts = rows[np.r_[0, breaks]]
        counts = rows[np.r_[breaks, len(rows)] - 1] - firsts + 1
        ends = np.cumsum(counts)
        read: Floats = np.empty((int(ends[-1]), self.shape[1]), np.float32)
        if read.size:
            sizes = (self._width * counts).tolist()
            offsets = (self._width * firsts).tolist()
            self._file.read_spans(read.data, zip(offsets, sizes, strict=True))
        runs = np.repeat(np.arange(len(firsts)), np.diff(np.r_[0, breaks, len(rows)]))
        return np.asarray(read[rows - firsts[runs] + (ends - counts)[runs]])

    def _read(self, start: int, stop: int) -> Floats:
        found = np.empty((stop - start, self.shape[1]), np.float32)
        if found.size:
            self._file.read_into(found.data, self._width * start)
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


def reordered(matrix: Matrix, rows: Rows, store: MatrixStore) -> Matrix:
    """Return a matrix in a scratch file copied to another one, in which rows lie as in `rows`.

    So rows that follow each other in `rows`, which are distinct, are read fast. Row `i` of the
    result is row `i` of `matrix` if `rows` holds `i`, else any row. A matrix in memory is
    returned as it is.
    """
    if isinstance(matrix, np.ndarray) or not len(rows):
        return matrix
    file = store.file()
    # Rows are in memory twice: as they are read, and in their new order.
    step = max(1, store.budget // 2 // max(1, 4 * matrix.shape[1]))
    for start in range(0, len(rows), step):
        file.write(matrix[rows[start : start + step]].data)
    places = np.zeros(len(matrix), np.int64)
    places[rows] = np.arange(len(rows))
    return Selected(ScratchMatrix(file, (len(rows), matrix.shape[1])), places)


def file_order(matrix: ScratchMatrix | Selected, rows: Rows) -> Rows:
    """Return the order in which some rows, shape (m,), lie in the file."""
    places = matrix.rows.take(rows) if isinstance(matrix, Selected) else rows
    return np.argsort(places, kind="stable")


def row_hashes(matrix: Matrix) -> npt.NDArray[np.uint64]:
    """Return a number for each row of `matrix`, shape (n, d), the same for rows of equal bytes.

    Two rows that differ have the same number with a chance of 2^-64: factors are secret, and the
    halves are hashes of a universal family (see `nsl_tools.arrays.fingerprints`).
    """
    factors = np.frombuffer(os.urandom(16 * matrix.shape[1]), np.uint64).reshape(2, -1)
    hashes = np.empty(len(matrix), np.uint64)
    for block in blocks(*matrix.shape):
        bits = matrix[block].view(np.uint32).astype(np.uint64)
        upper, lower = (np.einsum("ij,j->i", bits, factor) >> HALF_WORD for factor in factors)
        hashes[block] = upper << HALF_WORD | lower
    return hashes


class MatrixStore:
    """Keeps matrices, each in memory as long as it takes no more than `budget` bytes.

    A context manager: it ends the life of its scratch files.
    """

    def __init__(self, budget: int, progress: Progress = Progress()) -> None:  # noqa: B008 - quiet, it keeps nothing
        self.budget = budget
        self._whole = budget
        self._progress = progress
        self._announced: set[str] = set()
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

    def reserve(self, held: int) -> None:
        """Leave `held` bytes to something else: each of the four large parts gives up a quarter."""
        self.budget = max(0, self._whole - held // 4)

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

    def announce(self, content: str) -> None:
        """Say, once, that something goes to scratch files, of a size that is not known before."""
        if content not in self._announced:
            self._announced.add(content)
            announce(content, self._progress)
            self._progress.decide("scratch files", "for " + ", ".join(sorted(self._announced)))


class MatrixWriter:
    """Collects blocks of rows to a matrix; see `MatrixStore`."""

    def __init__(self, store: MatrixStore, expected: int) -> None:
        self._store = store
        # The system grants memory only as it is filled; and nothing is copied at the end.
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

    def new_rows(self, shape: tuple[int, int]) -> Floats:
        """Return an array for the next rows, to be filled and appended: that saves a copy."""
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
