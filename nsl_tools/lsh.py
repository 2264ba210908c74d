"""NSL's buckets: only nodes on the same side of every random hyperplane are compared.

Each round draws `splits` hyperplanes; a node's bucket has bit `i` set if its
unit vector has a positive product with hyperplane `i`. A pair is compared if it
shares a bucket in any round. Source: NSL 1.4, `tools/build_graph.py`; the same
seed gives the same buckets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nsl_tools.embeddings import Embeddings
    from nsl_tools.matrix import Rows

_BLOCK = 4096


def buckets(embeddings: Embeddings, splits: int, rounds: int, seed: int) -> Iterator[Rows]:
    """Yield the rows of each bucket with at least two nodes, in all rounds, rows ascending."""
    # NSL draws from numpy's legacy generator; its numbers are part of the contract.
    generator = np.random.RandomState(seed)
    for _ in range(rounds):
        planes = generator.rand(splits, embeddings.vectors.shape[1]) * 2 - 1
        yield from _groups(_bucket_numbers(embeddings, planes))


def _bucket_numbers(embeddings: Embeddings, planes: npt.NDArray[np.float64]) -> Rows:
    numbers = np.empty(len(embeddings.ids), np.int64)
    bits = np.int64(1) << np.arange(len(planes))
    for start in range(0, len(numbers), _BLOCK):
        unit = embeddings.unit(slice(start, start + _BLOCK))
        # Not a BLAS product: its rounding could depend on the number of threads.
        sides = np.stack([np.einsum("ij,j->i", unit, plane) for plane in planes], axis=1)
        numbers[start : start + _BLOCK] = (sides > 0) @ bits
    return numbers


def _groups(numbers: Rows) -> Iterator[Rows]:
    order = np.argsort(numbers, kind="stable")
    bounds = np.flatnonzero(np.diff(numbers[order])) + 1
    for rows in np.split(order, bounds):
        if len(rows) > 1:
            yield rows
