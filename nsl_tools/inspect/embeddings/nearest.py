"""The nearest neighbours of some nodes, among nodes that come one block after the other."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.groups import rank_in_group
from nsl_tools.arrays.top_k import product_top_k

if TYPE_CHECKING:
    from nsl_tools.threads import Workers

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


class NearestOfSample:
    """The k best of all nodes for each of n, by cosine in float32; and all cosines of a few.

    Attributes:
        similarities: of the best so far, falling, shape (n, k); -inf where there are fewer.
        labels: the labels of these, shape (n, k); -1 for none.
        cosines: those of a few of the n with all other nodes, counted in bins of 1/1000 from -1
            on.
        counted: how many of the n these are of.
    """

    bins = 2001
    products = 1 << 23  # at once: 32 MiB

    def __init__(self, units: Floats, rows: Rows, k: int) -> None:
        """Seek neighbours of nodes: their unit vectors, shape (n, d), and their row numbers.

        Vectors of zeros have no neighbours.
        """
        self._units, self._rows = units, rows
        self.similarities = np.full((len(rows), k), -np.inf, np.float32)
        self.labels = np.full((len(rows), k), -1, np.int32)
        self.cosines = np.zeros(self.bins, np.int64)
        few = 128  # rows: counting all cosines of each would take longer than the products
        self._few = slice(None, None, -(-len(rows) // few))
        self.counted = len(rows[self._few])

    def add(
        self, units: Floats, first: int, labels: npt.NDArray[np.int32], workers: Workers
    ) -> None:
        """Compare with the next m nodes: unit vectors, shape (m, d), from row `first` on."""
        step = max(256, self.products // len(self._rows))
        size = -(-len(self._rows) // workers.count)
        parts = [slice(start, start + size) for start in range(0, len(self._rows), size)]
        for start in range(0, len(units), step):
            some, codes = units[start : start + step], labels[start : start + step]
            add = partial(self._add, units=some, first=first + start, labels=codes)
            list(workers.products.map(add, parts))
            self._count(self._cosines(self._few, some, first + start))

    def _cosines(self, part: slice, units: Floats, first: int) -> Floats:
        """Return the cosines of some of the n with m nodes; -inf with themselves, and of zeros."""
        ours, rows = self._units[part], self._rows[part]
        found: Floats = ours @ units.T
        own = np.flatnonzero((rows >= first) & (rows < first + len(units)))
        found[own, rows[own] - first] = -np.inf
        found[:, ~units.any(axis=1)] = -np.inf
        found[~ours.any(axis=1)] = -np.inf
        return found

    def _add(self, part: slice, units: Floats, first: int, labels: npt.NDArray[np.int32]) -> None:
        cosines = self._cosines(part, units, first)
        k = self.similarities.shape[1]
        places = product_top_k(cosines, 0, self.similarities[part, -1], k)
        values = cosines.reshape(-1)[places]
        places, values = places[values > -np.inf], values[values > -np.inf]
        self._merge(part.start + places // len(units), values, labels[places % len(units)])

    def _merge(self, rows: Rows, similarities: Floats, labels: npt.NDArray[np.int32]) -> None:
        """Let what is found for some of the n, in `rows` ascending, be among their best."""
        k = self.similarities.shape[1]
        changed, places = np.unique(rows, return_inverse=True)
        rows = np.concatenate([np.repeat(np.arange(len(changed)), k), places])
        values = np.concatenate([self.similarities[changed].reshape(-1), similarities])
        codes = np.concatenate([self.labels[changed].reshape(-1), labels])
        order = np.lexsort((-values, rows))
        order = order[rank_in_group(rows[order]) < k]
        self.similarities[changed] = values[order].reshape(-1, k)
        self.labels[changed] = codes[order].reshape(-1, k)

    def _count(self, cosines: Floats) -> None:
        known = cosines[cosines > -np.inf]
        places = ((known + np.float32(1)) * np.float32(1000)).astype(np.int64)
        self.cosines += np.bincount(np.clip(places, 0, self.bins - 1), minlength=self.bins)

    def reaching(self, threshold: float) -> float:
        """Return how many other nodes have at least this cosine with a node, on average."""
        first = max(0, round((threshold + 1) * 1000))
        return float(self.cosines[first:].sum()) / max(1, self.counted)

    def quantiles(self, shares: npt.ArrayLike) -> list[float | None]:
        """Return the cosines below which some shares of all pairs are, within 1/1000."""
        total = int(self.cosines.sum())
        wanted = np.asarray(shares) * max(0, total - 1)
        places = np.searchsorted(np.cumsum(self.cosines), wanted, side="right")
        return [float(place) / 1000 - 1 if total else None for place in places]
