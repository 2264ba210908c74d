"""Embeddings in `.npy` files: one matrix of numbers each, in C or in Fortran order.

The header is compared with the size of the file before anything is read.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from nsl_tools.errors import DataError
from nsl_tools.files.filesystem import state_of_open
from nsl_tools.files.readings import opened
from nsl_tools.formats.matrices.matrix import (
    EXPECTED,
    ColumnMatrix,
    NumberMatrix,
    RowMatrix,
    check_size,
)
from nsl_tools.formats.matrices.npy_header import MAGIC, NpyHeader, read_header
from nsl_tools.formats.matrices.reader import MatrixEmbeddings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nsl_tools.files.streams import Rewindable


class NpyEmbeddings(MatrixEmbeddings):
    """Reads the rows of matrices as `numpy.save` writes them."""

    format_name = ".npy"
    suffixes = (".npy",)
    magic = (MAGIC,)

    @contextlib.contextmanager
    def opened_matrix(self, path: str) -> Iterator[NumberMatrix]:
        """Open the matrix of a file."""
        with opened(path) as file:
            header = read_header(path, file)
            matrix = matrix_of(path, header, file)
            found = state_of_open(file).size - header.bytes
            check_size(path, found, matrix.shape, matrix.dtype)
            yield matrix


def matrix_of(path: str, header: NpyHeader, file: Rewindable) -> NumberMatrix:
    """Return the matrix with a header, in a file of which the header was just read.

    Raises:
        DataError: it is no matrix of numbers.
    """
    if not header.has_known_type:
        pickled = ": Python objects are not loaded" if "O" in header.kind else ""
        problem = f"shape {header.shape} of {header.kind!r}, {EXPECTED}{pickled}"
        raise DataError(path, "", problem)
    # A single row, or column, lies alike in both orders.
    if header.fortran_order and min(header.shape, default=0) > 1:
        return ColumnMatrix(path, header.shape, header.dtype, (file, header.bytes))
    return RowMatrix(path, header.shape, header.dtype, file)
