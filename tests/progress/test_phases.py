"""Phases: the share done and the time left of counted work, by a clock that tests set."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nsl_tools.progress import Work
from nsl_tools.progress.phases import Phase, Phases, shown_time

LOOK = 0.25
"""Seconds between two looks."""


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def begun(clock: Clock, **units: str) -> tuple[Phases, list[tuple[Work, Phase]]]:
    """Return phases of these names and units, and the work of each."""
    phases, found = Phases(clock), []
    for name, unit in units.items():
        work = Work()
        found.append((work, phases.open(name, work, unit, None)))
    return phases, found


def error(phase: Phase, left: float) -> float:
    """Return by which share of the truth the estimate is off."""
    assert phase.seconds_left is not None
    return abs(phase.seconds_left / left - 1)


@given(
    st.floats(20, 20_000),
    st.integers(100, 100_000),
    st.floats(0, 0.3),
    st.floats(0, 0.9),
    st.floats(0, 2 * math.pi),
)
def test_the_time_left_is_known_after_a_tenth(
    seconds: float, batches: int, latency: float, waves: float, phase_of_waves: float
) -> None:
    """Within a quarter, of work that begins late and whose speed goes up and down."""
    clock, size = Clock(), 1000
    phases, [(work, phase)] = begun(clock, comparing="products")
    work.expect(size * batches)
    begin = clock.now
    # Waves of a hundredth of the work each.
    whole = seconds / batches

    def ends(batch: int) -> float:
        wave = waves * math.sin(2 * math.pi * 100 * batch / batches + phase_of_waves)
        return latency * seconds + whole * (batch + wave * batches / (200 * math.pi))

    looks = min(4000, int(2 * seconds / LOOK) + 2)
    tick = 2 * seconds / looks
    batch = 0
    for look in range(looks):
        clock.now = begin + look * tick
        while batch < batches and ends(batch + 1) <= clock.now - begin:
            work.add(size)
            batch += 1
        phases.look()
        if batch >= batches // 10 and phase.share and phase.share < 0.9:
            left = begin + ends(batches) - clock.now
            assume(tick < left / 10)
            assert error(phase, left) < 0.25
            return


class Bands:
    """A simulated search: a producer multiplies bands, the next one while a consumer writes one.

    Both in seconds of a common clock; `products` and `nodes` are what was done so far.
    """

    def __init__(self, bands: int, comparing: float, writing: float) -> None:
        """Take so many seconds in all for each, if neither waits."""
        costs = [2 * (bands - band) - 1 for band in range(bands)]  # of a triangle
        self.costs = costs
        self.made: list[tuple[float, float]] = []
        self.written: list[tuple[float, float]] = []
        for band, cost in enumerate(costs):
            # A band is begun once the one before it is made, and the one before that written.
            start = max(self.made[-1][1] if band else 0.0, self.written[-2][1] if band > 1 else 0.0)
            self.made.append((start, start + comparing * cost / sum(costs)))
            begin = max(self.made[-1][1], self.written[-1][1] if band else 0.0)
            self.written.append((begin, begin + writing / bands))
        self.end = self.written[-1][1]

    @staticmethod
    def _done(spans: list[tuple[float, float]], sizes: list[float], now: float) -> float:
        parts = zip(spans, sizes, strict=True)
        return sum(s * min(1, max(0, (now - a) / (b - a))) for (a, b), s in parts)

    def products(self, now: float) -> float:
        """Return the share of the products that are made."""
        return self._done(self.made, [cost / sum(self.costs) for cost in self.costs], now)

    def nodes(self, now: float) -> float:
        """Return the share of the nodes that are written."""
        return self._done(self.written, [1 / len(self.costs)] * len(self.costs), now)

    def is_waiting(self, now: float) -> bool:
        """Tell whether the consumer waits for a band."""
        return not any(begin <= now < end for begin, end in self.written)


@given(
    st.integers(4, 40),
    st.floats(1, 3) | st.floats(-3, -1),  # else both bound it, about
    st.floats(100, 5000),
)
def test_of_phases_beside_each_other_the_one_that_bounds_the_run_is_shown(
    bands: int, ratio: float, seconds: float
) -> None:
    """And its time left is within a quarter of the truth after a tenth of its work."""
    comparing, writing = seconds, seconds * math.exp(ratio)
    run = Bands(bands, comparing, writing)
    clock = Clock()
    phases, parts = begun(clock, writing="nodes", comparing="products")
    (written, write), (made, compare) = parts
    written.expect(total := 1 << 40)
    made.expect(total)
    looks = 500
    begin, tick = clock.now, run.end / looks
    bounding, fraction = (write, run.nodes) if writing > comparing else (compare, run.products)
    for look in range(1, looks):
        now = look * tick
        made.add(int(total * run.products(now)) - made.done)
        written.add(int(total * run.nodes(now)) - written.done)
        made.waiting = int(run.is_waiting(now))
        clock.now = begin + now
        shown = phases.look()
        # Once a band is written, it is known how long that takes.
        if fraction(now) >= 0.1 and run.nodes(now) >= 1 / bands:
            assert shown is bounding
            assert error(shown, run.end - now) < 0.25
            return


def test_time_in_which_a_phase_waits_does_not_count() -> None:
    clock = Clock()
    phases, [(written, write), (made, compare)] = begun(clock, writing="nodes", comparing="pairs")
    written.expect(100)
    made.expect(1000)
    with made.awaited():
        for _ in range(50):
            clock.now += 1
            made.add(10)
            assert phases.look() is compare
    assert (compare.seconds, write.seconds) == (50, 0)
    for _ in range(10):  # what is written comes in large parts
        clock.now += 1
        phases.look()
    written.add(50)
    phases.look()
    clock.now += 10
    written.add(50)
    phases.look()
    assert compare.seconds == 50
    assert write.seconds == pytest.approx(20)
    assert phases.report()[0] == "comparing: 0.0 s to 50.0 s, 500 pairs, 10 pairs/s"


def test_a_phase_that_did_not_begin_is_shown_if_no_other_did() -> None:
    """The last one that was opened: it is what goes on."""
    clock = Clock()
    phases, parts = begun(clock, writing="nodes", comparing="pairs")
    clock.now += 60
    shown = phases.look()
    assert shown is parts[1][1]
    assert shown.described(clock.now) == "comparing: 1:00 so far"
    parts[1][0].expect(64)
    assert shown.described(clock.now) == "comparing: 0 % of 64 pairs, 1:00 so far"
    parts[1][0].add(16)
    phases.look()
    said = "comparing: 25 % of 64 pairs, 0.267 pairs/s, 1:00 so far, about 3:00 left"
    assert shown.described(clock.now) == said


def test_between_phases_none_is_shown() -> None:
    phases = Phases(Clock())
    assert phases.look() is None
    phases.close(phases.open("reading", Work(), "B", None))
    assert phases.look() is None
    assert phases.report() == []  # nothing was done


def test_what_was_done_before_a_phase_does_not_count() -> None:
    """As where a file is read again; and how much there is, is said anew."""
    clock, work = Clock(), Work(500)
    phases = Phases(clock)
    work.add(500)
    phase = phases.open("ids", work, "B", 2000)
    clock.now += 5
    work.add(1000)
    phases.look()
    assert phase.described(clock.now) == "ids: 50 % of 2 kB, 200 B/s, 0:05 so far, about 0:05 left"


def test_without_a_total_what_is_done_is_told() -> None:
    clock = Clock()
    phases, [(work, phase)] = begun(clock, edges="B")
    clock.now += 3700
    work.add(74_000_000)
    phases.look()
    assert phase.described(clock.now) == "edges: 74 MB, 20 kB/s, 1:01:40 so far"
    assert phase.share is phase.seconds_left is None


def test_more_than_expected_is_all() -> None:
    """As where tasks are tried again."""
    clock = Clock()
    phases, [(work, phase)] = begun(clock, tasks="tasks")
    work.expect(3)
    clock.now += 1
    work.add(4)
    assert phases.look() is phase
    said = "tasks: 100 % of 3 tasks, 4 tasks/s, 0:01 so far, about 0:00 left"
    assert phase.described(clock.now) == said


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3599, "59:59"), (360_000.2, "100:00:00")],
)
def test_times(seconds: float, shown: str) -> None:
    assert shown_time(seconds) == shown


def test_phases_of_one_name_are_reported_as_one() -> None:
    """In the order in which they began, with what they did together in the time that they took."""
    clock = Clock()
    phases = Phases(clock)
    for seconds, count in ((1, 2_000_000), (3, 6_000_000)):
        work = Work()
        phase = phases.open("sampling", work, "products", None)
        clock.now += seconds
        work.add(count)
        phases.close(phase)
        clock.now += 10
    work = Work()
    phases.open("writing", work, "B", None)
    clock.now += 0.5
    work.add(1)
    phases.look()
    clock.now += 0.5
    assert phases.report() == [
        "sampling: 0.0 s to 14.0 s, 8M products, 2M products/s",
        "writing: 24.0 s to 25.0 s, 1 B, 2 B/s",
    ]
