"""What a run counted: totals, and what it met that a user should know of."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass
class Statistics:
    """Counts of one run, or of a part of it; parts add up with `+=`.

    Attributes:
        counts: what was read and written, by name.
        warnings: what was accepted but doubtful, by reason.
    """

    counts: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)

    def __iadd__(self, other: Self) -> Self:
        self.counts += other.counts
        self.warnings += other.warnings
        return self

    def summary(self) -> str:
        """Return the counts as one line."""
        return ", ".join(f"{count:,} {name}" for name, count in self.counts.items())
