"""`build_graph.dry_run.output`: the bytes of a graph, by those of some edges, in each format."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from estimating import asked_for, clustered, sampled

from nsl_tools.build_graph.dry_run.neighbors import sampled_neighbors
from nsl_tools.build_graph.dry_run.output import graph_size
from nsl_tools.build_graph.pipeline import build_graph

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.own_memory("an estimate is of the usual sizes")


@pytest.mark.parametrize("name", ["g.tsv", "g.tsv.gz", "g.tsv.zst", "g.parquet", "g.npz", "g.h5"])
@pytest.mark.parametrize(
    "options",
    [{"k": 5}, {"k": 40, "weights": "distance"}, {"k": 8, "edge_ids": "rows"}, {"k": None}],
)
def test_bytes_are_those_of_the_run(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    """All edges found tell exactly; half of the nodes tell well."""
    if name.startswith("g.tsv"):
        options = {key: value for key, value in options.items() if key != "edge_ids"}
    if name == "g.h5" and options["k"] is None:
        options = {"k": 99}
    asked = asked_for(tmp_path, clustered(1500, 16, 30), name, **options)
    with sampled(asked) as (sample, nearest):
        every = np.arange(1500)
        search = partial(nearest.edges, base=every)
        found = sampled_neighbors(sample, nearest, search, every, 1e-9)
        assert len(found.rows) < 1500
        size = graph_size(asked, sample, found, 1500)
    build_graph(asked.inputs["embeddings"], str(tmp_path / name), asked.options)
    truth = (tmp_path / name).stat().st_size
    assert size.bytes == pytest.approx(truth, rel=0.2)
    assert size.seconds > 0


def test_a_graph_without_edges_has_no_bytes(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(100, 60)).astype(np.float32)
    asked = asked_for(tmp_path, vectors)
    with sampled(asked) as (sample, nearest):
        search = partial(nearest.edges, base=np.arange(100))
        found = sampled_neighbors(sample, nearest, search, np.arange(100), 1)
        assert graph_size(asked, sample, found, 100).bytes == 0
