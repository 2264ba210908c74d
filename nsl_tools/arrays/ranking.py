"""Which of two edges of a node is better: the one tie-break of both commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable

    Places = npt.NDArray[np.int64]


RANKING_BYTES = 100
"""Bytes of memory that choosing the best edges takes for each edge, while it runs."""


def rank_edges(
    sources: npt.NDArray[np.integer],
    weights: npt.NDArray[np.float64],
    id_ranks_at: Callable[[Places], Places],
) -> Places:
    """Return the order of m edges: by source, then falling weight, then falling id of the target.

    Args:
        sources: rows from 0, shape (m,).
        weights: finite, shape (m,); 0.0 and -0.0 are equal.
        id_ranks_at: returns for places, shape (t,), numbers that order the ids of the targets
            there, by their bytes. Asked only for edges that are equal otherwise.

    Returns:
        Places, shape (m,). Edges that are equal in all three come in any order.
    """
    bits = int(sources.max(initial=0)).bit_length()
    # One number for both: the source in the upper bits, and as much of the weight as fits below.
    keys = _falling(weights) >> np.uint64(bits)
    if bits:
        keys |= sources.astype(np.uint64) << np.uint64(64 - bits)
    order = np.argsort(keys)
    keys = keys.take(order)
    same = keys[1:] == keys[:-1]
    if same.any():
        tied = np.flatnonzero(np.r_[same, False] | np.r_[False, same])
        places = order[tied]
        ids = id_ranks_at(places)
        order[tied] = places[np.lexsort((-ids, -weights[places], keys[tied]))]
    return order


def _falling(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.uint64]:
    """Return numbers that rise as weights fall, and are equal for 0.0 and -0.0."""
    bits = (weights + 0.0).view(np.uint64)  # -0.0 becomes 0.0
    sign = np.uint64(1 << 63)
    return np.where(bits & sign, bits, ~bits & ~sign)
