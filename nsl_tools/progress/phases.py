"""The phases of a run, and how long each will take.

The time left of a phase is by the time in which it went on so far: that in which it waits for
another one does not count. The phase with the most time left bounds the run.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nsl_tools.memory import shown_size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nsl_tools.progress.work import Work


@dataclass(eq=False)
class Phase:
    """A part of a run.

    Attributes:
        name: what is done, in a word or two.
        unit: in which its work is counted; B for bytes.
        work: the counts.
        total: how much there is, where `work` does not tell.
        first: what was done before.
        began: when, by the clock of the run.
        ended: when, or None.
        seconds: in which it went on.
        done: how much was done when it was looked at last.
        advanced: when that was last seen to be more than before.
        head: seconds and what was done when something was first seen to be.
    """

    name: str
    unit: str
    work: Work
    total: int | None
    first: int
    began: float
    ended: float | None = None
    seconds: float = 0.0
    done: int = 0
    advanced: float | None = None
    head: tuple[float, int] = 0.0, 0

    def look(self, now: float) -> None:
        """Look at the work."""
        before, self.done = self.done, self.work.done - self.first
        if self.done > before:
            self.advanced = now

    def go_on(self, seconds: float) -> None:
        """Tell that it went on for so many seconds up to the last look."""
        self.seconds += seconds
        if self.done and not self.head[1]:
            self.head = self.seconds, self.done

    def goes_on(self, now: float, *, fed: bool) -> bool:
        """Tell whether it went on up to a look, where nobody waits for anything.

        Args:
            now: when it was looked at.
            fed: whether it, or another one, waited for one of these phases before.
        """
        # What others wait for at times goes on while its counts rise, which is often. What waits
        # at times goes on where it does not, though its counts may rise seldom.
        return self.advanced == now if self.work.waiting is not None else fed or self.done > 0

    @property
    def expected(self) -> int:
        """How much there is to do; 0 if that is unknown."""
        return self.total or self.work.total

    @property
    def share(self) -> float | None:
        """How much of the work is done, from 0 to 1; None if that is unknown."""
        return min(1.0, self.done / self.expected) if self.expected else None

    @property
    def speed(self) -> float:
        """How much of it is done in a second in which it goes on; 0 if that is unknown."""
        # What comes first may take longer, to begin with; and alone it tells little.
        seconds, done = self.head if self.done > self.head[1] else (0.0, 0)
        return (self.done - done) / (self.seconds - seconds) if self.seconds > seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes if nothing keeps it waiting; None if that is unknown."""
        left = max(0, self.expected - self.done)
        return left / self.speed if self.expected and self.speed else None

    def amount(self, count: float) -> str:
        """Return so much of its work in words."""
        return shown_size(count) if self.unit == "B" else f"{_brief(count)} {self.unit}"

    @property
    def rate(self) -> str:
        """How much of it is done in a second, in words; empty if that is unknown."""
        return f"{self.amount(self.speed)}/s" if self.speed else ""

    def with_later(self, other: Phase) -> Phase:
        """Return what both phases, which are of one name, did together."""
        return replace(
            self,
            ended=other.ended,
            advanced=other.advanced,
            seconds=self.seconds + other.seconds,
            done=self.done + other.done,
        )

    def described(self, now: float) -> str:
        """Return in words where it is."""
        said = [self.amount(self.done)] if self.done else []
        if self.share is not None:
            said = [f"{percent(self.share)} % of {self.amount(self.expected)}"]
        said += [self.rate, f"{shown_time(now - self.began)} so far"]
        if self.seconds_left is not None:
            said.append(f"about {shown_time(self.seconds_left)} left")
        return f"{self.name}: {', '.join(filter(None, said))}"


def percent(share: float) -> int:
    """Return a share in whole percent: 100 are all, and nothing less."""
    return int(100 * share)


def _brief(count: float) -> str:
    """Return a number in three digits, and a letter for its thousands, millions and so on."""
    return shown_size(count).replace(" ", "").removesuffix("B")


def shown_time(seconds: float) -> str:
    """Return a time as minutes and seconds, after hours if there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Phases:
    """The phases of a run, in the order in which they were opened.

    Args:
        clock: returns seconds since some time.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.all: list[Phase] = []
        self.clock = clock
        self.began = self._looked = clock()
        self._lock = threading.Lock()

    def open(self, name: str, work: Work, unit: str, total: int | None) -> Phase:
        """Begin a phase."""
        self.look()
        phase = Phase(name, unit, work, total, work.done, self.clock())
        with self._lock:
            self.all.append(phase)
        return phase

    def close(self, phase: Phase) -> None:
        """End a phase."""
        self.look()
        phase.ended = self.clock()

    def look(self) -> Phase | None:
        """Look at the work of all; return the phase that bounds the run, None between phases.

        The time since the last look is that of the phases that went on.
        """
        with self._lock:
            now = self.clock()
            passed, self._looked = now - self._looked, now
            current = [phase for phase in self.all if phase.ended is None]
            for phase in current:
                phase.look(now)
            bounding = _bounding(current)
            awaited = [phase for phase in current if phase.work.waiting]
            feeds = any(phase.work.waiting is not None for phase in current)
            active = awaited or [phase for phase in current if phase.goes_on(now, fed=feeds)]
            for phase in current:
                if phase in active or (phase is bounding and not active):
                    phase.go_on(passed)
                elif not phase.done:  # it waits to begin
                    phase.began, phase.seconds = now, 0.0
            return _bounding(current)

    def report(self) -> list[str]:
        """Return in words when each phase that did something, or took a while, began and ended.

        Those of one name are told as one.
        """
        while_seconds = 0.05
        named: dict[str, Phase] = {}
        for phase in sorted(self.all, key=lambda phase: phase.began):
            if phase.done or phase.seconds >= while_seconds:
                first = named.get(phase.name)
                named[phase.name] = phase if first is None else first.with_later(phase)
        now, said = self.clock(), []
        for phase in named.values():
            # What others waited for ended when it was done, not when they were.
            last = phase.ended if phase.work.waiting is None else phase.advanced
            times = (phase.began, now if last is None else last)
            began, ended = (f"{time - self.began:.1f} s" for time in times)
            told = [f"{phase.name}: {began} to {ended}"]
            if phase.done:
                told.append(phase.amount(phase.done))
                told += [f"{phase.amount(phase.done / phase.seconds)}/s"] if phase.seconds else []
            said.append(", ".join(told))
        return said


def _bounding(phases: Sequence[Phase]) -> Phase | None:
    """Return the phase with the most time left; if none is known, the last one that is not done."""
    left = [phase for phase in phases if phase.share != 1] or list(phases)
    known = [(phase.seconds_left, phase) for phase in left if phase.seconds_left is not None]
    if known:
        return max(known, key=lambda pair: pair[0])[1]
    return left[-1] if left else None
