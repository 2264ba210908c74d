"""Warnings of graphs where most nodes have no neighbour, with advice that helps."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest

from nsl_tools.build_graph.pipeline import build_graph
from nsl_tools.options import BuildGraphOptions

if TYPE_CHECKING:
    from pathlib import Path

    from nsl_tools.statistics import Statistics


pytestmark = pytest.mark.own_memory("builds many graphs, whose own tests spill")


def built(vectors: np.ndarray, folder: Path, threshold: float, **given: object) -> Statistics:
    np.save(folder / "e.npy", vectors.astype(np.float32))
    options = BuildGraphOptions(similarity_threshold=threshold, **given)  # type: ignore[arg-type]
    return build_graph([str(folder / "e.npy")], str(folder / "g.tsv"), options)


def vectors(seed: int, nodes: int = 600) -> np.ndarray:
    draw = np.random.default_rng(seed)
    centers = draw.normal(size=(30, 12))
    spread = draw.uniform(0.2, 1.5, (nodes, 1))
    return np.asarray(centers[draw.integers(0, 30, nodes)] + spread * draw.normal(size=(nodes, 12)))


@pytest.mark.parametrize("seed", range(3))
def test_the_threshold_that_is_named_gives_nine_of_ten_a_neighbour(
    tmp_path: Path, seed: int
) -> None:
    found = built(vectors(seed), tmp_path, 0.95)
    ((reason, without),) = found.warnings.items()
    assert without == 600 - found.counts["sources"] == found.counts["without a neighbour"]
    assert reason.startswith(
        "nodes without a neighbour at --similarity-threshold=0.95: more than half; of the nearest "
        "of each the median similarity is 0."
    )
    named = float(re.findall(r"and --similarity-threshold=([0-9.]+) would", reason)[0])
    again = built(vectors(seed), tmp_path, named)
    assert again.counts["sources"] / 600 == pytest.approx(0.9, abs=0.06)
    assert not again.warnings


@pytest.mark.parametrize("given", [{"recall": 0.9}, {"lsh_splits": 3}, {"k": None}])
def test_every_search_warns(tmp_path: Path, given: dict[str, object]) -> None:
    found = built(vectors(7), tmp_path, 0.97, **given)
    assert any("more than half; of the nearest" in reason for reason in found.warnings)


def test_a_graph_without_edges(tmp_path: Path) -> None:
    (reason,) = built(np.eye(5), tmp_path, 0.9).warnings
    assert reason == (
        "graph without edges: no pair reaches --similarity-threshold=0.9; of the nearest of each "
        "the median similarity is 0.00, and --similarity-threshold=0.00 would give 90 % of the "
        "nodes one"
    )
    found = built(np.zeros((5, 2)), tmp_path, 0.9).warnings
    assert found["graph without edges: no pair reaches --similarity-threshold=0.9"] == 5


def test_no_warning_where_half_have_a_neighbour(tmp_path: Path) -> None:
    near = np.repeat(np.eye(4), [2, 1, 1, 2], axis=0)[:, :4]
    found = built(near[[0, 1, 2, 4]], tmp_path, 0.9)
    assert found.counts["without a neighbour"] == 2
    assert not found.warnings
