"""`build_graph.dry_run.sweep`: the time of all pairs, from that of some, by its growth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from estimating import asked_for, clustered, sampled
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.build_graph.dry_run.sweep import _extrapolated, product_seconds, sweep_seconds

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.own_memory("an estimate is of the usual sizes")


@given(
    square=st.floats(1e-9, 1e-6),
    linear=st.floats(0, 1e-3),
    rows=st.integers(2000, 10**7),
)
def test_a_time_that_grows_so_is_extrapolated(square: float, linear: float, rows: int) -> None:
    """Of which at least half grows with the square: that of small searches is not exact."""

    def seconds(size: int) -> float:
        return square * size**2 + linear * size

    found = _extrapolated([(size, seconds(size)) for size in (1000, 2000) * 2], rows)
    most = seconds(2000) * (rows / 2000) ** 2
    assert most / 2 * 0.999 <= found <= most * 1.001
    if linear * 2000 <= square * 2000**2:
        assert found == pytest.approx(seconds(rows), rel=0.01)


def test_searching_more_takes_longer(tmp_path: Path) -> None:
    with sampled(asked_for(tmp_path, clustered(900, 8, 20))) as (_, nearest):
        assert 0 < sweep_seconds(nearest, 900) < sweep_seconds(nearest, 900_000)
        assert 0 < product_seconds(nearest) < 1e-4


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_of_few_rows_it_is_what_it_is(tmp_path: Path, rows: int) -> None:
    with sampled(asked_for(tmp_path, clustered(rows, 3, 2))) as (_, nearest):
        assert 0 <= sweep_seconds(nearest, rows) < 1
