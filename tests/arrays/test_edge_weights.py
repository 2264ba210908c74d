"""`arrays.edge_weights`: weights are written as Python writes `%.6f`."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.arrays.edge_weights import MICRO, as_written, compact, format_lines, restored


def _neighborhood(value: float) -> list[float]:
    return [math.nextafter(value, -2), value, math.nextafter(value, 2)]


# Halves of a millionth, where rounding the product may differ from rounding the decimal.
_halves = st.integers(-MICRO, MICRO - 1).map(lambda micro: (2 * micro + 1) / (2 * MICRO))
_cosines = (
    st.floats(-1, 1)
    | _halves.flatmap(lambda half: st.sampled_from(_neighborhood(half)))
    | st.sampled_from([-0.0, 0.0, 1.0, -1.0, 1.0000000000000002, -1.0000000000000002, 5e-324])
)


def _lines(weights: list[float]) -> list[bytes]:
    text, bounds = format_lines(np.array(weights, np.float64))
    assert bounds[-1] == len(text)
    return [text[start:end] for start, end in pairwise(bounds)]


@given(st.lists(_cosines, max_size=20))
def test_weights_are_formatted_as_python_does(weights: list[float]) -> None:
    """Every cosine, and its sign, is written as `%.6f` writes it."""
    assert _lines(weights) == [b"%.6f\n" % weight for weight in weights]


def test_many_halves_are_formatted_as_python_does() -> None:
    """Ten thousand halves of a millionth, and the numbers next to them, round as `%.6f` does."""
    rng = np.random.default_rng(7)
    halves = (2 * rng.integers(-MICRO, MICRO, 10_000) + 1) / (2 * MICRO)
    weights = np.concatenate([np.nextafter(halves, -2), halves, np.nextafter(halves, 2)]).tolist()
    assert _lines(weights) == [b"%.6f\n" % weight for weight in weights]


@given(st.lists(st.floats(-1, 1)))
def test_compact_weights_are_written_as_before(weights: list[float]) -> None:
    """To the sign of -0.000000."""
    given_ = np.array([*weights, -1e-9, 0.0, -0.0, 1e-9, 1.0, -1.0])
    compacted = compact(given_)
    assert compacted.min() >= 0
    assert format_lines(restored(compacted))[0] == format_lines(given_)[0]
    assert (as_written(restored(compacted)) == as_written(given_)).all()


@given(st.lists(_cosines, max_size=20))
def test_ranking_uses_what_is_written(weights: list[float]) -> None:
    """Millionths are those of the text, so that equal texts are ties."""
    millionths = [int(f"{weight:.6f}".replace(".", "")) for weight in weights]
    assert as_written(np.array(weights, np.float64)).tolist() == millionths
