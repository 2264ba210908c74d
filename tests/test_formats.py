"""The tables of `docs/formats.md`: the same vectors give the same graph from each of the forms."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import scipy.sparse
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from nsl_tools.build_graph.pipeline import build_graph
from nsl_tools.errors import UsageError
from nsl_tools.formats.example_writer import write_examples
from nsl_tools.formats.graphs.reading import GraphFiles
from nsl_tools.options import BuildGraphOptions, PackOptions
from nsl_tools.pack_nbrs.pipeline import pack_nbrs
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3_server import S3Server

# Thousands of vectors, each a block of its own, take minutes; spilling is tried on fewer.
pytestmark = pytest.mark.own_memory("writes and reads thousands of rows")
DOCUMENT = (Path(__file__).parents[1] / "docs" / "formats.md").read_text()
COUNT, WIDTH = 2000, 16
# Whole numbers of few bits, which all types hold exactly.
VECTORS = np.random.default_rng(0).integers(-8, 8, (COUNT, WIDTH)).astype(np.float32)
IDS = [str(row) for row in range(COUNT)]
LISTS = pa.array(list(VECTORS), pa.list_(pa.float32()))
Written = tuple[str, dict[str, Any]]


def graph(path: str, folder: Path, **options: Any) -> bytes:
    out = folder / "graph.tsv"
    build_graph([path], str(out), BuildGraphOptions(similarity_threshold=0.3, k=5, **options))
    return out.read_bytes()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("expected")
    return graph(tfrecord(folder)[0], folder)


def rows_of(table: str) -> list[list[str]]:
    """Return the cells of the table of the document whose first heading is `table`."""
    lines = DOCUMENT.split(f"\n| {table} |", 1)[1].splitlines()[2:]
    cells = []
    for line in lines:
        if not line.startswith("|"):
            break
        cells.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return cells


def tfrecord(folder: Path) -> Written:
    rows = ({"id": i, "embedding": v} for i, v in zip(IDS, VECTORS, strict=True))
    write_examples(f"{folder}/v.tfr", rows)
    return f"{folder}/v.tfr", {}


def npy(kind: str) -> Callable[[Path], Written]:
    def write(folder: Path) -> Written:
        matrix = VECTORS.astype(kind[1:])
        np.save(folder / "v.npy", np.asfortranarray(matrix) if kind[0] == "F" else matrix)
        return f"{folder}/v.npy", {}

    return write


def bfloat16(values: np.ndarray) -> np.ndarray:
    return (values.view(np.uint32) >> 16).astype("<u2")


def npy_bfloat16(folder: Path) -> Written:
    np.save(folder / "v.npy", bfloat16(VECTORS).view("V2"))
    return f"{folder}/v.npy", {}


def npz(folder: Path) -> Written:
    np.savez_compressed(folder / "v.npz", np.asfortranarray(VECTORS), labels=np.arange(COUNT))
    return f"{folder}/v.npz", {}


def npz_named(folder: Path) -> Written:
    np.savez(folder / "v.npz", train=VECTORS, test=VECTORS[:5])
    return f"{folder}/v.npz", {"array": "train"}


def parquet(column: pa.Array, ids: pa.Array = pa.array(IDS)) -> Callable[[Path], Written]:  # noqa: B008 - immutable
    def write(folder: Path) -> Written:
        pq.write_table(pa.table({"id": ids, "embedding": column}), folder / "v.parquet")
        return f"{folder}/v.parquet", {}

    return write


def parquet_wide(folder: Path) -> Written:
    columns = {f"e{place}": VECTORS[:, place] for place in range(WIDTH)}
    pq.write_table(pa.table({"id": IDS, **columns}), folder / "v.parquet")
    return f"{folder}/v.parquet", {"embedding_columns": "e*"}


def feather(folder: Path) -> Written:
    table = pa.table({"id": IDS, "embedding": LISTS})
    pyarrow.feather.write_feather(table, f"{folder}/v.feather")
    return f"{folder}/v.feather", {}


def write_stream(path: Path, first: int, end: int) -> None:
    table = pa.table({"id": IDS[first:end], "embedding": LISTS[first:end]})
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=300)


def stream(folder: Path) -> Written:
    write_stream(folder / "v.arrow", 0, COUNT)
    return f"{folder}/v.arrow", {}


def csv(folder: Path) -> Written:
    columns = {f"e{place}": VECTORS[:, place] for place in range(WIDTH)}
    pd.DataFrame({"id": IDS, **columns}).to_csv(folder / "v.csv", index=False)
    return f"{folder}/v.csv", {"embedding_columns": "e*"}


def json_lines(folder: Path) -> Written:
    frame = pd.DataFrame({"id": IDS, "embedding": VECTORS.tolist()})
    frame.to_json(folder / "v.jsonl", orient="records", lines=True)
    return f"{folder}/v.jsonl", {}


def dataset_folder(folder: Path) -> Written:
    """Write what `datasets.Dataset.save_to_disk` does, and what is then beside it."""
    (place := folder / "saved").mkdir()
    write_stream(place / "data-00000-of-00002.arrow", 0, 700)
    write_stream(place / "data-00001-of-00002.arrow", 700, COUNT)
    for name in ("state.json", "dataset_info.json", "cache-1a2b.arrow", ".hidden", "_SUCCESS"):
        (place / name).write_text("{}")
    return str(place), {}


def partitioned_folder(folder: Path) -> Written:
    """Write what pandas and Spark do: a folder for each value of a column."""
    for part, first, end in (("a", 0, 500), ("b", 500, COUNT)):
        (place := folder / "saved" / f"kind={part}").mkdir(parents=True)
        table = pa.table({"id": IDS[first:end], "embedding": LISTS[first:end]})
        pq.write_table(table, place / "part-0.parquet")
    return f"{folder}/saved", {}


def hdf5(folder: Path) -> Written:
    with h5py.File(folder / "v.h5", "w") as file:
        file.create_dataset("x/y", data=VECTORS.astype(np.float16), chunks=(64, 16), compression=1)
    return f"{folder}/v.h5", {}


def hdf5_named(folder: Path) -> Written:
    with h5py.File(folder / "v.h5", "w") as file:
        file["train"], file["test"] = VECTORS, VECTORS[:5]
    return f"{folder}/v.h5:/train", {}


def safetensors(kind: str, values: np.ndarray) -> Callable[[Path], Written]:
    def write(folder: Path) -> Written:
        places = [0, values.nbytes]
        header = {"x": {"dtype": kind, "shape": [COUNT, WIDTH], "data_offsets": places}}
        text = json.dumps(header).encode()
        data = struct.pack("<Q", len(text)) + text + values.tobytes()
        (folder / "v.safetensors").write_bytes(data)
        return f"{folder}/v.safetensors", {}

    return write


def vector_bin(suffix: str, kind: str) -> Callable[[Path], Written]:
    def write(folder: Path) -> Written:
        data = struct.pack("<II", COUNT, WIDTH) + VECTORS.astype(kind).tobytes()
        (folder / f"v{suffix}").write_bytes(data)
        return f"{folder}/v{suffix}", {}

    return write


TENSORS = [
    pa.FixedShapeTensorArray.from_numpy_ndarray(VECTORS.astype(k)) for k in ("f4", "f2", "i1")
]
FORMS: dict[str, list[Callable[[Path], Written]]] = {
    "TFRecord": [tfrecord],
    "`.npy`": [
        *map(npy, ("C<f2", "C<f4", "C>f8", "Ci1", "C<i8", "F<f4", "F>f2", "Fi1")), npy_bfloat16
    ],
    "`.npz`": [npz, npz_named],
    "Parquet, list column": [
        parquet(LISTS),
        parquet(LISTS.cast(pa.large_list(pa.float64()))),
        parquet(LISTS.cast(pa.list_(pa.float32(), WIDTH))),
        parquet(LISTS.cast(pa.list_(pa.int8()))),
        parquet(LISTS, pa.array(IDS).dictionary_encode()),
        parquet(LISTS, pa.array(range(COUNT))),
        parquet(LISTS, pa.array(range(COUNT), pa.uint64())),
    ],
    "Parquet, tensor column": [parquet(tensors) for tensors in TENSORS],
    "Parquet, a column for each dimension": [parquet_wide],
    "Feather, Arrow file": [feather],
    "CSV, JSON Lines": [csv, json_lines],
    "Arrow stream": [stream],
    "folder of Parquet or Arrow": [dataset_folder, partitioned_folder],
    "HDF5": [hdf5, hdf5_named],
    "safetensors": [safetensors("F32", VECTORS), safetensors("BF16", bfloat16(VECTORS))],
    "`.fbin`, `.f16bin`, `.i8bin`, `.u8bin`": [
        vector_bin(".fbin", "<f4"), vector_bin(".f16bin", "<f2"), vector_bin(".i8bin", "i1"),
    ],
}  # fmt: skip


def test_every_form_that_is_documented_is_tried() -> None:
    assert [cells[0] for cells in rows_of("embeddings")] == list(FORMS)


@pytest.mark.parametrize(
    "write",
    [pytest.param(f, id=f"{name} {i}") for name, fs in FORMS.items() for i, f in enumerate(fs)],
)
def test_embeddings_in_every_form_give_the_same_graph(
    tmp_path: Path, expected: bytes, write: Callable[[Path], Written]
) -> None:
    """Whose ids are the numbers of the rows, whether they are in the file or not."""
    path, options = write(tmp_path)
    assert graph(path, tmp_path, **options) == expected


def uploaded(path: str, s3: S3Server) -> str:
    """Put a file, or a folder, into a store; return its URL."""
    file, _, member = path.partition(":")
    place = Path(file)
    for each in sorted(place.rglob("*")) if place.is_dir() else [place]:
        if each.is_file():
            s3.put(str(each.relative_to(place.parent)), each.read_bytes())
    return f"s3://box/{place.name}" + (f":{member}" if member else "")


@pytest.mark.parametrize(
    "write", [pytest.param(fs[-1], id=f"{name} of a store") for name, fs in FORMS.items()]
)
def test_every_form_is_read_from_a_store(
    tmp_path: Path, expected: bytes, s3: S3Server, write: Callable[[Path], Written]
) -> None:
    path, options = write(tmp_path)
    assert graph(uploaded(path, s3), tmp_path, **options) == expected


@pytest.mark.parametrize("suffix", [".tsv", ".tsv.gz", ".tsv.zst", ".parquet", ".npz", ".h5"])
def test_every_graph_is_written_to_a_store_and_read_from_it(
    tmp_path: Path, s3: S3Server, suffix: str
) -> None:
    path, _ = tfrecord(tmp_path)
    options = BuildGraphOptions(similarity_threshold=0.3, k=5)
    for name in (f"{tmp_path}/g{suffix}", f"s3://box/g{suffix}"):
        build_graph([path], name, options)
    assert s3.get(f"g{suffix}") == (tmp_path / f"g{suffix}").read_bytes()
    ids = f"{tmp_path}/ids" if suffix in (".npz", ".h5") else None
    (tmp_path / "ids").write_text("".join(f"{row}\n" for row in IDS))
    for graph_path, name in ((f"{tmp_path}/g{suffix}", "disk"), (f"s3://box/g{suffix}", "store")):
        pack_nbrs(path, "", graph_path, f"{tmp_path}/{name}", PackOptions(graph_ids=ids))
    assert (tmp_path / "store").read_bytes() == (tmp_path / "disk").read_bytes()


@pytest.mark.parametrize(("how", "name"), [
    ("text", "ids.txt"), ("`.npy`", "ids.npy"), ("`table.parquet:column`", "ids.parquet:key"),
])  # fmt: skip
def test_ids_in_every_form(tmp_path: Path, expected: bytes, how: str, name: str) -> None:
    assert how in [cells[0] for cells in rows_of("ids")]
    names = [f"n{row}" for row in IDS]
    (tmp_path / "ids.txt").write_text("\n".join(names) + "\n")
    np.save(tmp_path / "ids.npy", names)
    pq.write_table(pa.table({"key": names}), tmp_path / "ids.parquet")
    path, _ = npy("C<f4")(tmp_path)
    found = graph(path, tmp_path, ids=f"{tmp_path}/{name}")
    renamed = re.sub(rb"^([0-9]+)\t([0-9]+)\t", rb"n\1\tn\2\t", expected, flags=re.MULTILINE)
    # Edges of equal weight are in the order of their ids, which "n" before them does not change.
    assert found == renamed


GRAPHS = ["`.tsv`, `.tsv.gz`, `.tsv.zst`", "`.parquet`", "`.npz`", "`.h5`"]


def test_every_graph_that_is_documented_is_tried() -> None:
    assert [cells[0] for cells in rows_of("graph")] == GRAPHS


def edges_of(tsv: bytes) -> list[tuple[int, int, np.float32]]:
    lines = [line.split(b"\t") for line in tsv.splitlines()]
    return [(int(source), int(target), np.float32(weight)) for source, target, weight in lines]


def built(folder: Path, name: str, **options: Any) -> Path:
    path, _ = parquet(LISTS)(folder)
    options = {"similarity_threshold": 0.3, "k": 5, **options}
    build_graph([path], f"{folder}/{name}", BuildGraphOptions(**options))
    return folder / name


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_text_is_compressed_by_its_name(tmp_path: Path, expected: bytes, suffix: str) -> None:
    path = built(tmp_path, f"g.tsv{suffix}")
    codec = {".gz": "gzip", ".zst": "zstd"}[suffix]
    assert pa.input_stream(path, compression=codec).read() == expected


@pytest.mark.parametrize("edge_ids", ["ids", "rows"])
def test_pandas_reads_parquet(tmp_path: Path, expected: bytes, edge_ids: str) -> None:
    table = pd.read_parquet(built(tmp_path, "g.parquet", edge_ids=edge_ids))
    assert table.dtypes["weight"] == np.float32
    assert (table.dtypes["source"] == np.int64) == (edge_ids == "rows")
    found = zip(table.source.astype(int), table.target.astype(int), table.weight, strict=True)
    assert list(found) == edges_of(expected)


def test_scipy_reads_a_sparse_matrix(tmp_path: Path, expected: bytes) -> None:
    found = scipy.sparse.load_npz(built(tmp_path, "g.npz"))
    assert found.shape == (COUNT, COUNT)
    assert not found.diagonal().any()
    sources = np.repeat(np.arange(COUNT), np.diff(found.indptr))
    edges = zip(sources.tolist(), found.indices.tolist(), found.data, strict=True)
    assert list(edges) == edges_of(expected)


def test_scikit_learn_takes_distances(tmp_path: Path) -> None:
    """And finds the neighbours that it finds itself: as cleanlab asks of a `knn_graph`."""
    path = built(tmp_path, "g.npz", weights="distance", similarity_threshold=-1.0)
    graph = scipy.sparse.load_npz(path)
    assert set(np.diff(graph.indptr)) == {5}
    distances = graph.data.reshape(COUNT, 5)
    assert (np.diff(distances) >= 0).all()
    assert (graph.indices.reshape(COUNT, 5) != np.arange(COUNT)[:, None]).all()
    nearest = NearestNeighbors(n_neighbors=5, metric="cosine").fit(VECTORS)
    right, _ = nearest.kneighbors()
    np.testing.assert_allclose(distances, right, atol=1e-6)
    labels = np.arange(COUNT) % 2
    model = KNeighborsClassifier(n_neighbors=5, metric="precomputed").fit(graph, labels)
    assert model.predict(graph).shape == (COUNT,)


def test_h5py_reads_matrices_of_neighbours(tmp_path: Path, expected: bytes) -> None:
    """As UMAP takes them: two arrays of the same shape, -1 where a neighbour is missing."""
    with h5py.File(built(tmp_path, "g.h5")) as file:
        knns, dists = file["knns"][:], file["dists"][:]
    assert knns.shape == dists.shape == (COUNT, 5)
    rows, columns = np.nonzero(knns >= 0)
    assert ((knns == -1) == np.isnan(dists)).all()
    weights = dists[rows, columns]
    edges = zip(rows.tolist(), knns[rows, columns].tolist(), weights, strict=True)
    assert list(edges) == edges_of(expected)


@pytest.mark.parametrize("suffix", [".tsv", ".parquet", ".npz", ".h5"])
def test_the_same_bytes_whatever_the_threads_memory_and_shards(tmp_path: Path, suffix: str) -> None:
    """Sharded files hold the rows of the whole, one after the other."""
    whole = built(tmp_path, f"g{suffix}").read_bytes()
    for name, options in (("a", {"threads": 1}), ("b", {"memory_limit": 32 << 20})):
        assert built(tmp_path, f"{name}{suffix}", **options).read_bytes() == whole
    built(tmp_path, f"s{suffix}@7")
    shards = sorted(str(path) for path in tmp_path.glob(f"s{suffix}-*"))
    assert len(shards) == 7
    files = [GraphFiles(paths, PackOptions()) for paths in (shards, [f"{tmp_path}/g{suffix}"])]
    found, right = (
        [row for batch in graphs.edges(Statistics()) for row in batch.to_pylist()]
        for graphs in files
    )
    assert found == right


@pytest.mark.parametrize("suffix", [".tsv.gz", ".tsv.zst", ".parquet", ".npz", ".h5"])
def test_packing_takes_every_graph(tmp_path: Path, suffix: str) -> None:
    """The same records come of each."""
    write_examples(f"{tmp_path}/labeled", ({"id": i, "x": float(i)} for i in IDS[:300]))
    write_examples(f"{tmp_path}/unlabeled", ({"id": i, "x": float(i)} for i in IDS[300:]))
    found = []
    for name in ("g.tsv", f"g{suffix}"):
        graph_file = str(built(tmp_path, name))
        options = PackOptions(max_neighbors=3)
        inputs = [f"{tmp_path}/labeled", f"{tmp_path}/unlabeled", graph_file]
        pack_nbrs(*inputs, f"{tmp_path}/packed", options)
        found.append((tmp_path / "packed").read_bytes())
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        (
            "g.csv",
            {},
            "g.csv: a graph is not written as .csv, expected one of .tsv, .parquet, .npz",
        ),
        ("g.NPY", {}, "a graph is not written as .npy"),
        ("g.npz.gz", {}, "a graph is not written as .npz.gz"),
        ("g.jsonl.zst@3", {}, "a graph is not written as .jsonl.zst"),
        ("g.h5", {"k": None}, "-k: expected a number for .*g.h5, whose rows are all alike"),
        ("g.tsv", {"edge_ids": "rows"}, "--edge-ids: expected ids for .*g.tsv, which is TSV"),
    ],
)
def test_a_name_that_promises_what_is_not_written(
    tmp_path: Path, name: str, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(UsageError, match=problem):
        built(tmp_path, name, **options)
    assert not list(tmp_path.glob("g*"))


@pytest.mark.parametrize("name", ["graph.tfv", "graph", "graph.out", "graph.tsv.1"])
def test_every_other_name_is_text(tmp_path: Path, expected: bytes, name: str) -> None:
    """Published scripts write `graph.tfv`."""
    assert built(tmp_path, name).read_bytes() == expected
