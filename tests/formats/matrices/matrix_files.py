"""What tests of files of matrices share."""

from pathlib import Path
from typing import Any

import numpy as np

from nsl_tools.formats.matrices.reader import MatrixEmbeddings
from nsl_tools.formats.numbers import as_float32
from nsl_tools.options import BuildGraphOptions


def rows_of(
    reader: type[MatrixEmbeddings], path: Path, block_bytes: int = 100, **options: Any
) -> np.ndarray:
    """Return the matrix of a file as float32."""
    opened = reader([str(path)], BuildGraphOptions(**options)).opened_matrix(str(path))
    with opened as matrix:
        blocks = [as_float32(block)[0] for block in matrix.blocks(block_bytes)]
        return np.concatenate([np.empty((0, matrix.shape[1]), np.float32), *blocks])
