"""What a run would do and take, as data, which the command line shows and a report holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from nsl_tools.memory import shown_size

if TYPE_CHECKING:
    from collections.abc import Mapping

Form = Literal["text", "count", "bytes", "seconds"]
"""How a value is shown: as it is, as 1,234, as 1.23 MB, as 4.5 s."""


@dataclass(frozen=True)
class EstimateFact:
    """One value of an estimate.

    Attributes:
        name: of the field in the report: small letters and underscores.
        value: the value.
        form: how it is shown.
        about: whether it is an estimate.
        why: where it comes from, or what it means, in a few words.
    """

    name: str
    value: str | float
    form: Form = "count"
    about: bool = False
    why: str = ""

    @property
    def label(self) -> str:
        """What it is, for people."""
        return self.name.replace("_", " ")

    @property
    def shown(self) -> str:
        """The value, for people."""
        if isinstance(self.value, str):
            return self.value
        if self.form == "bytes":
            text = shown_size(self.value)
        elif self.form == "seconds":
            text = shown_seconds(self.value)
        else:
            text = f"{_rounded(self.value) if self.about else self.value:,.0f}"
        return f"about {text}" if self.about else text


@dataclass
class RunEstimate:
    """What a run would do and take.

    Attributes:
        command: that would run.
        facts: in the order in which people read them.
        problems: what is missing for it, and what to do, a line each; none if it would fit.
    """

    command: str
    facts: list[EstimateFact] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add(self, *facts: EstimateFact) -> None:
        """Add facts, after those that are there."""
        self.facts += facts

    def as_json(self) -> dict[str, Any]:
        """Return what JSON can hold: a field for each fact, and whether the run would fit."""
        found: dict[str, Any] = {fact.name: fact.value for fact in self.facts}
        return {**found, "fits": not self.problems, "problems": list(self.problems)}


def time_facts(seconds: Mapping[str, float]) -> list[EstimateFact]:
    """Return the time of a run, and which part of it each phase takes, in their order."""
    parts = ", ".join(f"{name} {shown_seconds(part)}" for name, part in seconds.items())
    return [EstimateFact("time", sum(seconds.values()), "seconds", about=True, why=parts)]


def _rounded(value: float) -> float:
    """Return an estimate to three digits: more would seem to be known."""
    return float(f"{value:.3g}")


def shown_seconds(seconds: float) -> str:
    """Return a time as people say it."""
    few, minute, hour = 99.5, 60, 3600
    if seconds < few:
        return f"{seconds:.1f} s" if seconds < few / 10 else f"{seconds:.0f} s"
    if seconds < few * minute:
        return f"{seconds / minute:.2g} min"
    return f"{seconds / hour:,.1f} h"
