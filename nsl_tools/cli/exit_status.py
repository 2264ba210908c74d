"""What an exception that ends a run means to the user: an exit status and a line."""

from __future__ import annotations

import errno
import signal

import click

from nsl_tools.cli.process import DATA_ERROR, USAGE_ERROR, signal_behind
from nsl_tools.errors import NslToolsError, UsageError


def status_of(err: BaseException) -> int:
    """Return the exit status, as a shell shows it."""
    if (number := signal_behind(err)) is not None:
        return 128 + number
    if isinstance(err, BrokenPipeError):
        return 128 + signal.SIGPIPE
    wrong_usage = isinstance(err, UsageError | click.UsageError)
    return USAGE_ERROR if wrong_usage else DATA_ERROR


def line_of(err: BaseException) -> str:
    """Return the one line that is said of it, without the command."""
    if signal_behind(err) is not None or isinstance(err, BrokenPipeError):
        return f"ended by {signal.Signals(status_of(err) - 128).name}"
    if isinstance(err, NslToolsError):
        return str(err)
    if isinstance(err, click.ClickException):
        return f"{err.format_message()} (--help shows the usage)"
    if lacking := _lacking(err):
        return lacking
    return f"unexpected {type(err).__name__}: {err} (--debug shows where)"


def _lacking(err: BaseException) -> str | None:
    """Return what is said where the system did not give what it was asked for, else None."""
    if isinstance(err, ImportError) and "memory" not in str(err) and "map segment" not in str(err):
        return None
    if isinstance(err, MemoryError | ImportError) or _number_of(err) == errno.ENOMEM:
        detail = f" ({err})" if str(err) else ""
        return f"out of memory{detail}: lower --memory-limit, or raise ulimit -v"
    if isinstance(err, RuntimeError) and "start new thread" in str(err):
        return "a thread cannot be started: raise ulimit -u or -v"
    return None


def _number_of(err: BaseException) -> int | None:
    return err.errno if isinstance(err, OSError) else None
