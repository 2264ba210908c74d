"""What a build says that it chose, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support import write_examples

from nsl_tools.build_graph.pipeline import build_graph
from nsl_tools.build_graph.search import recall
from nsl_tools.options import BuildGraphOptions
from nsl_tools.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.own_memory("says what is in memory")
REASONS: dict[str, tuple[dict[str, Any], str]] = {
    "exact": ({}, "all pairs, since --recall is 1"),
    "buckets": ({"lsh_splits": 3}, "within 8 buckets, in 2 rounds, since --lsh-splits is given"),
    "all": ({"recall": 0.9, "k": None}, "all pairs, since -k is all"),
    "few": ({"recall": 0.9}, "all pairs, since there are fewer nodes than 20,000"),
    "seeds": ({"recall": 0.9, "seeds": True}, "all pairs, since --seeds are few"),
    "memory": (
        {"recall": 0.9, "k": 1500, "memory_limit": 40_000_000, "least": 1},
        "all pairs, since --recall takes 45.4 MB for these nodes and --memory-limit leaves 39.9 MB",
    ),
    "rare": (
        {"recall": 0.9, "similarity_threshold": 1.0, "least": 1},
        "all pairs, since 0 edges of 316 random nodes are too few to judge by",
    ),
    "lists": (
        {"recall": 0.5, "similarity_threshold": 0.1, "least": 1},
        "by 44 lists, of which a node probes ",
    ),
}


@pytest.fixture(scope="module")
def embeddings(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Nodes in 50 clusters."""
    random = np.random.default_rng(0)
    centers = random.normal(size=(50, 8))
    vectors = centers[random.integers(0, 50, 2000)] + 0.2 * random.normal(size=(2000, 8))
    examples = [
        {"id": [b"n%d" % i], "embedding": vector} for i, vector in enumerate(vectors.tolist())
    ]
    return write_examples(tmp_path_factory.mktemp("decisions") / "e", examples)


@pytest.mark.parametrize("kind", REASONS)
def test_a_search_is_told_with_its_reason(
    embeddings: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    options, expected = REASONS[kind][0].copy(), REASONS[kind][1]
    seeds = [embeddings] if options.pop("seeds", False) else []
    monkeypatch.setattr(recall, "LEAST_ROWS", options.pop("least", recall.LEAST_ROWS))
    progress = Progress("build-graph", quiet=False, verbose=True)
    given = BuildGraphOptions(threads=2, **options)
    build_graph([embeddings], f"{tmp_path}/graph.tsv", given, seeds, progress)
    told = dict(line.split(": ", 1) for line in progress.report())
    assert told["search"].startswith(expected)
    assert (told["threads"], told["vectors"]) == ("2", "in memory")
    assert "kernel" in told["products"]
    assert told["reading"]
    assert told["comparing"].split(", ")[1].endswith("products")
    assert told["writing"].split(", ")[1] == "2k nodes"
