"""The tables of `docs/formats.md`: the same vectors give the same graph from each of the forms."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from nsl_tools.build_graph.pipeline import build_graph
from nsl_tools.formats.example_writer import write_examples
from nsl_tools.options import BuildGraphOptions

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENT = (Path(__file__).parents[1] / "docs" / "formats.md").read_text()
COUNT, WIDTH = 2000, 16
# Whole numbers of few bits, which all types hold; as many are alike as in real data.
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
