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


def digit_counts(ranks: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return how many decimal digits each of `ranks` has."""
    digits = np.ones(len(ranks), np.int64)
    power = 10
    while (more := ranks >= power).any():
        digits += more
        power *= 10
    return digits
