"""The cells nearest to each row, and how much farther each is than the nearest one.

Distances are whole numbers, with the number of the cell in their last bits, so that one sort of
integers ranks cells, and a longer list begins as a shorter one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.groups import rank_in_group
from nsl_tools.arrays.top_k import reached_by, true_places

if TYPE_CHECKING:
    from nsl_tools.spill.matrix import Floats

Numbers = npt.NDArray[np.uint16]

NEVER = 1 << 16
"""A margin that no cell is listed with; those stored, in steps of 2^-15, are smaller."""
_SCALE_BITS = 29  # behind the binary point of a distance: up to 2.5, it has 31 bits


def assign(
    unit: Floats, centroids: Floats, n: int, similarities: Floats | None = None
) -> tuple[Numbers, Numbers]:
    """Return the `n` cells nearest to each row, nearest first, and their margins.

    The margin of a cell is by how much its centroid is farther than the nearest one.

    Args:
        unit: unit vectors, shape (rows, d).
        centroids: of the cells, unit vectors, shape (cells, d), at most 2^16.
        n: from 1 to the number of cells.
        similarities: memory to work in, shape (rows, cells).

    Returns:
        Numbers of cells, and margins in steps of 2^-15, both of shape (rows, n).
    """
    similarities = np.matmul(unit, centroids.T, out=similarities)
    bits = len(centroids).bit_length()
    keys = nearest_keys(similarities, n, bits)
    cells = (keys & np.int32((1 << bits) - 1)).astype(np.uint16)
    keys >>= np.int32(bits)
    keys -= keys[:, :1].copy()
    margin_bits = 15  # behind the binary point: with the one before it, a margin has 16
    keys >>= np.int32(max(0, _SCALE_BITS - bits - margin_bits))
    return cells, np.minimum(keys, NEVER - 1).astype(np.uint16)


def nearest_keys(similarities: Floats, columns: int, bits: int) -> npt.NDArray[np.int32]:
    """Return for each row the keys of the nearest cells, shape (rows, columns), ascending.

    A key is the distance above, and the number of the cell in the last `bits`.

    Args:
        similarities: of rows and cells, shape (rows, cells).
        columns: how many, of 1 to all cells.
        bits: enough for the number of a cell.
    """
    cells = similarities.shape[1]
    many = 4 * columns
    # A bound gains nothing where a large part of the cells reaches it.
    seldom = cells >= 2 * many
    bounds = reached_by(similarities, 0, columns) if seldom else None
    if bounds is None:
        keys = _keys(similarities, np.arange(cells, dtype=np.int32), bits)
    else:
        # Cells whose key equals that of the bound count too: a longer list begins as a shorter one.
        coarsest_bits = 7  # that float32 does not tell of a distance of up to 2.5, so scaled
        bounds -= np.float32(2.0 ** (max(bits, coarsest_bits) + 2 - _SCALE_BITS))
        places = true_places(similarities >= bounds[:, np.newaxis])
        rows, numbers = np.divmod(places, cells)
        ranks = rank_in_group(rows)
        no_key = np.int32(2**31 - 1)  # sorts after all others
        keys = np.full((len(similarities), ranks.max() + 1), no_key)
        found = similarities.ravel().take(places)
        keys[rows, ranks] = _keys(found, numbers.astype(np.int32), bits)
    if keys.shape[1] > many:
        keys.partition(columns, axis=1)
        keys = keys[:, :columns]
    keys.sort(axis=1)
    return keys[:, :columns]


def _keys(similarities: Floats, cells: npt.NDArray[np.int32], bits: int) -> npt.NDArray[np.int32]:
    """Return what sorts as distances do, then as the numbers of cells, in the last `bits`."""
    scale = 1 << _SCALE_BITS
    distances = np.float32(1.5 * scale) - np.float32(scale) * similarities
    return np.asarray(distances.astype(np.int32) & np.int32(-1 << bits) | cells)
