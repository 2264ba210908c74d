"""Edge weights as they are written: `%.6f`, as NSL does.

Ranking uses the weight as written, in millionths, because packing reads no
more than that. Source: NSL 1.4, `tools/build_graph.py`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MICRO = 1_000_000
_DIGITS = 6
_UNCERTAIN = 1e-6
_ZERO = ord("0")


def as_written(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return cosines, shape (n,), in millionths, rounded as `%.6f` rounds them."""
    scaled = weights * MICRO
    written = np.rint(scaled)
    # Scaling itself may round: near a half, only the decimal conversion can tell.
    uncertain = np.abs(np.abs(scaled - written) - 0.5) < _UNCERTAIN
    for i in np.flatnonzero(uncertain).tolist():
        written[i] = round(float(f"{weights[i]:.6f}") * MICRO)
    return written.astype(np.int64)


def format_lines(weights: npt.NDArray[np.float64]) -> tuple[bytes, npt.NDArray[np.int32]]:
    """Return `%.6f` and a newline for each of n cosines, end to end, and the n + 1 bounds."""
    written = np.abs(as_written(weights))
    negative = np.signbit(weights)
    text = np.empty((len(weights), _DIGITS + 4), np.uint8)
    text[:, 0] = ord("-")
    text[:, 1] = _ZERO + written // MICRO
    text[:, 2] = ord(".")
    rest = written % MICRO
    for column in range(_DIGITS + 2, 2, -1):
        text[:, column] = _ZERO + rest % 10
        rest //= 10
    text[:, -1] = ord("\n")
    kept = np.ones(text.shape, np.bool_)
    kept[:, 0] = negative
    bounds = np.zeros(len(weights) + 1, np.int32)
    np.cumsum(text.shape[1] - 1 + negative, out=bounds[1:])
    return text[kept].tobytes(), bounds
