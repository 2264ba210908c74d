"""`formats.graphs.sample`: edges of any format, each of them one of the graph, and their number."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nsl_tools.formats.graphs.reading import GraphFiles
from nsl_tools.formats.graphs.sample import sample_edges
from nsl_tools.options import PackOptions

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.own_memory("thousands of rows, in blocks of some, would take minutes")
COUNT = 20_000


@pytest.fixture(scope="module")
def edges() -> list[tuple[str, str, float]]:
    random = np.random.default_rng(0)
    nodes = random.integers(0, 5000, (COUNT, 2)).tolist()
    weights = random.random(COUNT).round(4).tolist()
    return [(f"n{s}", f"n{t}", w) for (s, t), w in zip(nodes, weights, strict=True)]


def written(folder: Path, edges: list[tuple[str, str, float]], name: str) -> str:
    """Write the edges in the format of a name."""
    path = str(folder / name)
    text = "".join(f"{s}\t{t}\t{w}\n" for s, t, w in edges).encode()
    if name.endswith(".parquet"):
        columns = zip(*edges, strict=True)
        names = ("source", "target", "weight")
        pq.write_table(pa.table(dict(zip(names, map(list, columns), strict=True))), path)
    else:
        (folder / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    return path


@pytest.mark.parametrize("name", ["g.tsv", "g.tsv.gz", "g.parquet"])
def test_small_graphs_are_read_whole(
    tmp_path: Path, edges: list[tuple[str, str, float]], name: str
) -> None:
    graphs = GraphFiles([written(tmp_path, edges, name)], PackOptions())
    found = sample_edges(graphs, 1 << 24)
    assert found.is_exact
    assert found.count == found.expected == COUNT


@pytest.mark.parametrize("name", ["g.tsv", "g.tsv.gz", "g.parquet"])
def test_of_large_graphs_some_edges_are_read(
    tmp_path: Path, edges: list[tuple[str, str, float]], name: str
) -> None:
    graphs = GraphFiles([written(tmp_path, edges, name)], PackOptions())
    found = sample_edges(graphs, 50_000)
    read = [
        (edge["source"].decode(), edge["target"].decode(), edge["weight"])
        for piece in found.pieces
        for edge in piece.to_pylist()
    ]
    assert set(read) <= set(edges)
    assert found.expected == pytest.approx(COUNT, rel=0.05)
    if name == "g.tsv":
        assert len(read) < COUNT / 4
        assert len(found.pieces) == 32
        assert read[0] == edges[0]
        assert read[-1] == edges[-1]


def test_graphs_are_added_up(tmp_path: Path, edges: list[tuple[str, str, float]]) -> None:
    paths = [written(tmp_path, edges, name) for name in ("a.tsv", "b.parquet")]
    found = sample_edges(GraphFiles(paths, PackOptions()), 1 << 24)
    assert found.count == found.expected == 2 * COUNT
