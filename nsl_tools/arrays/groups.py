"""Groups of equal numbers, blocks of rows, and digits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Iterator

HALF_WORD = np.uint64(32)
"""Bits: a shift by so many moves a number into the upper half of a 64-bit word, or back."""


def blocks(rows: int, width: int) -> Iterator[slice]:
    """Yield slices that cut rows of `width` numbers into blocks for the processor's cache."""
    cached_numbers = 1 << 18  # 1 MiB of float32
    step = max(1, min(TUNING.top_rows, cached_numbers // max(1, width)))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def rank_in_group(groups: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Return for each element of sorted `groups`, shape (n,), its place from 0 in its group."""
    if not len(groups):
        return np.empty(0, np.int64)
    starts = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]])
    sizes = np.diff(np.r_[starts, len(groups)])
    return np.arange(len(groups)) - np.repeat(starts, sizes)


def one_of_each(groups: npt.NDArray[np.integer], *, last: bool = False) -> npt.NDArray[np.int64]:
    """Return the place of the first, or of the last, of each of `groups`, ascending."""
    if last:
        return np.sort(len(groups) - 1 - np.unique(groups[::-1], return_index=True)[1])
    return np.sort(np.unique(groups, return_index=True)[1])


def digit_counts(ranks: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return how many decimal digits each of `ranks` has."""
    digits = np.ones(len(ranks), np.int64)
    power = 10
    while (more := ranks >= power).any():
        digits += more
        power *= 10
    return digits
