"""Axes: every value has its place, and ticks are few, round and told apart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inspections import forms, numbers

from nsl_tools.inspect.drawing.axes import Axis, fitting, linear, round_up
from nsl_tools.inspect.drawing.series import drawable

if TYPE_CHECKING:
    from nsl_tools.inspect.findings import Form

values = st.lists(
    (numbers | st.floats(1e-290, 1e299)).map(drawable).filter(lambda each: each is not None),
    min_size=1,
    max_size=20,
)


@given(values, forms, st.integers(3, 8), st.booleans(), st.sampled_from([fitting, linear]))
def test_values_lie_on_their_axis_in_their_order(
    drawn: list[float], form: Form, most: int, from_zero: bool, make: type
) -> None:
    axis = make(drawn, form, most, from_zero=from_zero)
    places = [axis.share(value) for value in sorted(drawn)]
    assert places == sorted(places)
    assert -1e-6 <= places[0] <= places[-1] <= 1 + 1e-6
    if from_zero:
        assert -1e-6 <= axis.share(0) <= 1 + 1e-6


@given(values, forms, st.integers(3, 8), st.booleans(), st.sampled_from([fitting, linear]))
def test_ticks_are_few_and_their_labels_differ(
    drawn: list[float], form: Form, most: int, from_zero: bool, make: type
) -> None:
    axis = make(drawn, form, most, from_zero=from_zero)
    assert 1 <= len(axis.ticks) <= most + 3
    assert all(-1e-6 <= axis.share(tick) <= 1 + 1e-6 for tick in axis.ticks)
    labels = [axis.label(tick) for tick in axis.ticks]
    assert len(set(labels)) == len(labels)


def labels(axis: Axis) -> list[str]:
    return [axis.label(tick) for tick in axis.ticks]


@pytest.mark.parametrize(
    ("drawn", "form", "said"),
    [
        ([0, 1], "share", ["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"]),
        ([1, 3], "count", ["1", "2", "3"]),
        ([0.5, 1], "number", ["0.5", "0.6", "0.7", "0.8", "0.9", "1"]),
        ([0, 45_000], "count", ["0", "10k", "20k", "30k", "40k"]),
        ([1900, 2020], "number", ["1900", "1950", "2000"]),
        ([2e6, 4.2e6], "number", ["2M", "2.5M", "3M", "3.5M", "4M"]),
        ([7, 7], "count", ["4", "6", "8", "10"]),
        ([0], "count", ["0", "1"]),
        ([1.00001, 1.00002], "number", ["1.00001", "1.000012", "1.000014", "1.000016", "1.000018"]),
    ],
)
def test_ticks_are_round(drawn: list[float], form: Form, said: list[str]) -> None:
    assert labels(linear(drawn, form, 5))[: len(said)] == said
    assert len(linear(drawn, form, 5).ticks) <= len(said) + 1


def test_an_axis_of_bars_begins_at_zero_and_ends_at_a_tick() -> None:
    axis = linear([30, 42], "count", 5, from_zero=True)
    assert (axis.low, axis.high, labels(axis)) == (0, 50, ["0", "10", "20", "30", "40", "50"])
    assert linear([-3], "count", 5, from_zero=True).high == 0


def test_steps_are_factors_where_values_span_more_than_a_thousand() -> None:
    axis = fitting([1, 100, 3000], "count", 5)
    assert axis.is_log
    assert labels(axis) == ["1", "10", "100", "1000"]
    assert axis.share(100) - axis.share(10) == pytest.approx(axis.share(10) - axis.share(1))
    assert axis.share(0) == 0 < axis.share(1)
    assert not fitting([1, 1000], "count", 5).is_log
    assert not fitting([-1, 1, 3000], "count", 5).is_log
    assert not fitting([1e-9, 1], "share", 5).is_log
    assert labels(fitting([1, 10**12], "count", 5)) == ["1", "1000", "1M", "1G", "1e+12"]


@given(st.floats(1e-299, 1e299))
def test_rounding_up_is_to_the_next_round_number(least: float) -> None:
    found = round_up(least)
    assert least <= found * (1 + 1e-12)
    assert found <= 2.5 * least * (1 + 1e-12)
    assert round(found / 10 ** math.floor(math.log10(found) + 1e-9)) in (1, 2, 5)
