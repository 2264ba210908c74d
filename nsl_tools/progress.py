"""Progress on standard error: a bar on a terminal, elsewhere a plain line now and then."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from nsl_tools.errors import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")

SECONDS_BETWEEN_LINES = 30.0
"""Where there is no terminal: the log of a run of hours stays short."""


@dataclass(frozen=True)
class Progress:
    """How to report progress; `quiet` says nothing."""

    command: str = "nsl-tools"
    quiet: bool = True

    def note(self, text: str) -> None:
        """Say something that a user may want to know of a run."""
        if not self.quiet and sys.stderr is not None:
            print(f"{self.command}: {printable(text)}", file=sys.stderr)  # noqa: T201 - the log of a batch job

    def track(
        self,
        items: Iterable[T],
        what: str,
        size: Callable[[T], int],
        total: int | None = None,
    ) -> Iterator[T]:
        """Yield `items`, reporting how many `what` (each item counts `size(item)`) went by."""
        if self.quiet or sys.stderr is None:
            yield from items
        elif sys.stderr.isatty():
            yield from _bar(items, f"{self.command}: {what}", size, total)
        else:
            yield from _lines(items, f"{self.command}: {what}", size, total)


def _bar(
    items: Iterable[T], label: str, size: Callable[[T], int], total: int | None
) -> Iterator[T]:
    from tqdm import tqdm

    with tqdm(total=total, desc=label, unit="", unit_scale=True, leave=False) as bar:
        for item in items:
            yield item
            bar.update(size(item))


def _lines(
    items: Iterable[T], label: str, size: Callable[[T], int], total: int | None
) -> Iterator[T]:
    start = due = time.monotonic()
    due += SECONDS_BETWEEN_LINES
    done = 0
    for item in items:
        yield item
        done += size(item)
        if (now := time.monotonic()) >= due:
            due = now + SECONDS_BETWEEN_LINES
            print(f"{label}: {_position(done, total, now - start)}", file=sys.stderr)  # noqa: T201 - the log of a batch job


def _position(done: int, total: int | None, seconds: float) -> str:
    if not total:
        return f"{done:,} after {seconds:.0f} s"
    left = seconds * (total - done) / done if done else 0.0
    return f"{done:,} of {total:,} after {seconds:.0f} s, about {left:.0f} s left"
