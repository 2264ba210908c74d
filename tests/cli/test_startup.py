"""What the program sets up for itself, and what it leaves as it was."""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
from typing import NoReturn

import pytest

from nsl_tools.cli.startup import leave_threads_to_us, loading


def test_garbage_is_collected_again_once_all_is_loaded() -> None:
    assert gc.isenabled()
    with loading():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_garbage_is_collected_again_if_loading_fails() -> None:
    with pytest.raises(ImportError), loading():
        raise ImportError
    assert gc.isenabled()


def test_pandas_is_left_alone() -> None:
    """Which pyarrow would import; whoever asks for it later has it."""
    code = """
import sys
from nsl_tools.cli.startup import loading
with loading():
    import pyarrow
pyarrow.array([1, None]).is_valid().to_numpy(zero_copy_only=False)
assert "pandas" not in sys.modules
import pandas
assert pandas.DataFrame({"a": [1]}).a[0] == 1
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_another_c_library_keeps_its_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a library without `mallopt` nor a system without `dlopen(NULL)` is an error."""

    def missing(_: object) -> NoReturn:
        raise TypeError

    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    with loading():
        pass
    monkeypatch.setattr(ctypes, "CDLL", missing)
    with loading():
        pass


def test_a_number_of_threads_that_is_given_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    leave_threads_to_us()
    assert os.environ["OPENBLAS_NUM_THREADS"] == "3"


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="counts threads as Linux does")
def test_numpy_starts_no_threads_in_our_process() -> None:
    """They would spin beside ours before they sleep."""
    program = (
        "import os\n"
        "from nsl_tools.cli.startup import leave_threads_to_us\n"
        "leave_threads_to_us()\n"
        "import numpy\n"
        "print(len(os.listdir('/proc/self/task')))"
    )
    clean = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    found = subprocess.run(
        [sys.executable, "-c", program], env=clean, check=True, capture_output=True, text=True
    )
    assert found.stdout == "1\n"
