"""Numbers of any type as float32, the type of embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from nsl_tools.arrays.byte_spans import Places
    from nsl_tools.spill.matrix import Floats

NUMBER_KINDS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "V2")
"""The types of numbers that embeddings may have, as NumPy writes them, of either byte order.

V2 is bfloat16: NumPy has no such type, and files of it, by ml_dtypes, say "two bytes of anything".
"""


def as_float32(values: npt.NDArray[np.generic]) -> tuple[Floats, Places]:
    """Return numbers as float32, of the same shape, in C order.

    Args:
        values: of one of `NUMBER_KINDS`. What float32 cannot hold becomes infinite.

    Returns:
        The numbers, and the places, in C order, of whole ones that float32 does not hold.
    """
    if values.dtype.kind == "V":
        return _widened(values), np.empty(0, np.int64)
    # What overflows, or is a signalling NaN, is reported as not finite.
    with np.errstate(over="ignore", invalid="ignore"):
        found = np.ascontiguousarray(values, np.float32)
    if values.dtype.kind == "f" or values.dtype.itemsize <= 2:  # noqa: PLR2004 - bytes: all exact
        return found, np.empty(0, np.int64)
    exact = 1 << 24  # float32 holds all whole numbers up to this
    return found, np.flatnonzero(np.abs(values.astype(np.float64)) > exact)


def _widened(values: npt.NDArray[np.generic]) -> Floats:
    """Return bfloat16, the upper halves of float32, as such."""
    halves = np.ascontiguousarray(values).view("<u2")
    return np.asarray((halves.astype("<u4") << 16).view("<f4"), np.float32)
