"""The program among other processes: signals, exit codes, closed standard streams.

A signal that asks the program to end becomes an exception, so that whatever was
begun is undone on the way out; then the program dies by that signal. A second
signal kills at once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, NoReturn

from nsl_tools.background import is_waiting
from nsl_tools.errors import printable

if TYPE_CHECKING:
    from types import FrameType

DATA_ERROR = 1  # exit status: an input or output is wrong
USAGE_ERROR = 2  # exit status: the command line is wrong, as in most programs
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


_came: list[int] = []


class Signalled(BaseException):
    """A signal asked the program to end."""

    def __init__(self, number: int) -> None:
        self.number = number


def raise_on_signals() -> None:
    """Raise Signalled, in the main thread, at the first signal that asks to end."""
    for number in _SIGNALS:
        # A signal ignored by the parent (nohup) stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _raise_signalled)
    sys.unraisablehook = _unraisable


def _raise_signalled(number: int, _: FrameType | None) -> NoReturn:
    for other in _SIGNALS:
        if signal.getsignal(other) is _raise_signalled:
            signal.signal(other, signal.SIG_DFL)
    _came.append(number)
    raise Signalled(number)


def signal_behind(err: BaseException) -> int | None:
    """Return the signal that an exception is due to; None if there was none.

    Libraries turn exceptions into others, such as an ImportError: what is raised after a signal
    asked to end is taken for its consequence.
    """
    if isinstance(err, Signalled):
        return err.number
    return _came[-1] if _came else None


def _unraisable(unraisable: sys.UnraisableHookArgs, /) -> None:
    """Repeat a signal that came inside a destructor, where an exception is lost."""
    if not isinstance(unraisable.exc_value, Signalled):
        sys.__unraisablehook__(unraisable)
        return
    number = unraisable.exc_value.number
    signal.signal(number, _raise_signalled)
    seconds = 0.01  # to leave the destructor: long for code that does little; nobody notices it
    repeat = threading.Timer(seconds, os.kill, (os.getpid(), number))
    repeat.daemon = True
    repeat.start()


def occupy_closed_descriptors() -> None:
    """Keep files that are opened later off the standard streams' numbers."""
    standard_error = 2  # the last of the standard streams' descriptors
    while (descriptor := os.open(os.devnull, os.O_RDONLY)) <= standard_error:
        pass
    os.close(descriptor)


def say(line: str) -> None:
    """Write one line to standard error, if anybody listens."""
    if sys.stderr is not None:
        try:
            print(printable(line), file=sys.stderr, flush=True)  # noqa: T201 - what the user reads
        except OSError:
            # Nothing is left to tell it to; the exit code says it.
            sys.stderr = None


def exit_with(code: int, *, at_once: bool = False) -> NoReturn:
    """Exit, having flushed standard output; its failure is an error too.

    If `at_once`, without taking the interpreter down piece by piece.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        die_by(signal.SIGPIPE)
    except OSError as err:
        if code == 0:
            say(f"nsl-tools: error: <stdout>: cannot be written: {err.strerror}")
        # The interpreter would flush, and fail, again.
        os._exit(code or DATA_ERROR)
    # The interpreter would wait for a thread that waits for its input.
    if at_once or is_waiting():
        os._exit(code)
    sys.exit(code)


def die_by(number: int) -> NoReturn:
    """End by signal `number`, so that the parent sees what ended the program."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    sys.exit(128 + number)
