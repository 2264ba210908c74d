"""What a run counts: totals, warnings, and what it skipped."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

    from nsl_tools.errors import DataError


@dataclass
class Statistics:
    """Counts of one run.

    Attributes:
        max_errors: records and lines that may be skipped, in all inputs together.
        counts: what was read and written, by name.
        measures: what was measured, by name.
        warnings: how often something was accepted but doubtful, or was dropped, by reason.
        dropped: those of these reasons for which something was dropped.
        skipped: what was wrong with each record or line that was skipped, and its reason.
    """

    max_errors: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    measures: dict[str, float] = field(default_factory=dict)
    warnings: Counter[str] = field(default_factory=Counter)
    dropped: set[str] = field(default_factory=set)
    skipped: list[tuple[str, DataError]] = field(default_factory=list)

    def skip(self, reason: str, err: DataError) -> None:
        """Count a record or line that is left out because of `err`; raise it if too many are."""
        if len(self.skipped) >= self.max_errors:
            raise err
        self.skipped.append((reason, err))
        self.drop(f"skipped: {reason}", 1)

    def drop(self, reason: str, count: int) -> None:
        """Count what is left out, by its reason."""
        self.warnings[reason] += count
        self.dropped.add(reason)

    def __iadd__(self, other: Statistics) -> Self:
        """Add what another part of the run counted."""
        self.counts.update(other.counts)
        self.measures.update(other.measures)
        self.warnings.update(other.warnings)
        self.dropped |= other.dropped
        self.skipped += other.skipped
        return self

    def summary(self) -> str:
        """Return the counts and what was measured as one line."""
        counts = [f"{count:,} {name}" for name, count in self.counts.items()]
        return ", ".join(counts + [f"{name} {value:.4f}" for name, value in self.measures.items()])

    def report(self) -> dict[str, object]:
        """Return everything, as what JSON can hold."""
        skipped = [
            {
                "file": err.source,
                "number": err.number,
                "byte": err.offset,
                "reason": reason,
                "error": str(err),
            }
            for reason, err in self.skipped
        ]
        reasons = self.warnings.items()
        return {
            "counts": dict(self.counts),
            "measures": dict(self.measures),
            "drops": {reason: count for reason, count in reasons if reason in self.dropped},
            "warnings": {reason: count for reason, count in reasons if reason not in self.dropped},
            "skipped": skipped,
        }
