"""How long comparing all pairs takes on this machine, by comparing those of a few thousand rows.

The time grows with the square of the rows, for products and what is looked at in each tile, and
with the rows, for what each row is told apart by: two short searches tell both.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.build_graph.dry_run.timed import NoWeigher
from nsl_tools.build_graph.search.exact import NearestNeighbors
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from nsl_tools.spill.matrix import Floats, Rows


def sweep_seconds(nearest: NearestNeighbors, rows: int) -> float:
    """Return how long it takes to compare all pairs of `rows`, and to weigh none.

    Args:
        nearest: searches among rows like them.
        rows: how many there are.
    """
    known, width = nearest.embeddings.vectors.shape
    plain = nearest.weigher
    dropping = NoWeigher(plain.embeddings, plain.k, plain.threshold, plain.ids)
    bare = NearestNeighbors(dropping, nearest.workers, nearest.store)
    enough = 1.2e10  # products of two numbers: a fraction of a second
    most = min(known, rows, 16 * TUNING.tile_rows, int((2 * enough / max(1, width)) ** 0.5))
    chosen = np.sort(np.random.default_rng(0).permutation(known)[:most])
    half = np.sort(np.random.default_rng(1).permutation(chosen)[: max(1, most // 2)])
    _seconds(bare, chosen[:2])  # what is done once is not counted
    timed = [(len(part), _seconds(bare, part)) for part in (half, chosen, half, chosen)]
    return _extrapolated(timed, rows)


def _seconds(nearest: NearestNeighbors, rows: Rows) -> float:
    start = time.perf_counter()
    for _ in nearest.edges(rows, rows):
        pass
    return time.perf_counter() - start


def _extrapolated(timed: list[tuple[int, float]], rows: int) -> float:
    """Return the time of `rows`, of those of two sizes: a * rows^2 + b * rows."""
    sizes = np.array([size for size, _ in timed], np.float64)
    seconds = np.array([time for _, time in timed])
    if rows <= sizes.max():
        return float(seconds[sizes == sizes.max()].mean())
    large, small = (seconds[sizes == size].mean() for size in (sizes.max(), sizes.min()))
    per_row = large / sizes.max(), small / sizes.min()
    steepest = per_row[0] / sizes.max()  # as if all of it grew with the square
    square = (per_row[0] - per_row[1]) / max(1.0, sizes.max() - sizes.min())
    # Timings of a tenth of a second are not sure: most of it does grow so.
    square = min(steepest, max(square, steepest / 2))
    return float(square * rows**2 + (per_row[0] - square * sizes.max()) * rows)


def product_seconds(nearest: NearestNeighbors) -> float:
    """Return how long all threads take for a product of two vectors, of which they make many."""
    known, width = nearest.embeddings.vectors.shape
    rows = min(known, TUNING.tile_rows)
    unit = nearest.units(np.arange(known))[:rows]
    times = max(1, int(1e9 / (rows * rows * width)))  # so many take about a tenth of a second
    outs = [np.empty((rows, rows), np.float32) for _ in range(nearest.workers.count)]

    def multiply(out: Floats) -> None:
        for _ in range(times):
            np.matmul(unit, unit.T, out=out)

    start = time.perf_counter()
    for _ in nearest.workers.products.map(multiply, outs):
        pass
    seconds = time.perf_counter() - start
    return seconds / float(times * rows * rows * len(outs))
