"""Graphs from one format to another, and back: the same edges."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nsl_tools.build_graph.pipeline import build_graph
from nsl_tools.convert.pipeline import convert
from nsl_tools.errors import DataError, UsageError
from nsl_tools.formats.example_writer import write_examples
from nsl_tools.formats.graphs.edge_batches import EDGE_SCHEMA
from nsl_tools.formats.graphs.tsv_writer import weight_texts
from nsl_tools.options import BuildGraphOptions, ConvertOptions

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 30
IDS = [f"node {i:03d}" for i in range(COUNT)]
SUFFIXES = [".tsv", ".tsv.gz", ".tsv.zst", ".parquet", ".npz", ".h5"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one graph, as build-graph writes it in each format, and the ids."""
    tmp_path = tmp_path_factory.mktemp("graphs")
    vectors = np.random.default_rng(0).normal(size=(COUNT, 4))
    rows = ({"id": i, "embedding": v} for i, v in zip(IDS, vectors.astype("f4"), strict=True))
    write_examples(f"{tmp_path}/v.tfr", rows)
    options = BuildGraphOptions(k=4, similarity_threshold=0.3)
    for suffix in SUFFIXES:
        build_graph([f"{tmp_path}/v.tfr"], f"{tmp_path}/g{suffix}", options)
    (tmp_path / "ids").write_text("".join(f"{node}\n" for node in IDS))
    return tmp_path


def converted(folder: Path, name: str, to: str, **options: Any) -> Path:
    convert([f"{folder}/{name}"], f"{folder}/{to}", ConvertOptions(**options))
    return folder / to


def options_for(folder: Path, *suffixes: str) -> dict[str, str]:
    return {"graph_ids": f"{folder}/ids"} if {".npz", ".h5"} & set(suffixes) else {}


@pytest.mark.parametrize("read", SUFFIXES)
@pytest.mark.parametrize("write", SUFFIXES)
def test_a_graph_is_what_build_graph_writes(folder: Path, read: str, write: str) -> None:
    """Byte for byte: of text compressed as well. HDF5 has as many columns as are in use."""
    options = options_for(folder, read, write)
    found = converted(folder, f"g{read}", f"out{write}", **options).read_bytes()
    if write != ".h5":
        assert found == (folder / f"g{write}").read_bytes()
        return
    with h5py.File(io.BytesIO(found)) as ours, h5py.File(folder / "g.h5") as theirs:
        for name in ("knns", "dists"):
            width = ours[name].shape[1]
            np.testing.assert_array_equal(ours[name][:], theirs[name][:, :width])
            np.testing.assert_array_equal(theirs["knns"][:, width:], -1)


@pytest.mark.parametrize("write", [".tsv", ".parquet", ".npz"])
def test_shards_hold_what_one_file_does(folder: Path, write: str) -> None:
    options = options_for(folder, write)
    converted(folder, "g.tsv", f"s{write}@3", **options)
    whole = converted(folder, "g.tsv", f"w{write}", **options)
    shards = [folder / f"s{write}-0000{i}-of-00003" for i in range(3)]
    if write == ".tsv":
        assert b"".join(shard.read_bytes() for shard in shards) == whole.read_bytes()
    elif write == ".npz":
        parts = scipy.sparse.vstack([scipy.sparse.load_npz(shard) for shard in shards])
        assert (parts != scipy.sparse.load_npz(whole)).nnz == 0
    else:
        parts = pd.concat([pd.read_parquet(shard) for shard in shards], ignore_index=True)
        pd.testing.assert_frame_equal(parts, pd.read_parquet(whole))


@pytest.mark.parametrize("write", SUFFIXES)
def test_distances(folder: Path, write: str) -> None:
    """Are 1 less the similarity, and read back as similarities where the file says so."""
    options = options_for(folder, write)
    path = converted(folder, "g.tsv", f"d{write}", weights="distance", **options)
    if write.startswith(".tsv"):
        codec = {"gz": "gzip", "zst": "zstd"}.get(write.rpartition(".")[2])
        lines = pa.input_stream(path, compression=codec).read().splitlines()
        expected = (folder / "g.tsv").read_bytes().splitlines()
        for line, other in zip(lines, expected, strict=True):
            assert float(line.split(b"\t")[2]) == round(1 - float(other.split(b"\t")[2]), 6)
    else:
        back = converted(folder, f"d{write}", "back.tsv", **options)
        assert back.read_bytes() == (folder / "g.tsv").read_bytes()


def test_ids_that_are_numbers_are_rows(folder: Path) -> None:
    (folder / "n.tsv").write_text("3\t1\t0.5\n0\t2\t0.25\n3\t0\t0.75\n")
    found = scipy.sparse.load_npz(converted(folder, "n.tsv", "n.npz"))
    assert found.shape == (4, 4)
    assert found.indices[found.indptr[3] :].tolist() == [0, 1]
    assert converted(folder, "n.npz", "n2.tsv").read_text() == (
        "0\t2\t0.250000\n3\t0\t0.750000\n3\t1\t0.500000\n"
    )


def test_of_repeated_edges_the_largest_is_taken(folder: Path) -> None:
    (folder / "n.tsv").write_text("1\t0\t0.5\n1\t0\t0.75\n1\t2\t0.6\n1\t0\t0.5\n")
    path = f"{folder}/n.npz"
    found = convert([f"{folder}/n.tsv"], path, ConvertOptions())
    assert scipy.sparse.load_npz(path).data.tolist() == [0.75, np.float32(0.6)]
    assert found.warnings == {"edges given more than once: the largest is taken": 2}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\tb\t1\n", "--graph-ids: expected the ids of all rows"),
        ("-1\t0\t1\n", "--graph-ids: expected the ids of all rows"),
        ("99999999999\t0\t1\n", "--graph-ids: expected the ids of all rows"),
    ],
)
def test_nodes_without_rows(folder: Path, text: str, said: str) -> None:
    (folder / "n.tsv").write_text(text)
    with pytest.raises(UsageError, match=said):
        converted(folder, "n.tsv", "n.npz")


def test_ids_that_are_missing_or_repeated(folder: Path) -> None:
    (folder / "some").write_text("node 000\n")
    with pytest.raises(DataError, match=r"some: the id 'node [0-9]+' is missing, which the graph"):
        converted(folder, "g.tsv", "n.npz", graph_ids=f"{folder}/some")
    (folder / "some").write_text("a\nb\na\n")
    with pytest.raises(DataError, match="some: row 2: the id 'a' occurs twice"):
        converted(folder, "g.tsv", "n.npz", graph_ids=f"{folder}/some")


def test_a_graph_without_edges(folder: Path) -> None:
    (folder / "n.tsv").write_text("")
    with pytest.raises(DataError, match="no edge: --allow-empty accepts that"):
        converted(folder, "n.tsv", "n.parquet")
    path = converted(folder, "n.tsv", "n.parquet", allow_empty=True)
    assert pd.read_parquet(path).columns.tolist() == EDGE_SCHEMA.names


@pytest.mark.own_memory("sets the limit")
def test_little_memory(folder: Path) -> None:
    random = np.random.default_rng(1)
    edges = random.integers(0, 5000, (200_000, 2))
    text = "".join(f"{a}\t{b}\t0.{a % 10}\n" for a, b in edges.tolist())
    (folder / "n.tsv").write_text(text)
    few = converted(folder, "n.tsv", "few.npz", memory_limit=32_000_000).read_bytes()
    assert few == converted(folder, "n.tsv", "many.npz").read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(weights=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=30))
def test_weights_keep_float32(weights: list[float]) -> None:
    texts = weight_texts(np.array(weights, np.float64)).to_pylist()
    assert all(text.endswith(b"\n") for text in texts)
    found = np.array([float(text) for text in texts], np.float32)
    np.testing.assert_array_equal(found, np.array(weights, np.float32))


def test_weights_of_six_decimals_look_as_those_of_build_graph() -> None:
    texts = weight_texts(np.array([0.5, -0.25, 1.0, 0.1234561, 1e-9, 12.5])).to_pylist()
    assert texts == [
        b"0.500000\n",
        b"-0.250000\n",
        b"1.000000\n",
        b"0.1234561\n",
        b"1e-9\n",
        b"12.5\n",
    ]


@pytest.mark.parametrize("write", [".tsv", ".parquet", ".npz", ".h5"])
@pytest.mark.parametrize("lost", [0, 1, 2])
def test_only_shards_that_are_not_there_are_written(folder: Path, write: str, lost: int) -> None:
    """With their own edges."""
    options = options_for(folder, write)
    names = [f"r{write}-0000{i}-of-00003" for i in range(3)]
    converted(folder, "g.tsv", f"r{write}@3", **options)
    whole = [(folder / name).read_bytes() for name in names]
    (folder / names[lost]).unlink()
    converted(folder, "g.tsv", f"r{write}@3", resume=True, **options)
    assert [(folder / name).read_bytes() for name in names] == whole
