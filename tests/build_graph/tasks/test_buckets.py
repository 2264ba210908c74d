"""Buckets that tasks search give what one process finds in them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from here import Here
from test_tiles import lines_of, vectors_of, weigher_of

from nsl_tools.build_graph.search.exact import NearestNeighbors
from nsl_tools.build_graph.search.lsh import bucketed_edges
from nsl_tools.build_graph.tasks.buckets import bucketed_by
from nsl_tools.engines.work_folder import work_folder
from nsl_tools.options import BuildGraphOptions
from nsl_tools.spill.matrix import MatrixStore
from nsl_tools.threads import workers

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("kind", ["any", "equal", "near", "zero"])
@pytest.mark.parametrize("k", [None, 4])
@pytest.mark.parametrize("step", [1, 7])
def test_tasks_give_the_same_edges(tmp_path: Path, kind: str, k: int | None, step: int) -> None:
    weigher = weigher_of(vectors_of(kind, np.random.default_rng(step)), k, -0.5, 0)
    queries = np.arange(0, len(weigher.embeddings.norms), step)
    options = BuildGraphOptions(lsh_splits=3)
    with MatrixStore(1 << 26) as store, workers(1) as pools:
        nearest = NearestNeighbors(weigher, pools, store)
        expected = lines_of(bucketed_edges(nearest, options, queries))
    with work_folder(str(tmp_path), Counter()) as folder:
        found = bucketed_by(Here(3), folder, weigher, 1 << 14, options, queries)
        assert lines_of(found) == expected
