"""The nearest neighbours of some nodes, among nodes that come one block after the other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.groups import rank_in_group
from nsl_tools.arrays.top_k import product_top_k

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

    def __init__(self, units: Floats, rows: Rows, k: int) -> None:
        """Seek neighbours of nodes: their unit vectors, shape (n, d), and their row numbers.

        Vectors of zeros have no neighbours.
        """
        self._units, self._rows = units, rows
        self.similarities = np.full((len(rows), k), -np.inf, np.float32)
        self.labels = np.full((len(rows), k), -1, np.int32)
        self.cosines = np.zeros(self.bins, np.int64)
        few = 128  # rows: counting all cosines of each would take longer than the products
        self._counted = slice(None, None, -(-len(rows) // few))
        self.counted = len(rows[self._counted])

    def add(self, units: Floats, first: int, labels: npt.NDArray[np.int32]) -> None:
        """Compare with the next m nodes: unit vectors, shape (m, d), from row `first` on."""
        products = self._units @ units.T
        own = np.flatnonzero((self._rows >= first) & (self._rows < first + len(units)))
        products[own, self._rows[own] - first] = -np.inf
        products[:, ~units.any(axis=1)] = -np.inf
        products[~self._units.any(axis=1)] = -np.inf
        self._count(products[self._counted])
        places = product_top_k(products, 0, self.similarities[:, -1], self.similarities.shape[1])
        places = places[products.reshape(-1)[places] > -np.inf]
        self._merge(places // len(units), products.reshape(-1)[places], labels[places % len(units)])

    def _merge(self, rows: Rows, similarities: Floats, labels: npt.NDArray[np.int32]) -> None:
        n, k = self.similarities.shape
        rows = np.concatenate([np.repeat(np.arange(n), k), rows])
        values = np.concatenate([self.similarities.reshape(-1), similarities])
        codes = np.concatenate([self.labels.reshape(-1), labels])
        order = np.lexsort((-values, rows))
        order = order[rank_in_group(rows[order]) < k]
        self.similarities = values[order].reshape(n, k)
        self.labels = codes[order].reshape(n, k)

    def _count(self, products: Floats) -> None:
        known = products[products > -np.inf]
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
