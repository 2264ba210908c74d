"""How near the agreement of labels is, by samples of a graph that is known."""

from __future__ import annotations

import re

import numpy as np
import pytest

from nsl_tools.inspect.embeddings.choosing import threshold_section
from nsl_tools.inspect.embeddings.nearest import NearestOfSample

NODES, OFTEN = 3_000, 300


def neighbors(chance: float, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the similarities of all nodes' 20 nearest and whether these have a node's label.

    Few nodes have a neighbour above 0.8; those of one node agree more often than others do.
    """
    similarities = np.sort(draw.uniform(0, 0.7, (NODES, 20)), axis=1)[:, ::-1]
    some = draw.random(NODES) < chance
    similarities[some] += draw.choice([0.2, 0.3], (int(some.sum()), 1))
    agreement = draw.beta(2, 0.5, (NODES, 1))
    return similarities.astype(np.float32), draw.random((NODES, 20)) < agreement


def sampled(similarities: np.ndarray, same: np.ndarray) -> NearestOfSample:
    found = NearestOfSample(
        np.ones((len(same), 1), np.float32), np.arange(len(same), dtype=np.int64), 20
    )
    found.similarities, found.labels = similarities, same.astype(np.int32)
    return found


def agreement(found: NearestOfSample, nodes: int = NODES) -> tuple[float | None, list[str]]:
    """Return the share at 0.8, and what is said of it."""
    own = np.ones(len(found.similarities), np.int32)
    section = threshold_section(found, own, nodes)
    row = next(row for row in section.tables[0].rows if row[0] == 0.8)
    share = row[-1]
    assert share is None or isinstance(share, float)
    return share, [said for said in section.advice if "the same label" in said]


@pytest.mark.parametrize("chance", [0.05, 0.5])
def test_the_margin_holds_for_as_many_samples_as_it_says(chance: float) -> None:
    draw = np.random.default_rng(3)
    similarities, same = neighbors(chance, draw)
    true, said = agreement(sampled(similarities, same))
    assert true is not None
    assert not said, "all nodes were seen"
    held = doubted = 0
    for _ in range(OFTEN):
        rows = np.sort(draw.choice(NODES, 1_000, replace=False))
        share, said = agreement(sampled(similarities[rows], same[rows]))
        found = re.search(r"(\d+) points at 0\.80", "".join(said))
        doubted += found is not None
        margin = int(found[1]) / 100 if found else 0.02
        held += share is not None and abs(share - true) <= margin
    assert held >= 0.93 * OFTEN
    assert (doubted > 0.9 * OFTEN) or chance == 0.5


def test_where_all_few_agree_that_is_doubted() -> None:
    similarities, _ = neighbors(0.01, np.random.default_rng(0))
    share, said = agreement(sampled(similarities[:500], np.ones((500, 20), bool)))
    assert share == 1
    assert len(said) == 1


def test_without_neighbors_there_is_no_share() -> None:
    share, said = agreement(sampled(np.zeros((500, 20), np.float32), np.ones((500, 20), bool)))
    assert share is None
    assert not said
