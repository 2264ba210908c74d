"""Sorting, grouping and picking the largest, for arrays of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Iterator

HALF_WORD = np.uint64(32)
"""Bits: a shift by so many moves a number into the upper half of a 64-bit word, or back."""
_SIGN = np.uint32(1 << 31)  # the highest bit of a float32


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


def kth_largest(
    groups: npt.NDArray[np.int32], values: npt.NDArray[np.float32], k: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return the k-th largest value of each group that has k: `(groups, values)`, ascending.

    Args:
        groups: group numbers from 0, in any order, shape (n,).
        values: finite, shape (n,).
        k: from 1.
    """
    # One sort of integers: the group above, the value below, falling.
    keys = groups.astype(np.uint64) << HALF_WORD | (~rising_bits(values)).astype(np.uint64)
    keys.sort()
    firsts = np.arange(groups.max(initial=-1) + 1, dtype=np.uint64) << HALF_WORD
    starts = np.searchsorted(keys, firsts)
    sizes = np.diff(np.r_[starts, len(keys)])
    full = np.flatnonzero(sizes >= k)
    return full, unrising_bits(~keys[starts[full] + k - 1].astype(np.uint32))


def digit_counts(ranks: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return how many decimal digits each of `ranks` has."""
    digits = np.ones(len(ranks), np.int64)
    power = 10
    while (more := ranks >= power).any():
        digits += more
        power *= 10
    return digits


def rising_bits(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint32]:
    """Return integers that order as finite floats do, shape (n,), and are not 0."""
    # The bits of floats order as integers do, once those of negative floats are inverted.
    bits = values.view(np.uint32)
    return np.where(bits >> np.uint32(31), ~bits, bits | _SIGN)


def unrising_bits(rising: npt.NDArray[np.uint32]) -> npt.NDArray[np.float32]:
    """Return the floats that `rising_bits` was given."""
    return np.where(rising & _SIGN, rising ^ _SIGN, ~rising).view(np.float32)


def reached_by(
    products: npt.NDArray[np.float32], axis: int, count: int
) -> npt.NDArray[np.float32] | None:
    """Return what at least `count` products of each row along `axis` reach, shape (rows,).

    It is one of the maxima of groups of products, which one pass finds, and few more products
    reach it. None if there are fewer than `count`.
    """
    # With four groups for each, few of the largest share a group: the bound is close.
    maxima = _group_maxima(products, axis, 4 * count)
    return np.partition(maxima, -count, axis=0)[-count] if count <= len(maxima) else None


def _group_maxima(
    products: npt.NDArray[np.float32], axis: int, groups: int
) -> npt.NDArray[np.float32]:
    """Return for each row along `axis` the largest of at least `groups` groups of its products.

    Shape (groups, rows). Fewer if there are not as many; a remainder is left out.
    """
    count = products.shape[1 - axis]
    size = max(1, count // max(1, groups))
    parts = count // size
    if axis:
        return np.asarray(products[: parts * size].reshape(size, parts, -1).max(axis=0))
    return np.asarray(products[:, : parts * size].reshape(-1, size, parts).max(axis=1).T)


def true_places(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return where `mask`, C order, is true, as if it were flat: faster than numpy if few are."""
    flat = mask.reshape(-1)
    dense = 32  # if one place in so many is true, or more, numpy's way is taken
    if np.count_nonzero(flat) * dense > len(flat):
        return np.flatnonzero(flat)
    together = 8  # places that one 64-bit number tells to be all false
    whole = len(flat) // together * together
    some = np.flatnonzero(flat[:whole].view(np.uint64) != 0)
    among = np.flatnonzero(flat[:whole].reshape(-1, together).take(some, axis=0))
    places = some.take(among // together) * together + among % together
    return np.concatenate([places, np.flatnonzero(flat[whole:]) + whole])
