"""Graphs of each format, known by their content."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from graph_files import EDGES, IDS, NODES, Edge, written

from nsl_tools.errors import DataError
from nsl_tools.files.outputs import Outputs
from nsl_tools.formats.graphs.knn_hdf5 import KnnGraph
from nsl_tools.formats.graphs.node_names import NodeNames
from nsl_tools.formats.graphs.parquet_writer import ParquetGraph
from nsl_tools.formats.graphs.reading import GraphFiles
from nsl_tools.formats.graphs.sparse_npz import SparseGraph
from nsl_tools.formats.graphs.tsv_writer import TsvGraph
from nsl_tools.formats.graphs.writer import GraphForm, GraphWriter
from nsl_tools.options import PackOptions
from nsl_tools.statistics import Statistics

WRITERS: list[type[GraphWriter]] = [TsvGraph, ParquetGraph, SparseGraph, KnnGraph]
NAMES = NodeNames(IDS, "ids")


def read(*paths: Path) -> list[tuple[str, str, float]]:
    graphs = GraphFiles([str(path) for path in paths], PackOptions(), NAMES)
    batches = list(graphs.edges(Statistics()))
    assert graphs.name == str(paths[0])
    assert graphs.size == sum(path.stat().st_size for path in paths)
    assert graphs.size / 4 < graphs.read.done <= graphs.size
    return [
        (row["source"].decode(), row["target"].decode(), float(np.float32(row["weight"])))
        for batch in batches
        for row in batch.to_pylist()
    ]


def named(edges: list[Edge]) -> list[tuple[str, str, float]]:
    return [(f"node {s}", f"node {t}", float(np.float32(f"{w:.6f}"))) for s, t, w in edges]


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("name", ["graph", "graph.tsv", "graph.npz", "graph.parquet"])
def test_the_same_edges_whatever_the_format_and_the_name(
    tmp_path: Path, kind: type[GraphWriter], name: str
) -> None:
    (tmp_path / name).write_bytes(written(kind, EDGES, []))
    if kind is TsvGraph and name not in ("graph", "graph.tsv"):
        with pytest.raises(DataError):
            read(tmp_path / name)
    else:
        assert read(tmp_path / name) == named(EDGES)


@pytest.mark.parametrize("kind", WRITERS)
def test_files_of_a_set_follow_each_other(tmp_path: Path, kind: type[GraphWriter]) -> None:
    parts = ((range(4), 0, 3), (range(4, 6), 3, 6), (range(6, NODES), 6, 7))
    for number, (rows, first, end) in enumerate(parts):
        data = written(kind, EDGES[first:end], [], GraphForm(IDS, rows, 3))
        (tmp_path / f"g{number}").write_bytes(data)
    assert read(*(tmp_path / f"g{number}" for number in range(3))) == named(EDGES)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_compressed_text(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"g.tsv{suffix}"
    with Outputs() as outputs, outputs.open(str(path)) as file:
        file.write(written(TsvGraph, EDGES, []))
    assert path.read_bytes() != written(TsvGraph, EDGES, [])
    assert read(path) == named(EDGES)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DataError, match="compressed"):
        read(path)


def test_zstd_is_what_others_read(tmp_path: Path) -> None:
    """And what they write, in several frames."""
    with Outputs() as outputs, outputs.open(f"{tmp_path}/g.zst") as file:
        file.write(b"a\tb\t1\n" * 1000)
    data = (tmp_path / "g.zst").read_bytes()
    stream = pa.CompressedInputStream(io.BytesIO(data), "zstd")
    assert stream.read() == b"a\tb\t1\n" * 1000
    frame = pa.compress(b"node 0\tnode 1\t1\n", "zstd", asbytes=True)
    (tmp_path / "g").write_bytes(frame + frame)
    assert read(tmp_path / "g") == [("node 0", "node 1", 1.0)] * 2


@pytest.mark.parametrize("kind", WRITERS[1:])
def test_distances_that_say_so_are_similarities(tmp_path: Path, kind: type[GraphWriter]) -> None:
    """So the nearest neighbours are the first, as of the other graphs; TSV cannot say it."""
    form = GraphForm(IDS, range(NODES), 3, distances=True)
    (tmp_path / "g").write_bytes(written(kind, EDGES, [], form))
    found = read(tmp_path / "g")
    assert [edge[:2] for edge in found] == [edge[:2] for edge in named(EDGES)]
    right = [weight for *_, weight in named(EDGES)]
    assert [weight for *_, weight in found] == pytest.approx(right, abs=1e-6)
