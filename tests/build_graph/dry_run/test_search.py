"""`build_graph.dry_run.search`: what would be searched, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from estimating import asked_for, clustered, sampled

from nsl_tools.build_graph.dry_run.search import searched
from nsl_tools.build_graph.request import requested
from nsl_tools.options import BuildGraphOptions
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.own_memory("an estimate is of the usual sizes")


@pytest.mark.parametrize(
    ("options", "kind", "why"),
    [
        ({}, "all pairs", "it is exact"),
        ({"recall": 0.9}, "all pairs", "of fewer than 20,000 nodes, comparing all"),
        ({"recall": 0.9, "k": None}, "all pairs", "-k all"),
        ({"lsh_splits": 3}, "pairs within buckets", "--lsh-splits 3"),
    ],
)
def test_the_search_is_that_of_the_run(
    tmp_path: Path, options: dict[str, Any], kind: str, why: str
) -> None:
    asked = asked_for(tmp_path, clustered(600, 8, 20), **options)
    with sampled(asked) as (sample, nearest):
        found = searched(asked, sample, nearest, Statistics())
    assert (found.kind, found.why[: len(why)]) == (kind, why)
    assert found.sources == 600
    assert 0 < found.products <= 2 * 600 * 600 / 2
    assert found.comparing > 0


def test_edges_of_seeds_are_those_that_leave_them(tmp_path: Path) -> None:
    np.save(tmp_path / "e.npy", clustered(600, 8, 20))
    (tmp_path / "seeds").write_text("".join(f"{i}\n" for i in range(0, 600, 6)) + "none\n")
    given = [str(tmp_path / "e.npy")], str(tmp_path / "g"), BuildGraphOptions()
    asked = requested(*given, [str(tmp_path / "seeds")], Statistics())
    with sampled(asked) as (sample, nearest):
        found = searched(asked, sample, nearest, Statistics())
    assert found.sources == 100
    assert found.products == 100 * 600
    assert set(found.found.rows.tolist()) <= set(range(0, 600, 6))


def test_lists_are_said_to_be_searched(tmp_path: Path) -> None:
    asked = asked_for(tmp_path, clustered(20_500, 12, 40), recall=0.8)
    with sampled(asked) as (sample, nearest):
        found = searched(asked, sample, nearest, Statistics())
    assert found.lists
    assert found.kind == "inverted lists"
    assert found.products < 20_500**2 / 2 / 1.5
