"""What a run counts: limits, sums, and how it is told."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.errors import DataError
from nsl_tools.statistics import Statistics

_REASONS = st.sampled_from(["a", "b"])
_EVENTS = st.lists(st.tuples(st.sampled_from(["count", "warn", "drop", "skip"]), _REASONS))


def counted(events: list[tuple[str, str]]) -> Statistics:
    """Return what counts events."""
    found = Statistics(max_errors=len(events))
    for number, (kind, reason) in enumerate(events):
        if kind == "count":
            found.counts[reason] += 1
        elif kind == "warn":
            found.warnings[f"doubtful: {reason}"] += 1
        elif kind == "drop":
            found.drop(f"dropped: {reason}", 2)
        else:
            found.skip(reason, DataError("file", f"line {number}", "bad", number, 9 * number))
    return found


@given(_EVENTS, st.lists(st.integers(0, 9), max_size=2).map(sorted))
def test_parts_add_up_to_the_whole(events: list[tuple[str, str]], cuts: list[int]) -> None:
    """Whatever each of them counted, in the order of the parts."""
    whole, total = counted(events), Statistics()
    for a, b in pairwise([0, *cuts, None]):
        total += counted(events[a:b])
    assert (total.counts, total.warnings, total.dropped) == (
        whole.counts, whole.warnings, whole.dropped,
    )  # fmt: skip
    assert [reason for reason, _ in total.skipped] == [r for kind, r in events if kind == "skip"]


@given(_EVENTS)
def test_the_report_tells_drops_from_warnings(events: list[tuple[str, str]]) -> None:
    """All that was counted is in one of them, and JSON holds it."""
    found = counted(events)
    report = json.loads(json.dumps(found.report()))
    assert report["counts"] == dict(found.counts)
    assert report["drops"] | report["warnings"] == dict(found.warnings)
    assert not report["drops"].keys() & report["warnings"].keys()
    assert all(reason.startswith("doubtful") for reason in report["warnings"])
    assert sum(report["drops"].values()) == sum(
        {"drop": 2, "skip": 1}.get(kind, 0) for kind, _ in events
    )
    skipped = [(number, reason) for number, (kind, reason) in enumerate(events) if kind == "skip"]
    assert report["skipped"] == [
        {"file": "file", "number": n, "byte": 9 * n, "reason": r, "error": f"file: line {n}: bad"}
        for n, r in skipped
    ]


@pytest.mark.parametrize("most", [0, 1, 3])
def test_no_more_are_skipped_than_may_be(most: int) -> None:
    """The next one is raised, and is not counted."""
    statistics = Statistics(most)
    errors = [DataError("file", f"line {number}", "bad") for number in range(most + 1)]
    for err in errors[:-1]:
        statistics.skip("reason", err)
    with pytest.raises(DataError) as raised:
        statistics.skip("reason", errors[-1])
    assert raised.value is errors[-1]
    assert statistics.skipped == [("reason", err) for err in errors[:-1]]
    assert statistics.warnings.total() == most


def test_the_summary_is_one_line() -> None:
    """In the order in which things were counted; what was measured comes last."""
    statistics = Statistics()
    statistics.measures["recall"] = 0.98765
    statistics.counts["edges"] = 1_234_567
    statistics.counts["nodes"] = 0
    assert statistics.summary() == "1,234,567 edges, 0 nodes, recall 0.9877"
    assert Statistics().summary() == ""
    other = Statistics(measures={"recall": 0.5, "pairs": 1.0})
    statistics += other
    assert statistics.measures == {"recall": 0.5, "pairs": 1.0}
