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


def kth_largest(
    groups: npt.NDArray[np.int32], values: npt.NDArray[np.float32], k: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return the k-th largest value of each group that has k: `(groups, values)`, ascending.

    Args:
        groups: group numbers from 0, in any order, shape (n,).
        values: finite, shape (n,).
        k: from 1.
    """
    # One sort of integers: the group above, the value below, falling. The bits of
    # floats order as integers do, once those of negative ones are turned over.
    bits = values.view(np.uint32)
    rising = np.where(bits >> np.uint32(31), ~bits, bits | _SIGN)
    keys = groups.astype(np.uint64) << _HALF | (~rising).astype(np.uint64)
    keys.sort()
    starts = np.searchsorted(keys, np.arange(groups.max(initial=-1) + 1, dtype=np.uint64) << _HALF)
    sizes = np.diff(np.r_[starts, len(keys)])
    full = np.flatnonzero(sizes >= k)
    rising = ~keys[starts[full] + k - 1].astype(np.uint32)
    return full, np.where(rising & _SIGN, rising ^ _SIGN, ~rising).view(np.float32)


_HALF = np.uint64(32)
_SIGN = np.uint32(0x80000000)
