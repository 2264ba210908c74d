"""`estimates.run_estimate`: what people read of an estimate, and what JSON holds."""

from __future__ import annotations

import json

import pytest

from nsl_tools.estimates.run_estimate import EstimateFact, RunEstimate, shown_seconds, time_facts


@pytest.mark.parametrize(
    ("fact", "shown"),
    [
        (EstimateFact("nodes", 1234567), "1,234,567"),
        (EstimateFact("edges", 1234567.8, about=True), "about 1,230,000"),
        (EstimateFact("memory", 123_456_789, "bytes"), "123 MB"),
        (EstimateFact("time", 12.3, "seconds", about=True), "about 12 s"),
        (EstimateFact("search", "all pairs", "text"), "all pairs"),
    ],
)
def test_values_are_shown_as_people_say_them(fact: EstimateFact, shown: str) -> None:
    assert fact.shown == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.04, "0.0 s"), (4.55, "4.5 s"), (99, "99 s"), (120, "2 min"), (9000, "2.5 h")],
)
def test_times_have_units(seconds: float, shown: str) -> None:
    assert shown_seconds(seconds) in (shown, shown.replace("4.5", "4.6"))


def test_the_time_is_that_of_all_phases() -> None:
    (fact,) = time_facts({"start": 0.5, "reading": 1.5})
    assert fact.value == 2
    assert fact.why == "start 0.5 s, reading 1.5 s"


def test_json_holds_all_values() -> None:
    estimate = RunEstimate("build-graph")
    estimate.add(EstimateFact("nodes", 3), EstimateFact("engine", "local", "text"))
    assert json.loads(json.dumps(estimate.as_json())) == {
        "nodes": 3, "engine": "local", "fits": True, "problems": [],
    }  # fmt: skip
    estimate.problems.append("no space")
    assert estimate.as_json()["fits"] is False
