"""The largest of many numbers: places, bounds and thresholds, without sorting them all."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.groups import HALF_WORD
from nsl_tools.tuning import TUNING

_Floats = npt.NDArray[np.float32]
_Places = npt.NDArray[np.int64]
_Mask = npt.NDArray[np.bool_]

_SIGN = np.uint32(1 << 31)  # the highest bit of a float32


def product_top_k(
    products: _Floats, axis: int, thresholds: _Floats, k: int, mask: _Mask | None = None
) -> _Places:
    """Return the places, as if `products` were flat, of what may be among the k best of its row.

    Args:
        products: of two sets of unit vectors, shape (m, n), C order.
        axis: which side wants its best: 0 the m rows, 1 the n columns.
        thresholds: the least product that each of them wants, shape (m,) or (n,).
        k: how many it wants, from 1.
        mask: memory to work in, shape (m, n), C order.

    Returns:
        Places, ascending: of each row the k largest products that reach its threshold, and
        those equal to the last of them; and others that reach it, but not many more.
    """
    mask = np.empty(products.shape, np.bool_) if mask is None else mask
    mark_top_k(products, axis, thresholds, k, mask)
    return true_places(mask)


def mark_top_k(
    products: _Floats, axis: int, thresholds: _Floats, k: int, mask: _Mask, slack: float = 0.0
) -> _Floats:
    """Mark in `mask` what `product_top_k` returns; return the thresholds, which may be higher.

    Args:
        products: shape (m, n), in any memory layout.
        axis: as of `product_top_k`.
        thresholds: as of `product_top_k`.
        k: as of `product_top_k`.
        mask: to be filled, of the shape and memory layout of `products`.
        slack: by how much two products differ if their order is certain.
    """
    np.greater_equal(products, np.expand_dims(thresholds, 1 - axis), out=mask)
    if np.count_nonzero(mask) <= TUNING.crowd * k * len(thresholds):
        return thresholds
    if (reached := reached_by(products, axis, k)) is None:
        return thresholds
    thresholds = np.maximum(thresholds, reached - np.float32(slack))
    np.greater_equal(products, np.expand_dims(thresholds, 1 - axis), out=mask)
    return thresholds


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


def rising_bits(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint32]:
    """Return integers that order as finite floats do, shape (n,), and are not 0."""
    # The bits of floats order as integers do, once those of negative floats are inverted.
    bits = values.view(np.uint32)
    return np.where(bits >> np.uint32(31), ~bits, bits | _SIGN)


def unrising_bits(rising: npt.NDArray[np.uint32]) -> npt.NDArray[np.float32]:
    """Return the floats that `rising_bits` was given."""
    return np.where(rising & _SIGN, rising ^ _SIGN, ~rising).view(np.float32)
