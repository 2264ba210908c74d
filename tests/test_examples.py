"""The programs in `examples/`: short, and each runs where what it needs is installed."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
NEEDS = {
    "text.py": ("keras",),
    "images.py": ("keras",),
    "torch_loop.py": ("torch",),
    "jax_loop.py": ("jax",),
}
SIZES = {
    "text.py": "--size=200",
    "images.py": "--epochs=4",
    "torch_loop.py": "--epochs=10",
    "jax_loop.py": "--epochs=10",
}
# Of the loops of one's own: neither TensorFlow nor Keras may be there.
WITHOUT = """
import runpy, sys
for name in ("tensorflow", "keras"):
    sys.modules[name] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def lacking(name: str) -> list[str]:
    """Return the packages that a program needs and that are not installed."""
    found = [package for package in NEEDS[name] if importlib.util.find_spec(package) is None]
    backends = [name for name in ("tensorflow", "jax", "torch") if importlib.util.find_spec(name)]
    return found + ["a backend"] * ("keras" in NEEDS[name] and not backends)


def environment() -> dict[str, str]:
    """Return an environment in which Keras runs on a backend that is installed."""
    backend = next((b for b in ("tensorflow", "torch", "jax") if importlib.util.find_spec(b)), "")
    return {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}


@pytest.mark.parametrize("name", sorted(NEEDS))
def test_a_program_prints_two_accuracies(name: str) -> None:
    """Both better than chance; the loops of one's own without TensorFlow and Keras."""
    if missing := lacking(name):
        pytest.skip(f"not installed: {', '.join(missing)}")
    start = ["-c", WITHOUT] if name.endswith("_loop.py") else []
    command = [sys.executable, *start, str(EXAMPLES / name), SIZES[name]]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment(), timeout=300
    )
    assert done.returncode == 0, done.stderr
    found = re.findall(
        r"^test accuracy (without|with) the graph: ([0-9.]+)$", done.stdout, re.MULTILINE
    )
    assert [which for which, _ in found] == ["without", "with"]
    chance = 0.5 if name == "text.py" else 0.1
    assert all(chance < float(accuracy) <= 1 for _, accuracy in found), done.stdout


def test_programs_are_short() -> None:
    names = {path.name for path in EXAMPLES.glob("*.py")}
    assert names == {*NEEDS, "files.py"}
    assert [n for n in names if len((EXAMPLES / n).read_text().splitlines()) >= 60] == []
