"""The pieces of the sweep; `test_build_graph` holds what it finds against brute force."""

import numpy as np
import pytest

from nsl_tools.candidates import _places


@pytest.mark.parametrize("shape", [(0, 5), (1, 1), (3, 7), (4, 16), (128, 1024), (1024, 1000)])
@pytest.mark.parametrize("density", [0, 0.0005, 0.02, 0.5, 1])
def test_places_are_those_of_the_flat_mask(shape: tuple[int, int], density: float) -> None:
    """Be they few or many, and columns a multiple of eight or not."""
    mask = np.random.default_rng(0).random(shape) < density
    assert _places(mask).tolist() == np.flatnonzero(mask).tolist()


def test_places_of_some_rows_of_a_mask() -> None:
    """Which need not begin where a number of eight bytes may."""
    mask = np.random.default_rng(0).random((64, 9)) < 0.01
    for start in range(56):
        part = mask[start : start + 8]
        assert _places(part).tolist() == np.flatnonzero(part).tolist()
