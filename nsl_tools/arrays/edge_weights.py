"""Edge weights as they are written: `%.6f`, as NSL does.

Ranking uses the weight as written, in millionths, because packing reads no
more than that. Source: NSL 1.4, `tools/build_graph.py`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MICRO = 1_000_000
PARALLEL = 1 - 2.0**-42
"""Vectors that are parallel, but for their own rounding to float32, have a larger cosine."""
_UNCERTAIN = 1e-6
_ZERO = ord("0")
_THOUSAND = 1000
_FIELDS = [("ones", "u1"), ("point", "u1"), ("high", "V3"), ("low", "V4")]
_UNSIGNED = np.dtype(_FIELDS).itemsize
# All three digits there are, before more digits and at the end of a line.
_HIGH_DIGITS = np.frombuffer(b"".join(b"%03d" % i for i in range(_THOUSAND)), "V3")
_LOW_DIGITS = np.frombuffer(b"".join(b"%03d\n" % i for i in range(_THOUSAND)), "V4")


def as_written(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return cosines, shape (n,), in millionths, rounded as `%.6f` rounds them."""
    scaled = weights * MICRO
    written = np.rint(scaled)
    # Scaling itself may round: near a half, only the decimal conversion can tell.
    uncertain = np.abs(np.abs(scaled - written) - 0.5) < _UNCERTAIN
    for i in np.flatnonzero(uncertain).tolist():
        written[i] = round(float(f"{weights[i]:.6f}") * MICRO)
    return written.astype(np.int64)


def compact(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    """Return cosines, shape (n,), as written, in half the memory: at least 0; see `restored`."""
    # The sign is one of its own, since -0.000000 is written with it.
    return (np.abs(as_written(weights)) << 1 | np.signbit(weights)).astype(np.int32)


def restored(compacted: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    """Return cosines that are written as those which were given to `compact`."""
    return np.copysign((compacted >> 1) / MICRO, np.where(compacted & 1, -1.0, 1.0))


def format_lines(weights: npt.NDArray[np.float64]) -> tuple[bytes, npt.NDArray[np.int32]]:
    """Return `%.6f` and a newline for each of n cosines, end to end, and the n + 1 bounds."""
    written = np.abs(as_written(weights)).astype(np.int32)
    thousands = written // _THOUSAND
    ones = thousands // _THOUSAND
    negative = np.signbit(weights)
    signed = bool(negative.any())
    lines = np.empty(len(weights), [("sign", "u1"), *_FIELDS] if signed else _FIELDS)
    lines["ones"] = _ZERO + ones
    lines["point"] = ord(".")
    lines["high"] = _HIGH_DIGITS[thousands - _THOUSAND * ones]
    lines["low"] = _LOW_DIGITS[written - _THOUSAND * thousands]
    bounds = np.zeros(len(weights) + 1, np.int32)
    np.cumsum(_UNSIGNED + negative, out=bounds[1:])
    if not signed:
        return lines.tobytes(), bounds
    lines["sign"] = ord("-")
    kept = np.ones((len(weights), _UNSIGNED + 1), np.bool_)
    kept[:, 0] = negative
    return lines.view(np.uint8).reshape(kept.shape)[kept].tobytes(), bounds
