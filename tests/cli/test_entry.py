"""Where the program begins: a signal from the keyboard ends it at once until it is ready."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from nsl_tools.cli import commands, entry


def test_it_is_the_command_line() -> None:
    assert entry.main is commands.main


@pytest.mark.parametrize(
    ("before", "after"),
    [("default_int_handler", "SIG_DFL"), ("SIG_IGN", "SIG_IGN"), ("SIG_DFL", "SIG_DFL")],
)
def test_the_keyboard_ends_it_without_a_traceback(before: str, after: str) -> None:
    """Unless the signal is ignored."""
    program = (
        f"import os, signal\nsignal.signal(signal.SIGINT, signal.{before})\n"
        "import nsl_tools.cli.entry\n"
        f"print(signal.getsignal(signal.SIGINT) is signal.{after}, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGINT)\nprint('on')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    ignored = after == "SIG_IGN"
    assert done.returncode == (0 if ignored else -signal.SIGINT)
    assert done.stdout == (b"True\non\n" if ignored else b"True\n")
    assert done.stderr == b""
