"""Embeddings that are the rows of matrices, whose ids are elsewhere, or the numbers of the rows."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.background import in_background
from nsl_tools.errors import DataError, UsageError
from nsl_tools.formats.embedding_batch import EmbeddingReader
from nsl_tools.formats.ids.files import row_ids
from nsl_tools.formats.ids.row_ids import RowNumbers
from nsl_tools.formats.numbers import as_float32
from nsl_tools.formats.table_rows import IdPlace, Rows, UsableRows
from nsl_tools.memory import shown_size
from nsl_tools.options import memory_of
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from nsl_tools.formats.embedding_batch import Batches, NewRows, Pieces
    from nsl_tools.formats.ids.row_ids import RowIds
    from nsl_tools.formats.matrices.matrix import NumberMatrix, Numbers
    from nsl_tools.formats.skipped_records import SkippedRecords
    from nsl_tools.statistics import Statistics


class MatrixEmbeddings(EmbeddingReader):
    """Reads the rows of matrices; their ids are those of `--ids`, or their numbers, from 0 on."""

    uses = frozenset({"ids"})

    @abstractmethod
    def opened_matrix(self, path: str) -> AbstractContextManager[NumberMatrix]:
        """Open the matrix of a file.

        Raises:
            DataError: the file cannot be read, or is not what it should be.
        """

    def expected_bytes(self) -> int:
        """Return how much memory the vectors of all files take.

        Raises:
            DataError: a file is not what it should be.
        """
        return sum(4 * rows * width for rows, width in map(self._shape_of, self._paths))

    def expected_rows(self) -> tuple[int, bool]:
        """Return how many rows there are, as headers say.

        Raises:
            DataError: a file is not what it should be.
        """
        return sum(self._shape_of(path)[0] for path in self._paths), True

    def spread(self, skipped: SkippedRecords, most_bytes: int) -> Pieces:
        """Yield rows from places spread over the files, as every reader does."""
        self._require_memory()
        usable = UsableRows(skipped.statistics)
        pieces = max(1, 64 // len(self._paths))  # of a file: enough to meet most of what it has
        piece_bytes = most_bytes // (pieces * len(self._paths))
        number = 0
        with row_ids(self._options.ids, skipped.statistics) as ids:
            for path in self._paths:
                with self.opened_matrix(path) as matrix:
                    for rows in _spread_rows(matrix, path, ids, pieces, piece_bytes):
                        yield from ((number, batch) for batch in usable.batches(rows))
                        number += 1

    def batches(self, skipped: SkippedRecords, new_rows: NewRows) -> Batches:  # noqa: ARG002 - a row may be refused after it is read
        """Yield all rows that can be used, in order, as every reader does."""
        self._require_memory()
        usable = UsableRows(skipped.statistics)
        for rows in self._rows(skipped.statistics):
            yield from usable.batches(rows)

    def _shape_of(self, path: str) -> tuple[int, int]:
        with self.opened_matrix(path) as matrix:
            return matrix.shape

    def _require_memory(self) -> None:
        """Refuse files of which some rows do not fit the memory."""
        limit = memory_of(self._options).limit
        for path in self._paths:
            width = self._shape_of(path)[1]
            copies = 8  # of a row, each of up to 8 bytes for a number
            if (needed := copies * 8 * width) > limit:
                raise UsageError(
                    f"--memory-limit: expected at least {shown_size(needed)} for the rows of "
                    f"{path} ({width:,} numbers each), received {shown_size(limit)}"
                )

    def _rows(self, statistics: Statistics) -> Iterator[Rows]:
        with row_ids(self._options.ids, statistics) as ids:
            for path in self._paths:
                with self.opened_matrix(path) as matrix:
                    for rows in _rows_of(matrix, path, ids):
                        self.read.add(4 * len(rows.values))
                        yield rows
            if more := ids.rest():
                problem = f"{ids.taken + more:,} ids, expected {ids.taken:,}, one for each row"
                raise DataError(ids.name, "", problem)


def _rows_of(matrix: NumberMatrix, path: str, ids: RowIds) -> Iterator[Rows]:
    first = 0
    for block in in_background(matrix.blocks(TUNING.table_bytes)):
        yield _rows(block, first, path, ids)
        first += len(block)


def _spread_rows(
    matrix: NumberMatrix, path: str, ids: RowIds, pieces: int, piece_bytes: int
) -> Iterator[Rows]:
    """Yield rows from some places of a matrix; their ids are any, but for the numbers of rows."""
    pieces = min(pieces, matrix.shape[0])
    count = min(matrix.rows_at_once(piece_bytes), matrix.shape[0] // max(1, pieces))
    before = ids.taken if isinstance(ids, RowNumbers) else None
    for first in np.linspace(0, matrix.shape[0] - count, pieces).astype(np.int64).tolist():
        if before is not None:
            ids.taken = before + first
        yield _rows(matrix.read_at(first, count), first, path, ids)
    if before is not None:
        ids.taken = before + matrix.shape[0]


def _rows(block: Numbers, first: int, path: str, ids: RowIds) -> Rows:
    """Return rows of a matrix with the ids that come next.

    Raises:
        DataError: these are too few.
    """
    place = IdPlace(ids.name, ids.noun, ids.first + ids.taken) if ids.name else None
    taken = ids.take(len(block))
    if len(taken) < len(block):
        problem = f"{ids.taken:,} ids, expected one for each row of {path}"
        raise DataError(ids.name, "", problem)
    vectors, lost = as_float32(block)
    lengths = np.full(len(block), block.shape[1], np.int64)
    return Rows(path, first, taken, lengths, vectors.reshape(-1), lost, place)
