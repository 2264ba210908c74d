"""The code in the guides runs as it stands, top to bottom."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Keras warns about its own default, `shuffle=True`, whenever it is given a data set.
pytestmark = pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning")


def run_guide(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run every block of a guide in `folder` and return the variables of the last."""
    (folder / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(folder)
    variables: dict[str, Any] = {}
    blocks = BLOCK.findall((ROOT / "docs" / name).read_text())
    assert blocks
    for language, code in blocks:
        if language == "bash":
            shell(code)
        else:
            assert language == "python"
            exec(compile(code, name, "exec"), variables)  # noqa: S102 - our own documentation
    return variables


def shell(code: str) -> None:
    """Run commands with `nsl-tools` from the working tree."""
    program = f'nsl-tools() {{ "{sys.executable}" -m nsl_tools "$@"; }}\n{code}'
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    subprocess.run(["bash", "-euo", "pipefail", "-c", program], check=True, env=env)


@pytest.mark.slow
def test_training_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = run_guide("training.md", tmp_path, monkeypatch)
    assert set(found["history"]) == {"loss", "accuracy", "scaled_graph_loss"}
    assert found["results"]["accuracy"] > 0.8
    assert keras.saving.load_model("digits.keras").count_params() == 64 * 64 + 64 + 640 + 10
    assert found["degrees"].shape == (50,)
    assert np.max(np.asarray(found["degrees"])) == 5
    weights = np.concatenate([weight for *_, weight in found["rescaled"]])
    assert weights.sum() == pytest.approx(1297, rel=1e-5)
    assert found["attacked"]["image"].shape == (100, 64)


@pytest.mark.slow
def test_guide_of_text_and_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = run_guide("text_and_images.md", tmp_path, monkeypatch)
    for name in ("of_tokens", "before", "within", "of_images"):
        assert np.isfinite(found[name]).all()
        assert min(found[name]) > 0


@pytest.mark.slow
def test_tutorial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = run_guide("tutorial.md", tmp_path, monkeypatch)
    plain, base = (found["accuracy"](found[name]) for name in ("plain", "base"))
    assert base > plain + 0.03
    assert base > 0.7


def test_migration_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = run_guide("migrating.md", tmp_path, monkeypatch)
    assert list(found["results"]) == ["loss"]


def test_every_test_in_the_behaviour_table_exists() -> None:
    rows = (ROOT / "docs" / "behaviour.md").read_text().splitlines()
    named = [re.findall(r"`(test_\w+)`", row) for row in rows if row.startswith("| ")]
    sources = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    defined = set(re.findall(r"^def (test_\w+)\(", sources, re.MULTILINE))
    found = {name for names in named for name in names}
    assert len(found) > 50
    assert found <= defined
    assert all(
        names
        for row, names in zip(rows[rows.index("|---|---|---|") + 1 :], named[1:], strict=True)
        if "**" not in row
    )
