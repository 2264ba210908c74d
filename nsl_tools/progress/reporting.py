"""What a run tells of itself: its phases while it lasts, and what it did at its end."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING, TypeAlias

from nsl_tools.errors import printable
from nsl_tools.memory import peak_memory, shown_size
from nsl_tools.progress.phases import Phases
from nsl_tools.progress.views import BarView, LineView
from nsl_tools.progress.work import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Self

    from nsl_tools.progress.phases import Phase

    View: TypeAlias = BarView | LineView


class Progress:
    """Tells of a run. While it is entered, it shows the phase that bounds the run.

    Args:
        command: that runs.
        quiet: whether to say nothing, and to keep nothing.
        verbose: whether its user wants to know at the end what a run did.
        clock: returns seconds since some time.

    Attributes:
        refresh_seconds: time between two bars: to the eye, they move.
    """

    refresh_seconds: float = 0.25

    def __init__(
        self,
        command: str = "nsl-tools",
        *,
        quiet: bool = True,
        verbose: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.command, self.quiet, self.verbose = command, quiet, verbose
        self._phases = Phases(clock)
        self._decisions: dict[str, str] = {}
        self._view: View | None = None
        self._lock = threading.Lock()  # of the view
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Begin to show the run, if anybody listens."""
        if not self.quiet and (stream := sys.stderr) is not None:
            if stream.isatty():
                self._view = BarView(self.command, stream)
            else:
                self._view = LineView(self.command, stream, self._phases.began)
            name = "nsl-tools progress"
            self._thread = threading.Thread(target=self._show, name=name, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove what is shown."""
        self._ended.set()
        if self._thread is not None and self._view is not None:
            self._thread.join(1.0)  # seconds: it may be kept waiting by the terminal
            with contextlib.suppress(OSError, ValueError):
                self._view.clear()

    def _show(self) -> None:
        # The terminal may be gone: the run goes on.
        with contextlib.suppress(OSError, ValueError):
            while not self._ended.wait(self.refresh_seconds):
                self.refresh()

    def refresh(self) -> None:
        """Look at the work, and show where the run is; the thread does so again and again.

        Raises:
            OSError, ValueError: nobody listens any more.
        """
        phase = self._phases.look()
        if phase is not None and self._view is not None:
            with self._lock:
                self._view.show(phase, self._phases.clock())

    def note(self, text: str) -> None:
        """Say something that a user may want to know while the run lasts."""
        if not self.quiet and sys.stderr is not None:
            with self.silence():
                print(f"{self.command}: {printable(text)}", file=sys.stderr)  # noqa: T201 - the log of a batch job

    @contextlib.contextmanager
    def silence(self) -> Iterator[None]:
        """Show nothing meanwhile: others write to standard error."""
        with self._lock:
            if self._view is not None:
                with contextlib.suppress(OSError, ValueError):
                    self._view.clear()
            yield

    def decide(self, what: str, text: str) -> None:
        """Keep what a run chose, and why, for its end; the last word about `what` counts."""
        if not self.quiet:
            self._decisions[what] = text

    @contextlib.contextmanager
    def phase(
        self, name: str, work: Work | None = None, unit: str = "records", total: int | None = None
    ) -> Iterator[Work]:
        """Tell that a phase goes on meanwhile.

        Args:
            name: what is done, in a word or two.
            work: that is counted; None for work that is yet to be told of.
            unit: in which it is counted; B for bytes.
            total: how much there is, where `work` does not tell.

        Yields:
            The work.
        """
        work = work or Work()
        if self.quiet:
            yield work
            return
        phase = self._phases.open(name, work, unit, total)
        try:
            yield work
        finally:
            self._phases.close(phase)

    @property
    def phases(self) -> list[Phase]:
        """The phases so far, in the order in which they began."""
        return self._phases.all

    def report(self) -> list[str]:
        """Return the phases in which something was done, with their times, and what was decided."""
        decided = [f"{what}: {text}" for what, text in self._decisions.items()]
        return [*self._phases.report(), *decided, f"peak memory: {shown_size(peak_memory())}"]
