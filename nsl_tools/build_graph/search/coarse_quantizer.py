"""The coarse quantizer of an inverted file (IVF): k-means cells, and those nearest to each row.

FAISS places the centroids on a sample of the rows, and each row is assigned to its nearest
centroid (`assignment`). A row that lies between two cells has neighbours in both; a row well
within its cell has them all there. So what counts is the *margin*: by how much another centroid
is farther than the nearest one. A search has one margin for all rows; each row probes the cells
within it. Two rows are compared once one of them probes the cell of the other, so the margin by
which a search finds a pair is known without the search.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from nsl_tools.arrays.buffers import Buffers
from nsl_tools.build_graph.search.assignment import NEVER, assign
from nsl_tools.build_graph.search.faiss_loader import load_faiss
from nsl_tools.progress import Work
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Callable

    from nsl_tools.build_graph.embeddings import UnitRows
    from nsl_tools.build_graph.search.assignment import Numbers
    from nsl_tools.spill.matrix import Floats, Rows
    from nsl_tools.threads import Workers

_LARGEST = 8  # times the mean size of a cell: what is larger is cut,
_SMALL = 1024  # but not if it has no more rows than this
T = TypeVar("T")


class CoarseQuantizer:
    """The cells of the rows of a matrix, numbered from 0.

    Args:
        unit: unit vectors, shape (rows, d); at least one.
        workers: the threads.
        seed: of the centroids.
        columns: how many cells to list for each row at first; None for the usual number.
        work: counts products of a row and a centroid.

    Attributes:
        listed: the cells nearest to each row, nearest first, shape (rows, columns).
        cells: how many there are, those counted that were cut from a large one.
        cost: these products so far, those that placed the centroids too.
    """

    def __init__(
        self,
        unit: UnitRows,
        workers: Workers,
        seed: int,
        columns: int | None = None,
        work: Work | None = None,
    ) -> None:
        self._unit, self._pool, self._work = unit, workers.products, work or Work()
        training = usual_training(*unit.shape)
        # Those of the lists are expected from the start, too.
        self._work.expect(training.cost + len(unit) * training.cells)
        self._centroids = centroids_of(unit, training, workers.count, seed)
        self._work.add(training.cost)
        self.cost = training.cost
        self._buffers = Buffers()
        self._list(columns or usual_columns(len(unit)))

    def __len__(self) -> int:
        return self.cells

    def probes(self, margin: int) -> Numbers:
        """Return how many of its listed cells each row probes, shape (rows,)."""
        # Margins rise from column to column.
        counts = self._of_blocks(
            lambda block: np.count_nonzero(block <= margin, axis=1), self._margins
        )
        return np.concatenate(counts).astype(np.uint16)

    def mean_probes(self, margin: int) -> float:
        """Return the mean of `probes`."""
        return float(self._histogram[: margin + 1].sum() / len(self._unit))

    def comparisons(self, margin: int) -> int:
        """Return how many products of two rows a search by a margin takes."""
        sizes = np.bincount(self.listed[:, 0], minlength=self.cells)
        met = self._of_blocks(
            lambda cells, margins: int(sizes.take(cells[margins <= margin]).sum()),
            self.listed,
            self._margins,
        )
        return sum(met)

    def _of_blocks(self, function: Callable[..., T], *lists: Numbers) -> list[T]:
        parts = len(self._unit) // TUNING.counted_rows + 1
        return list(self._pool.map(function, *(np.array_split(each, parts) for each in lists)))

    def margins_of_pairs(self, rows: Rows, others: Rows) -> npt.NDArray[np.int64]:
        """Return the least margin by which each of some pairs is compared, shape (m,); or NEVER.

        Args:
            rows: their places, shape (m,).
            others: places of the other ones.
        """
        return margins_between(self.listed, self._margins, rows, others)

    def list_enough(self, margin: int) -> bool:
        """List more cells if rows would probe most of those listed; return whether it did."""
        mean, columns = self.mean_probes(margin), self.listed.shape[1]
        if columns >= min(2 * mean, len(self._centroids)):
            return False
        self._work.expect(len(self._unit) * len(self._centroids))
        self._list(math.ceil(4 * mean))
        return True

    def _list(self, columns: int) -> None:
        columns = min(columns, len(self._centroids))
        self.cost += len(self._unit) * len(self._centroids)
        self.listed = np.empty((len(self._unit), columns), np.uint16)
        self._margins = np.empty_like(self.listed)
        self._histogram = np.zeros(NEVER, np.int64)
        step = max(1, TUNING.listed_floats // max(self._centroids.shape))
        blocks = (slice(start, start + step) for start in range(0, len(self._unit), step))
        for counts in self._pool.map(self._list_block, blocks):
            self._histogram += counts
        self.cells = self._divide_large()

    def _list_block(self, block: slice) -> npt.NDArray[np.int64]:
        """Fill a block of the lists, and count how often each margin occurs."""
        unit = self._unit[block]
        similarities = self._buffers.array(
            "similarities", np.float32, len(unit), len(self._centroids)
        )
        listed, margins = assign(unit, self._centroids, self.listed.shape[1], similarities)
        self.listed[block], self._margins[block] = listed, margins
        self._work.add(similarities.size)
        return np.bincount(margins.ravel(), minlength=NEVER)

    def _divide_large(self) -> int:
        """Cut cells that are too large anywhere; return how many there are then."""
        sizes = np.bincount(self.listed[:, 0], minlength=len(self._centroids))
        largest = max(_SMALL, _LARGEST * len(self._unit) // len(sizes))
        cells = len(sizes)
        for cell in np.flatnonzero(sizes > largest).tolist():
            more = int(sizes[cell]) // largest
            _divide(self.listed, cell, range(cells, cells + more))
            cells += more
        return cells


def margins_between(
    listed: Numbers, margins: Numbers, rows: Rows, others: Rows
) -> npt.NDArray[np.int64]:
    """Return the least margin by which each of some pairs is compared, shape (m,); or NEVER.

    Args:
        listed: the cells nearest to each row, nearest first, shape (n, columns).
        margins: by how much each is farther than the nearest one.
        rows: places of rows, shape (m,).
        others: places of the other ones.
    """
    found = np.full(len(rows), NEVER)
    for queries, targets in ((rows, others), (others, rows)):
        pairs, columns = np.nonzero(listed[queries] == listed[targets, :1])
        np.minimum.at(found, pairs, margins[queries[pairs], columns])
    return found


def usual_columns(rows: int) -> int:
    """Return how many cells to list for each row: few where rows are many."""
    least, most, most_numbers = 12, 32, 1 << 24
    return max(least, min(most, most_numbers // rows))


@dataclass(frozen=True)
class Training:
    """How centroids are placed by k-means.

    Attributes:
        cells: how many.
        rows: of the sample.
        iterations: more would cost more than denser cells save.
    """

    cells: int
    rows: int
    iterations: int = 5

    @property
    def cost(self) -> int:
        """How many products of a row and a centroid it takes."""
        return self.iterations * self.rows * self.cells


def usual_training(rows: int, width: int) -> Training:
    """Return how to place the cells of so many rows."""
    # A cell has about 16 times the fourth root of all rows: small ones are seldom worth a product.
    most = 1 << 15
    count = min(most, max(math.isqrt(rows), int(rows**0.75 / 16)))
    # 20 rows for each centroid, or a tenth of all, so that small clusters are seen.
    wanted = max(20 * count, rows // 10)
    most_floats = 1 << 24  # of the sample, if that leaves two rows for each centroid
    return Training(count, min(rows, max(2 * count, min(wanted, most_floats // width))))


def centroids_of(unit: UnitRows, training: Training, threads: int, seed: int) -> Floats:
    """Return the centroids of the cells of all rows, shape (cells, d)."""
    faiss = load_faiss()
    random = np.random.default_rng(seed)
    sample = np.sort(random.choice(len(unit), training.rows, replace=False))
    means = faiss.Kmeans(
        unit.shape[1],
        training.cells,
        niter=training.iterations,
        seed=int(random.integers(1 << 31)),
        min_points_per_centroid=1,
        max_points_per_centroid=training.rows,
    )
    # Each thread adds up cells of its own, so that threads do not change the sums.
    with threadpool_limits(threads):
        means.train(unit.take(sample, np.empty((len(sample), unit.shape[1]), np.float32)))
    centroids = np.asarray(means.centroids, np.float32)
    norms = np.linalg.norm(centroids, axis=1, keepdims=True)
    centroids /= np.where(norms > 0, norms, 1)
    return np.asarray(centroids)


def _divide(nearest: Numbers, cell: int, more: range) -> None:
    """Cut a cell that is too large anywhere; each row that probes it probes one part."""
    parts = np.array([cell, *more], np.uint16)
    for column in nearest.T:
        places = np.flatnonzero(column == cell)
        column[places] = np.resize(parts, len(places))
