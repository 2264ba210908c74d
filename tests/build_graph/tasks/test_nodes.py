"""What tasks leave for each other: any rows of the nodes, and edges by groups of queries."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from nsl_tools.arrays.cosines import norms_of
from nsl_tools.build_graph.edges import Edges
from nsl_tools.build_graph.embeddings import Embeddings
from nsl_tools.build_graph.tasks.nodes import kept_edges, written_nodes
from nsl_tools.build_graph.weigher import EdgeWeigher, IdRanks
from nsl_tools.errors import UsageError
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from pathlib import Path

    from nsl_tools.build_graph.tasks.nodes import NodeFiles


@pytest.fixture
def nodes(tmp_path: Path) -> NodeFiles:
    vectors = np.arange(1, 31, dtype=np.float32).reshape(10, 3)
    ids = pa.array([b"%d" % (9 - row) for row in range(10)], pa.binary())
    weigher = EdgeWeigher(Embeddings(ids, vectors, norms_of(vectors)), 5, 0.8, IdRanks(ids))
    return written_nodes(str(tmp_path), weigher, np.array([1, 2, 5, 6, 8]), 1 << 20)


def test_any_rows_are_read(nodes: NodeFiles) -> None:
    rows = np.array([7, 8, 0, 3])
    found = nodes.weigher(rows)
    assert found.embeddings.vectors[:, 0].tolist() == (1.0 + 3 * rows).tolist()
    assert found.embeddings.norms.tolist() == norms_of(found.embeddings.vectors[:]).tolist()
    assert found.id_ranks.tolist() == (9 - rows).tolist()
    assert nodes.rows(range(1, 4)).tolist() == [2, 5, 6]


def test_edges_are_found_by_groups_of_queries(
    nodes: NodeFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TUNING, "merged_rows", 2)
    sources = np.array([1, 1, 5, 6, 6, 8])
    edges = Edges(sources, sources + 1, np.linspace(1, 0.5, 6))
    first, second = kept_edges(nodes, [edges], [range(2), range(2, 5)])
    assert first.bounds == (0, 2)
    assert second.bounds == (2, 5, 6)
    assert second.groups(0, 1)["source"].tolist() == [5, 6, 6]
    assert second.groups(1, 2)["weight"].tolist() == [0.5]


def test_more_nodes_than_tasks_can_number_are_refused(tmp_path: Path) -> None:
    vectors = SimpleNamespace(shape=((1 << 32) + 1, 3))
    weigher = SimpleNamespace(embeddings=SimpleNamespace(vectors=vectors))
    with pytest.raises(UsageError, match="expected at most 4,294,967,296 nodes, found"):
        written_nodes(str(tmp_path), weigher, np.arange(10), 1 << 20)  # type: ignore[arg-type]
