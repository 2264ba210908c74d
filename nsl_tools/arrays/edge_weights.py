"""Edge weights as they are written: `%.6f`, as NSL does.

Ranking uses the weight as written, in millionths, because packing reads no
more than that. Source: NSL 1.4, `tools/build_graph.py`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MICRO = 1_000_000
"""Millionths in 1: `%.6f` writes six decimals."""
# The texts of 0 to 999: the first three decimals, and the last three with the end of the line.
_HIGH_DIGITS = np.frombuffer(b"".join(b"%03d" % i for i in range(1000)), "V3")
_LOW_DIGITS = np.frombuffer(b"".join(b"%03d\n" % i for i in range(1000)), "V4")


def as_written(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return cosines, shape (n,), in millionths, rounded as `%.6f` rounds them."""
    scaled = weights * MICRO
    written = np.rint(scaled)
    # Scaling itself may round: near a half, only the decimal conversion can tell.
    margin = 1e-6  # of a millionth: float64 rounds numbers of up to 10^6 by far less
    uncertain = np.abs(np.abs(scaled - written) - 0.5) < margin
    for i in np.flatnonzero(uncertain).tolist():
        written[i] = round(float(f"{weights[i]:.6f}") * MICRO)
    return written.astype(np.int64)


def compact(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    """Return cosines, shape (n,), as written, as numbers of at least 0; `restored` undoes it.

    They take half the memory.
    """
    # The last bit is the sign, since -0.000000 is written with one.
    return (np.abs(as_written(weights)) << 1 | np.signbit(weights)).astype(np.int32)


def restored(compacted: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    """Return cosines that `%.6f` writes as it writes those that `compact` was given."""
    return np.copysign((compacted >> 1) / MICRO, np.where(compacted & 1, -1.0, 1.0))


def format_lines(weights: npt.NDArray[np.float64]) -> tuple[bytes, npt.NDArray[np.int32]]:
    """Return `%.6f` and a newline for each of n cosines, end to end, and the n + 1 bounds."""
    written = np.abs(as_written(weights)).astype(np.int32)
    thousands = written // 1000
    ones = thousands // 1000
    negative = np.signbit(weights)
    signed = bool(negative.any())
    fields = [("ones", "u1"), ("point", "u1"), ("high", "V3"), ("low", "V4")]
    unsigned_bytes = np.dtype(fields).itemsize
    lines = np.empty(len(weights), [("sign", "u1"), *fields] if signed else fields)
    lines["ones"] = ord("0") + ones
    lines["point"] = ord(".")
    lines["high"] = _HIGH_DIGITS[thousands - 1000 * ones]
    lines["low"] = _LOW_DIGITS[written - 1000 * thousands]
    bounds = np.zeros(len(weights) + 1, np.int32)
    np.cumsum(unsigned_bytes + negative, out=bounds[1:])
    if not signed:
        return lines.tobytes(), bounds
    lines["sign"] = ord("-")
    kept = np.ones((len(weights), unsigned_bytes + 1), np.bool_)
    kept[:, 0] = negative
    return lines.view(np.uint8).reshape(kept.shape)[kept].tobytes(), bounds
