"""The lists that tasks search give what threads of one process find."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from here import Here

from nsl_tools.build_graph import pipeline
from nsl_tools.build_graph.pipeline import build_graph
from nsl_tools.build_graph.search import recall
from nsl_tools.options import BuildGraphOptions

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.own_memory("needs some thousand rows")


@pytest.mark.slow
@pytest.mark.parametrize("k", [3, 20])
@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("output", ["graph.tsv", "graph.tsv@2"])
def test_tasks_find_the_same_candidates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, k: int, slots: int, output: str
) -> None:
    monkeypatch.setattr(recall, "LEAST_ROWS", 1000)
    random = np.random.default_rng(k)
    centers = random.normal(size=(60, 24))
    homes = random.integers(0, 60, 6000) ** 2 // 60
    vectors = centers[homes] + 0.5 * random.normal(size=(6000, 24))
    vectors[::50] = 0
    np.save(tmp_path / "v.npy", vectors.astype(np.float32))
    written, measured = [], []
    for engine in ("local", "spark"):
        (folder := tmp_path / engine).mkdir()
        with pytest.MonkeyPatch.context() as patch:
            if engine == "spark":
                here = contextlib.nullcontext(Here(slots))
                patch.setattr(pipeline, "engine_of", lambda *_, here=here: here)
            options = BuildGraphOptions(
                k=k, recall=0.9, similarity_threshold=0.2,
                engine=engine,  # type: ignore[arg-type]
            )  # fmt: skip
            found = build_graph([f"{tmp_path}/v.npy"], f"{folder}/{output}", options)
        files = sorted(path for path in folder.iterdir() if path.name[0] != ".")
        written.append([path.read_bytes() for path in files])
        measured.append((dict(found.measures), dict(found.counts), dict(found.warnings)))
    assert measured[0][0]["recall"] < 1
    assert measured[0] == measured[1]
    assert written[0] == written[1]
