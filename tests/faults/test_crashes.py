"""A short run of the crash test; the long one is `python scripts/crash_test.py`."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.own_memory("runs of its own sizes"), pytest.mark.slow]

_SCRIPT = Path(__file__).parents[2] / "scripts" / "crash_test.py"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_runs_that_are_killed_leave_all_or_nothing() -> None:
    """At random moments, over old outputs and none; the repetition gives the reference."""
    command = [sys.executable, str(_SCRIPT), "--kills=4", "--others=2", "--resumes=4"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("runs: ") == 10
