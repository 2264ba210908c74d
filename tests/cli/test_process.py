"""The program among other processes: signals, exit statuses, closed standard streams."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys

import pytest

from nsl_tools.cli.process import say

_SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])


def run(program: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    """Run a program that has all of the module, `os`, `signal` and `sys`."""
    head = "import os, signal, sys, threading\nfrom nsl_tools.cli.process import *\n"
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    options["env"] = {**os.environ, "PYTHONUNBUFFERED": ""}  # what is printed waits to be flushed
    return subprocess.run(  # type: ignore[call-overload]
        [sys.executable, "-c", head + program], check=False, timeout=60, **options
    )


@_SIGNALS
def test_the_first_signal_is_raised_and_the_second_kills(number: int) -> None:
    """In between, what was begun can be undone."""
    program = f"""
raise_on_signals()
try:
    os.kill(os.getpid(), {number})
except Signalled as err:
    print("undone", err.number, flush=True)
    os.kill(os.getpid(), {number})
print("never")
"""
    done = run(program)
    assert (done.returncode, done.stdout) == (-number, b"undone %d\n" % number)
    assert done.stderr == b""


def test_a_signal_that_the_parent_ignores_stays_ignored() -> None:
    program = """
signal.signal(signal.SIGHUP, signal.SIG_IGN)
raise_on_signals()
os.kill(os.getpid(), signal.SIGHUP)
print("on")
"""
    assert run(program).stdout == b"on\n"


def test_a_signal_in_a_destructor_is_raised_after_it() -> None:
    """Where it comes, it would be lost; other failures there are said as Python does."""
    program = """
import time
class Late:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000):
            pass
class Odd:
    def __del__(self):
        raise ValueError("odd")
raise_on_signals()
del [Odd()][0]
try:
    del [Late()][0]
    for _ in range(3000):
        time.sleep(0.01)
except Signalled as err:
    print("raised", err.number)
"""
    done = run(program)
    assert done.stdout == b"raised %d\n" % signal.SIGTERM
    assert b"ValueError: odd" in done.stderr
    assert b"Signalled" not in done.stderr


@pytest.mark.parametrize("closed", [(0,), (1,), (0, 1, 2), ()])
def test_files_do_not_get_the_numbers_of_closed_streams(closed: tuple[int, ...]) -> None:
    """None of those that were open is touched."""
    program = f"""
before = os.dup(2) + 1
for number in {closed}:
    os.close(number)
occupy_closed_descriptors()
found = os.open(os.devnull, os.O_RDONLY)
os.write(before - 1, b"%d" % (found == before))
"""
    assert run(program).stderr == b"1"


@_SIGNALS
def test_it_dies_by_a_signal(number: int) -> None:
    """Though it was told to ignore it: the parent sees what ended the program."""
    program = f"signal.signal({number}, signal.SIG_IGN)\ndie_by({number})"
    assert run(program).returncode == -number


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("code", [0, 1, 2])
def test_output_is_flushed_before_the_exit(code: int, at_once: bool) -> None:
    """And what is to be done at the exit is not, if it is to be at once."""
    program = f"""
import atexit
atexit.register(lambda: print("taken down"))
print("all")
exit_with({code}, at_once={at_once})
"""
    done = run(program)
    assert done.returncode == code
    assert done.stdout == (b"all\n" if at_once else b"all\ntaken down\n")


def test_it_does_not_wait_for_a_thread_that_waits_for_its_input() -> None:
    program = """
from nsl_tools.background import Background
reader, writer = os.pipe()
Background(os.read(reader, 1) for _ in range(1))
exit_with(0)
"""
    assert run(program).returncode == 0


@pytest.mark.parametrize(("code", "status"), [(0, 1), (2, 2)])
def test_an_output_that_takes_nothing_is_an_error(code: int, status: int) -> None:
    """It is said unless something else was."""
    with open("/dev/full", "wb") as full:
        done = run(f"print('x')\nexit_with({code})", stdout=full)
    said = b"nsl-tools: error: <stdout>: cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (status, b"" if code else said)


def test_an_output_that_nobody_reads_is_no_error() -> None:
    """The program dies as others do."""
    reader, writer = os.pipe()
    os.close(reader)
    done = run("print('x')\nexit_with(0)", stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, b"")


def test_what_is_said_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\nb")
    assert capsys.readouterr().err == "a\\nb\n"


class Full(io.StringIO):
    """A standard error that takes nothing."""

    def write(self, _: str, /) -> int:
        """Fail."""
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_nobody_may_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard error is closed from the start, or fails."""
    monkeypatch.setattr(sys, "stderr", None)
    say("a")
    monkeypatch.setattr(sys, "stderr", Full())
    say("a")
    assert sys.stderr is None
