"""Where values lie along an axis, and which of them are written beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nsl_tools.inspect.findings import Form


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        low: the value at its start.
        high: the value at its end, above `low`.
        ticks: values to write, in order, from `low` to `high`.
        form: how to write them.
        is_log: whether a step is a factor; whatever is not above `low` is at the start then.
    """

    low: float
    high: float
    ticks: Sequence[float]
    form: Form
    is_log: bool = False

    def share(self, value: float) -> float:
        """Return where a value lies, from 0 at the start to 1 at the end."""
        if not self.is_log:
            return (value - self.low) / (self.high - self.low)
        low, high = math.log(self.low), math.log(self.high)
        return (math.log(max(value, self.low)) - low) / (high - low)

    def label(self, tick: float) -> str:
        """Return what to write at a tick."""
        step = min((b - a for a, b in zip(self.ticks, self.ticks[1:], strict=False)), default=0)
        largest = max(map(abs, self.ticks), default=0)
        # As many digits as tell neighbours apart; more than 15 a float does not have.
        digits = 4 if self.is_log or not step else 1 + math.ceil(math.log10(largest / step))
        return _written(tick, self.form, min(max(digits, 4), 15))


def linear(values: Sequence[float], form: Form, most: int, *, from_zero: bool = False) -> Axis:
    """Return an axis along which equal differences are equally long.

    Args:
        values: all of them, at least one, as `drawable` returns them.
        form: of them.
        most: about how many ticks there is room for.
        from_zero: whether zero is on it, and a tick at both ends.
    """
    low, high = _ends([*values, 0] if from_zero else values)
    step = round_up((high - low) / most)
    if form == "count" and all(value == int(value) for value in values):
        step = max(step, 1)
    # Ends that miss a tick by a rounding error have it.
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    if from_zero:
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        low, high = first * step, last * step
    return Axis(low, high, [i * step for i in range(first, last + 1)], form)


def fitting(values: Sequence[float], form: Form, most: int, *, from_zero: bool = False) -> Axis:
    """Return an axis as `linear` does, or one of factors for values of more than 1 to 1,000.

    Shares are never on one of factors: all of them are between nothing and everything.
    """
    above = [value for value in values if value > 0]
    if form == "share" or min(values) < 0 or not above or max(above) <= 1000 * min(above):
        return linear(values, form, most, from_zero=from_zero)
    first, last = (math.floor(math.log10(value)) for value in (min(above), max(above)))
    every = math.ceil((last - first + 1) / most)
    ticks = [10.0**power for power in range(first, last + 1, every)]
    # Half of the first tick, so that a bar of that much is still seen.
    return Axis(ticks[0] / 2, max(above), ticks, form, is_log=True)


def round_up(least: float) -> float:
    """Return the least of 1, 2, 5, 10, 20, 50... and 0.5, 0.2, 0.1... that is not below."""
    power = 10.0 ** math.floor(math.log10(least))
    return next((each for each in (power, 2 * power, 5 * power) if each >= least), 10 * power)


def _ends(values: Sequence[float]) -> tuple[float, float]:
    low, high = float(min(values)), float(max(values))
    # Where all are equal, but for rounding, they lie in the middle.
    if high - low > 1e-9 * max(abs(low), abs(high)):
        return low, high
    return (low - abs(low) / 2, high + abs(high) / 2) if low else (0.0, 1.0)


def _written(value: float, form: Form, digits: int) -> str:
    if form == "share":
        return f"{100 * value:.{digits}g} %"
    for least, power, letter in ((1e9, 9, "G"), (1e6, 6, "M"), (1e4, 3, "k")):
        if least <= abs(value) < 1e12:  # noqa: PLR2004 -- a power of ten like the others
            return f"{value / 10**power:.{digits}g}{letter}"
    return f"{value:.{digits}g}"
