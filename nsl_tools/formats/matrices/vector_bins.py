"""Embeddings in the files of the billion-scale benchmarks: `.fbin`, `.f16bin`, `.i8bin`, `.u8bin`.

Number of rows and of columns as uint32, then the numbers, all little endian.

Source of the format: https://big-ann-benchmarks.com, "Dataset file formats".
"""

from __future__ import annotations

import contextlib
import os
import struct
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from nsl_tools.errors import DataError
from nsl_tools.files.filesystem import state_of_open
from nsl_tools.files.readings import opened
from nsl_tools.formats.matrices.matrix import NumberMatrix, RowMatrix, check_size
from nsl_tools.formats.matrices.reader import MatrixEmbeddings

if TYPE_CHECKING:
    from collections.abc import Iterator


class VectorBinEmbeddings(MatrixEmbeddings):
    """Reads the rows of such matrices; the suffix alone says of which type they are."""

    format_name = ".fbin"
    kinds: ClassVar = {".fbin": "<f4", ".f16bin": "<f2", ".i8bin": "|i1", ".u8bin": "|u1"}
    suffixes = tuple(kinds)

    @contextlib.contextmanager
    def opened_matrix(self, path: str) -> Iterator[NumberMatrix]:
        """Open the matrix of a file."""
        kind = np.dtype(self.kinds[os.path.splitext(path)[1].lower()])
        with opened(path) as file:
            head = file.read(8)
            if len(head) < 8:  # noqa: PLR2004 - two numbers
                raise DataError(path, "", f"{len(head)} bytes long, expected a header of 8")
            matrix = RowMatrix(path, struct.unpack("<II", head), kind, file)
            check_size(path, state_of_open(file).size - len(head), matrix.shape, kind)
            yield matrix
