"""Arithmetic on sorted group numbers."""

import numpy as np
import numpy.typing as npt


def rank_in_group(groups: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return for each element of sorted `groups`, shape (n,), its place from 0 in its group."""
    if not len(groups):
        return groups
    starts = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]])
    sizes = np.diff(np.r_[starts, len(groups)])
    return np.arange(len(groups)) - np.repeat(starts, sizes)
