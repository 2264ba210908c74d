"""How a phase is shown: as a bar on a terminal, as a line in a log."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from nsl_tools.progress.phases import percent, shown_time

if TYPE_CHECKING:
    from typing import TextIO

    from nsl_tools.progress.phases import Phase


def bar_of(
    phase: Phase, command: str, columns: int, now: float, *, ascii_only: bool = False
) -> str:
    """Return where a phase is as a bar that takes so many columns at most."""
    if phase.share is None:
        shown = f"{command}: {phase.described(now)}"
        return (shown if len(shown) <= columns else phase.described(now))[:columns]
    from tqdm import tqdm  # here, since most runs end before it would be imported

    left = "" if phase.seconds_left is None else f"{shown_time(phase.seconds_left)} left"
    before, rate, least = f"{command}: ", phase.rate, 12  # columns of the bar itself
    if columns < len(f"{before}{phase.name} 100%|| {rate}, {left}") + least:
        before, rate, least = "", rate.replace(f" {phase.unit}", ""), 3
    ends = f" {percent(phase.share):3}%|", f"| {', '.join(filter(None, (rate, left)))}"
    name = phase.name[: max(1, columns - len(before) - sum(map(len, ends)) - least)]
    form = f"{before}{name}{ends[0]}{{bar}}{ends[1]}"
    return str(
        tqdm.format_meter(phase.share, 1, 0, ncols=columns, ascii=ascii_only, bar_format=form)
    )


class BarView:
    """A bar in the last line of a terminal, which the next one replaces."""

    def __init__(self, command: str, stream: TextIO) -> None:
        self._command, self._stream = command, stream
        self._shown = ""
        self._ascii_only = not _can_encode(stream, "█▏")

    def show(self, phase: Phase, now: float) -> None:
        """Draw a phase over what is there."""
        columns = _columns(self._stream)
        self._draw(bar_of(phase, self._command, columns, now, ascii_only=self._ascii_only))

    def clear(self) -> None:
        """Remove the bar."""
        if self._shown:
            self._draw("")
            self._stream.write("\r")
            self._stream.flush()

    def _draw(self, text: str) -> None:
        # What was there may have wrapped since, on a terminal that is narrower now.
        covered = min(len(self._shown), _columns(self._stream))
        self._stream.write(f"\r{text:<{covered}}")
        self._stream.flush()
        self._shown = text


def _columns(stream: TextIO) -> int:
    """Return how many columns a bar may take: not the last, after which some terminals wrap."""
    usual = 80
    with contextlib.suppress(OSError, ValueError):
        return max(1, (os.get_terminal_size(stream.fileno()).columns or usual) - 1)
    return usual - 1


def _can_encode(stream: TextIO, text: str) -> bool:
    try:
        text.encode(stream.encoding or "ascii")
    except UnicodeError:
        return False
    return True


class LineView:
    """A line of a log after ten seconds, and then each half a minute: that of hours stays short."""

    def __init__(self, command: str, stream: TextIO, began: float) -> None:
        self._command, self._stream = command, stream
        self._due = began + 10.0

    def show(self, phase: Phase, now: float) -> None:
        """Write a line if one is due."""
        if now >= self._due:
            self._due = now + 30.0
            self._stream.write(f"{self._command}: {phase.described(now)}\n")
            self._stream.flush()

    def clear(self) -> None:
        """Do nothing: lines stay."""
