"""The README's Python and the examples in docstrings run as they stand, with what they promise."""

import ast
import re
import textwrap
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import nsl_tools as nsl

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^( *)```python\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
PROMISE = re.compile(r"^(\S.*?)  +# (.*)$")
# Keras warns about its own default, and at the end of any data set of unknown length.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning"),
    pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning"),
]


def snippets() -> list[Any]:
    """Return each example with the place it is in."""
    files = [ROOT / "README.md", *sorted((ROOT / "nsl_tools").rglob("*.py"))]
    return [
        pytest.param(textwrap.dedent(block[2]), id=f"{path.stem}-{number}")
        for path in files
        for number, block in enumerate(BLOCK.finditer(path.read_text()))
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the samples, packed as `merged.tfr`, and `test.tfr`."""
    folder = tmp_path_factory.mktemp("samples")
    samples = ROOT / "data" / "samples"
    (folder / "test.tfr").symlink_to(samples / "test.tfr")
    nsl.tools.build_graph([str(samples / "embeddings.tfr")], str(folder / "graph.tsv"), 0.5)
    inputs = [str(samples / f"{name}.tfr") for name in ("labeled", "unlabeled")]
    nsl.tools.pack_nbrs(*inputs, str(folder / "graph.tsv"), str(folder / "merged.tfr"))
    return folder


def surroundings() -> dict[str, Any]:
    """Return what the examples take for granted."""
    base_model = keras.Sequential([keras.layers.Dense(10, activation="softmax")])
    x = np.random.default_rng(0).random((8, 64), np.float32)
    y = np.arange(8)
    adv_model = nsl.keras.AdversarialRegularization(base_model)
    adv_model.compile("adam", "sparse_categorical_crossentropy")
    return {
        "keras": keras,
        "nsl": nsl,
        "base_model": base_model,
        "adv_model": adv_model,
        **dict.fromkeys(("x", "x_train", "outputs"), x),
        **dict.fromkeys(("y", "y_train"), y),
        "neighbor_outputs": x[::-1],
        "neighbor_weights": np.ones((8, 1), np.float32),
    }


@pytest.mark.parametrize("code", snippets())
def test_an_example_runs_and_gives_what_it_says(
    code: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    variables = surroundings()
    exec(compile(code, "example", "exec"), variables)  # noqa: S102 - our own documentation
    for line in code.splitlines():
        if promise := PROMISE.match(line):
            found = eval(promise[1], variables)  # noqa: S307 - our own documentation
            np.testing.assert_array_equal(found, ast.literal_eval(promise[2]))


def test_the_examples_are_found() -> None:
    assert len(snippets()) >= 8
