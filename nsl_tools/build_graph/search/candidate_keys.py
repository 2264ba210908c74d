"""Candidates as integers that sort by owner, then similarity, falling, then the other row.

    owner | distance | other

One sort of integers so ranks the candidates of all rows. The distance has the bits that two
row numbers leave, 32 at most; similarities that differ by less count as equal.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.groups import rank_in_group

Keys = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]
NO_KEY = np.uint64(2**64 - 1)
"""Sorts after the keys of all candidates."""

_WIDE = 64  # candidates of one row: with more, a table of all rows would be too large
_FARTHEST = 1.5  # distance plus similarity; above 1, since rounded cosines may be


class PairKeys:
    """How the keys of pairs among `rows` rows, numbered from 0, are laid out."""

    def __init__(self, rows: int) -> None:
        bits = max(16, (rows - 1).bit_length())
        self._bits, self._top = np.uint64(bits), np.uint64(64 - bits)
        self._low = np.uint64((1 << bits) - 1)
        # Distances are below 4.
        self._scale = 2.0 ** (64 - 2 * bits - 2)

    def pack(self, owners: Places, others: Places, similarities: npt.NDArray[np.float32]) -> Keys:
        """Return the keys of pairs, all shapes (m,)."""
        distances = (_FARTHEST - similarities.astype(np.float64)) * self._scale
        keys: Keys = owners.astype(np.uint64) << self._top
        keys |= distances.astype(np.uint64) << self._bits
        keys |= others.astype(np.uint64)
        return keys

    def owners(self, keys: Keys) -> Places:
        """Return whose candidates `keys` are."""
        return np.asarray(keys >> self._top, np.int64)

    def others(self, keys: Keys) -> Places:
        """Return the candidates themselves."""
        return np.asarray(keys & self._low, np.int64)

    def thresholds(self, keys: Keys) -> npt.NDArray[np.float32]:
        """Return for each key a similarity that all candidates sorted before it surpass."""
        distances = (keys << self._bits) >> (self._bits + self._bits)
        reached = _FARTHEST - (distances + np.uint64(1)) / self._scale
        return np.asarray(np.nextafter(reached.astype(np.float32), np.float32(-np.inf)))

    def farther(self, keys: Keys, distance: float) -> Keys:
        """Return keys of the same owners, farther by a small distance; of none, none."""
        step = np.uint64(math.ceil(distance * self._scale)) << self._bits
        # The other row does not count.
        return np.asarray(np.where(keys == NO_KEY, NO_KEY, (keys | self._low) + step), np.uint64)

    def first_of(self, owners: Places) -> Keys:
        """Return keys that all candidates of `owners` and later ones reach."""
        return np.asarray(owners.astype(np.uint64) << self._top)


def best_of_each(keys: Keys, owners: Places, rows: int, depth: int) -> Keys:
    """Return the first `depth` keys of each of `rows` owners, or fewer, then NO_KEY.

    Shape (rows, depth), or less wide if none has as many.

    Args:
        keys: in any order, shape (m,).
        owners: whose they are, numbered from 0, shape (m,).
        rows: how many owners there are.
        depth: from 1.
    """
    widest = int(np.bincount(owners, minlength=1).max())
    # Numpy sorts small integers, and short rows, many times as fast as as many large integers.
    crowded = widest > max(_WIDE, depth)
    small = owners.astype(np.min_scalar_type(rows))
    order = np.argsort(keys) if crowded else np.argsort(small, kind="stable")
    keys, owners = keys.take(order), owners.take(order)
    ranks = rank_in_group(owners)
    if crowded:
        kept = ranks < depth
        keys, owners, ranks, widest = keys[kept], owners[kept], ranks[kept], depth
    table = np.full((rows, widest), NO_KEY)
    table[owners, ranks] = keys
    table.sort(axis=1)
    return table[:, :depth]


def merge_top_k(table: Keys, keys: Keys, owners: Places) -> None:
    """Bring the best candidates of some rows up to date, in place.

    Args:
        table: the best of each row so far, ascending, then NO_KEY, shape (rows, k).
        keys: more candidates, in any order, shape (m,); none of them is in the table.
        owners: whose they are, as rows of the table, shape (m,).
    """
    more = best_of_each(keys, owners, *table.shape)
    both = np.concatenate([table, more], axis=1)
    both.sort(axis=1)
    table[:] = both[:, : table.shape[1]]
