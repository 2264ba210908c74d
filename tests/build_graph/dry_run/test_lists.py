"""`build_graph.dry_run.lists`: lists where the run takes them, and about as many products."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from estimating import asked_for, clustered, sampled

from nsl_tools.build_graph.dry_run import lists as module
from nsl_tools.build_graph.dry_run.lists import ListSearch, list_search
from nsl_tools.build_graph.dry_run.neighbors import sampled_neighbors
from nsl_tools.build_graph.pipeline import build_graph
from nsl_tools.build_graph.search import recall

if TYPE_CHECKING:
    from pathlib import Path

    from nsl_tools.build_graph.request import Request


pytestmark = pytest.mark.own_memory("an estimate is of the usual sizes")


def lists_for(asked: Request, seconds: float = 1e-9) -> ListSearch:
    with sampled(asked) as (sample, nearest):
        every = np.arange(len(sample.nodes.ids))
        search = partial(nearest.edges, base=every)
        found = sampled_neighbors(sample, nearest, search, every, seconds)
        return list_search(asked.options, sample, nearest, found, 1e-9)


@pytest.mark.parametrize("least", [0.8, 0.95])
def test_products_are_about_those_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, least: float
) -> None:
    for place in (recall, module):
        monkeypatch.setattr(place, "LEAST_ROWS", 0)
    rows = 8000
    asked = asked_for(tmp_path, clustered(rows, 24, 40), recall=least)
    found = lists_for(asked)
    assert not found.why
    inputs = asked.inputs["embeddings"]
    statistics = build_graph(inputs, str(tmp_path / "g"), asked.options)
    share = statistics.measures["products, as a share of those of all pairs"]
    assert found.products == pytest.approx(share * rows**2 / 2, rel=0.5)
    assert found.seconds > 0
    assert 0 < found.pairs <= 12 * rows


@pytest.mark.parametrize(
    ("vectors", "options", "why"),
    [
        (clustered(300, 8, 20), {}, "of fewer than 20,000 nodes"),
        (clustered(21_000, 4, 20), {"memory_limit": 32_000_000, "k": 100}, "--recall takes"),
        (
            np.random.default_rng(0).normal(size=(20_000, 40)).astype(np.float32),
            {},
            "edges are too few to judge a recall by",
        ),
        (  # every cell is as near as any other
            np.random.default_rng(0).normal(size=(20_000, 40)).astype(np.float32),
            {"similarity_threshold": -1.0, "recall": 0.999},
            "lists would cost as much",
        ),
    ],
)
def test_it_is_said_why_all_pairs_are_compared(
    tmp_path: Path, vectors: np.ndarray, options: dict[str, Any], why: str
) -> None:
    found = lists_for(asked_for(tmp_path, vectors, **{"recall": 0.9, **options}))
    assert found.why.startswith(why)
