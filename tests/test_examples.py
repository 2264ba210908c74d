"""The programs in `examples/` run as they stand, and so does the page on loops of one's own.

It needs no `conftest.py`, so that it also runs in an environment without TensorFlow.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
RESULT = re.compile(
    r"test accuracy without the graph: (\S+)\ntest accuracy with the graph: (\S+)\n"
)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# An import of what is None fails.
WITHOUT = "import sys\nsys.modules.update(tensorflow=None, keras=None)\n"
# What the page does not say: how good the network is that it trained.
MEASURE = {
    "PyTorch": "probabilities = model(torch.from_numpy(test['image'])).detach().numpy()",
    "JAX": "probabilities = network(params, test['image'])",
}


def is_installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def keras_backend() -> str | None:
    """Return the backend that is asked for, or else the first that is installed."""
    installed = filter(is_installed, ("tensorflow", "jax", "torch"))
    return os.environ.get("KERAS_BACKEND") or next(installed, None)


def environment() -> dict[str, str]:
    """Return the environment of a program: this working tree, and one thread for PyTorch.

    Nothing of `--spill`, with which these programs would take minutes.
    """
    own = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "KERAS_BACKEND": keras_backend() or ""}
    return {**os.environ, **own}


def run_python(folder: Path, *arguments: str) -> str:
    """Run Python in a folder, warnings being errors, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        check=False, capture_output=True, text=True, cwd=folder, env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def check(printed: str, least: float) -> None:
    """Check that the output is two accuracies, and that the graph does no harm."""
    found = RESULT.fullmatch(printed)
    assert found, printed
    without, with_graph = map(float, found.groups())
    assert least < without <= 1
    assert max(least, without - 0.05) < with_graph <= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"), [("text.py", ["--size", "600"]), ("images.py", ["--epochs", "4"])]
)
def test_a_keras_model_learns(tmp_path: Path, name: str, options: list[str]) -> None:
    if not is_installed("keras") or keras_backend() is None:
        pytest.skip("needs Keras and one of its backends")
    check(run_python(tmp_path, str(EXAMPLES / name), *options), least=0.65)


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_a_loop_needs_neither_keras_nor_tensorflow(tmp_path: Path, framework: str) -> None:
    if not is_installed(framework):
        pytest.skip(f"needs {framework}")
    program = str(EXAMPLES / f"{framework}_loop.py")
    code = f"{WITHOUT}import runpy\nrunpy.run_path({program!r}, run_name='__main__')"
    check(run_python(tmp_path, "-c", code, "--epochs", "10"), least=0.7)


@pytest.mark.parametrize("framework", ["PyTorch", "JAX"])
def test_the_page_runs(tmp_path: Path, framework: str) -> None:
    """What it says before its sections, then the section on a framework."""
    if not is_installed(framework.lower().removeprefix("py")):
        pytest.skip(f"needs {framework}")
    (tmp_path / "data").symlink_to(ROOT / "data")
    start, *sections = (ROOT / "docs" / "own_loops.md").read_text().split("\n## ")
    (section,) = [text for text in sections if text.startswith(f"{framework}\n")]
    (_, commands), *blocks = BLOCK.findall(f"{start}\n{section}")
    command = f'nsl-tools() {{ "{sys.executable}" -m nsl_tools "$@"; }}\n{commands}'
    subprocess.run(["bash", "-euc", command], check=True, cwd=tmp_path, env=environment())
    test = "test, label = PackedDataset('data/samples/test.tfr', 500)[0]"
    accuracy = "print((probabilities.argmax(1) == label).mean())"
    code = [WITHOUT, *(code for _, code in blocks), test, MEASURE[framework], accuracy]
    assert float(run_python(tmp_path, "-c", "\n".join(code))) > 0.3


def test_programs_are_short() -> None:
    lines = {path.name: path.read_text().count("\n") for path in EXAMPLES.glob("*.py")}
    assert set(lines) > {"text.py", "images.py", "torch_loop.py", "jax_loop.py"}
    assert {name: count for name, count in lines.items() if count >= 60} == {}
