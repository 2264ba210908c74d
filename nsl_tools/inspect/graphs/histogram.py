"""How numbers are spread: a histogram of fixed size that gives any quantile closely."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.top_k import rising_bits, unrising_bits

Floats = npt.NDArray[np.float64]


class Histogram:
    """Counts of finite numbers by their first bits, as float32: off by 1/4096 of each at most.

    Attributes:
        count: how many numbers there are.
        total: their sum.
    """

    _dropped = np.uint32(12)  # bits of the fraction: 2^20 counts, 8 MB

    def __init__(self) -> None:
        self.count, self.total = 0, 0.0
        self._counts = np.zeros(1 << 20, np.int64)
        self._least, self._most = np.inf, -np.inf

    def add(self, values: Floats) -> None:
        """Add m numbers."""
        if len(values):
            self.count += len(values)
            self.total += float(values.sum())
            self._least = min(self._least, float(values.min()))
            self._most = max(self._most, float(values.max()))
            # Zero has two signs, and is one number.
            places = rising_bits(values.astype(np.float32) + np.float32(0)) >> self._dropped
            np.add.at(self._counts, places, 1)

    @property
    def mean(self) -> float | None:
        """The mean; None of no number."""
        return self.total / self.count if self.count else None

    def quantiles(self, shares: npt.ArrayLike) -> list[float | None]:
        """Return the number below which each of some shares of all are; exact for 0 and 1."""
        wanted = np.asarray(shares, np.float64)
        if not self.count:
            return [None] * len(wanted)
        # The middle of all numbers that begin with the same bits.
        middle = np.uint32(1) << (self._dropped - np.uint32(1))
        places = np.searchsorted(np.cumsum(self._counts), wanted * (self.count - 1), side="right")
        found = unrising_bits((places.astype(np.uint32) << self._dropped) | middle)
        found = np.clip(found.astype(np.float64), self._least, self._most)
        found[wanted == 0], found[wanted == 1] = self._least, self._most
        return [float(value) for value in found]

    def edges(self, count: int) -> Floats:
        """Return the bounds of about `count` bins of one width that hold all: round numbers."""
        return _round_edges(self._least, self._most, count) if self.count else np.empty(0)

    def counts(self, edges: Floats) -> list[int]:
        """Return how many numbers are in each of the bins between ascending `edges`."""
        used = np.flatnonzero(self._counts)
        values = unrising_bits(used.astype(np.uint32) << self._dropped).astype(np.float64)
        places = np.searchsorted(edges, np.clip(values, self._least, self._most), side="right") - 1
        places = np.clip(places, 0, max(0, len(edges) - 2))
        sums = np.bincount(places, self._counts[used], minlength=max(0, len(edges) - 1))
        return [int(count) for count in sums]


def _round_edges(least: float, most: float, count: int) -> Floats:
    """Return about `count` + 1 numbers of few digits, as far apart, around `least` to `most`."""
    width = (most - least) / count or max(abs(least), 1.0) / count
    power = 10.0 ** np.floor(np.log10(width))
    step = power * next(digit for digit in (1, 2, 5, 10) if digit * power >= width * (1 - 1e-9))
    first, last = np.floor(least / step), np.ceil(most / step)
    return np.asarray(np.arange(first, max(last, first + 1) + 1) * step)
