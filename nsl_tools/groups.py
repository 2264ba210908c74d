"""Groups of equal things, as numbers."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def equal_rows(matrix: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return for each row of `matrix`, shape (n, d), the number of its group of equal rows.

    Rows are equal if their bytes are; groups are numbered from 0 in order of appearance.
    """
    if not matrix.size:
        return np.zeros(len(matrix), np.int64)
    width = matrix.shape[1] * matrix.itemsize
    data = pa.py_buffer(np.ascontiguousarray(matrix))
    rows = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(matrix), [None, data])
    return np.asarray(rows.dictionary_encode().indices, np.int64)


def rank_in_group(groups: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Return for each element of sorted `groups`, shape (n,), its place from 0 in its group."""
    if not len(groups):
        return np.empty(0, np.int64)
    starts = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]])
    sizes = np.diff(np.r_[starts, len(groups)])
    return np.arange(len(groups)) - np.repeat(starts, sizes)
