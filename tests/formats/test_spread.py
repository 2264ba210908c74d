"""Every reader of embeddings tells how many rows there are, and reads some from many places."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import write_examples

from nsl_tools.formats.registry import embedding_reader
from nsl_tools.formats.skipped_records import SkippedRecords
from nsl_tools.options import BuildGraphOptions
from nsl_tools.statistics import Statistics

WIDTH = 24
EXACT = {"e.npy", "f.npy", "e.npz", "e.h5", "e.fbin", "e.parquet", "one.parquet", "e.arrow"}
PLACES = {"e.npy", "f.npy", "e.npz", "e.h5", "e.fbin", "e.parquet", "e.tfr"}
"""Where more than the first rows are read."""


def vectors_of(rows: int) -> np.ndarray:
    """Return vectors that tell their rows."""
    return np.arange(rows * WIDTH, dtype=np.float32).reshape(rows, WIDTH) / WIDTH


def write(folder: Path, name: str, rows: int) -> str:
    """Write as many rows in the format of a name; return the path."""
    path, vectors = str(folder / name), vectors_of(rows)
    _, _, suffix = name.partition(".")
    if suffix in ("npy", "npz", "h5", "fbin"):
        write_matrix(path, vectors)
    elif suffix in ("csv", "jsonl"):
        write_text(path, vectors)
    elif suffix.startswith("tfr"):
        rows_of = enumerate(vectors.tolist())
        write_examples(path, ({"id": [b"%d" % i], "embedding": vector} for i, vector in rows_of))
    else:
        write_table(path, vectors)
    return path


def write_matrix(path: str, vectors: np.ndarray) -> None:
    if path.endswith("f.npy"):
        vectors = np.asfortranarray(vectors)
    if path.endswith(".npy"):
        np.save(path, vectors)
    elif path.endswith(".npz"):
        np.savez(path, e=vectors)
    elif path.endswith(".h5"):
        with h5py.File(path, "w") as file:
            file["e"] = vectors
    else:
        head = np.array(vectors.shape, "<u4").tobytes()
        Path(path).write_bytes(head + vectors.astype("<f4").tobytes())


def write_text(path: str, vectors: np.ndarray) -> None:
    rows = list(enumerate(vectors.tolist()))
    if path.endswith(".csv"):
        names = ",".join(["id", *(f"c{i}" for i in range(WIDTH))])
        lines = [names, *(",".join(map(str, [i, *vector])) for i, vector in rows), ""]
    else:
        lines = [json.dumps({"id": str(i), "embedding": vector}) for i, vector in rows]
    Path(path).write_text("\n".join(lines))


def write_table(path: str, vectors: np.ndarray) -> None:
    ids = [str(i) for i in range(len(vectors))]
    table = pa.table({"id": ids, "embedding": pa.array(list(vectors))})
    if path.endswith(".parquet"):
        pq.write_table(table, path, row_group_size=len(vectors) if "one" in path else 100)
    elif path.endswith(".arrow"):
        pyarrow.feather.write_feather(table, path, chunksize=200)
    else:
        with pa.ipc.new_stream(path, table.schema) as stream:
            stream.write_table(table, max_chunksize=200)


@settings(max_examples=6)
@given(rows=st.integers(1, 3000), share=st.sampled_from([0.05, 0.3, 2]))
@pytest.mark.parametrize(
    "name",
    [*sorted(EXACT), "e.tfr", "e.tfr.gz", "e.csv", "e.jsonl", "e.arrows"],
)
def test_rows_are_those_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, name: str, rows: int, share: float
) -> None:
    path = write(tmp_path_factory.mktemp("spread"), name, rows)
    columns = "c*" if name == "e.csv" else None
    reader = embedding_reader([path], BuildGraphOptions(embedding_columns=columns))
    expected, is_exact = reader.expected_rows()
    assert expected == rows if is_exact else expected == pytest.approx(rows, rel=0.25, abs=3)
    assert is_exact or name not in EXACT
    most = int(share * rows * 4 * WIDTH) + 64 * 4 * WIDTH
    found = list(reader.spread(SkippedRecords(Statistics()), most))
    pieces = [piece for piece, _ in found]
    assert pieces == sorted(pieces)
    ids = [int(node.as_py()) for _, batch in found for node in batch.ids]
    assert len(set(ids)) == len(ids) <= rows
    vectors = np.concatenate([batch.vectors for _, batch in found])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, vectors_of(rows)[ids], rtol=1e-6)
    if rows > 2000 and share < 1 and name in PLACES:
        assert len(ids) < rows or name == "e.parquet"  # of which a block is read at least
        assert min(ids) < rows / 4
        assert max(ids) > 3 * rows / 4
        assert max(pieces) > 8
