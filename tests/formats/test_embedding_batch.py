"""What readers of embeddings have in common: which options their files have a use for."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from support import write_examples

from nsl_tools.errors import UsageError
from nsl_tools.formats.registry import embedding_reader
from nsl_tools.formats.skipped_records import SkippedRecords
from nsl_tools.options import BuildGraphOptions
from nsl_tools.statistics import Statistics
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize(
    ("path", "changed", "problem"),
    [
        ("e.tfr", {"ids": "i"}, "--ids: expected none for e.tfr, received 'i'"),
        ("e.tfr", {"array": "x"}, "--array: expected none for e.tfr, received 'x'"),
        ("e.tfr", {"embedding_columns": "e*"}, "--embedding-columns: expected none for e.tfr"),
        ("e.npy", {"ids": "i", "embedding_feature": "x"}, "--embedding-feature-name: expected"),
        ("e.npy", {"ids": "i", "id_feature": "x"}, "--id-feature-name: expected none for e.npy"),
        ("e.npy", {"array": "x"}, "--array: expected none for e.npy, received 'x'"),
        ("e.fbin", {"embedding_columns": "e*"}, "--embedding-columns: expected none for e.fbin"),
        ("e.h5", {"max_record_bytes": 9}, "--max-record-bytes: expected none for e.h5"),
        ("e.parquet", {"array": "x"}, "--array: expected none for e.parquet"),
        ("e.parquet", {"max_record_bytes": 9}, "--max-record-bytes: expected none for e.parquet"),
        ("e.parquet", {"id_feature": "embedding"}, "expected another column than that of the ids"),
        (
            "e.arrow",
            {"embedding_feature": "x", "embedding_columns": "e*"},
            "--embedding-columns: expected none with --embedding-feature-name",
        ),
        ("e.arrow", {"ids": "i", "id_feature": "x"}, "--ids: expected none with --id-feature-name"),
    ],
)  # fmt: skip
def test_an_option_without_use_is_refused(path: str, changed: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        embedding_reader([path], BuildGraphOptions(**changed)).check_options(seeded=False)


@pytest.mark.parametrize(
    ("path", "changed"),
    [
        ("e.tfr", {"id_feature": "x", "embedding_feature": "y", "max_record_bytes": 9}),
        ("e.npy", {"ids": "i"}),
        ("e.npy", {}),
        ("e.npz", {"array": "x"}),
        ("e.h5", {"array": "x", "ids": "i"}),
        ("e.safetensors", {"array": "x"}),
        ("e.parquet", {"id_feature": "x", "embedding_feature": "y"}),
        ("e.feather", {"ids": "i", "embedding_columns": "e*"}),
    ],
)
def test_an_option_of_use_is_taken(path: str, changed: dict[str, Any]) -> None:
    embedding_reader([path], BuildGraphOptions(**changed)).check_options(seeded=False)


def test_options_of_examples_are_of_use_for_seeds() -> None:
    """Which are examples, whatever the embeddings are."""
    options = BuildGraphOptions(ids="i", id_feature="x", max_record_bytes=9)
    embedding_reader(["e.npy"], options).check_options(seeded=True)


ROWS, WIDTH = 4000, 16
VECTORS = np.random.default_rng(0).normal(size=(ROWS, WIDTH)).astype(np.float32)
LISTED = VECTORS.tolist()
TABLE = pa.table({"id": [f"node {i}" for i in range(ROWS)], "embedding": LISTED})


def _records(path: Path) -> None:
    write_examples(path, [{"id": [b"%d" % i], "embedding": row} for i, row in enumerate(LISTED)])


def _compressed(path: Path) -> None:
    _records(path.with_suffix(""))
    path.write_bytes(gzip.compress(path.with_suffix("").read_bytes()))


def _hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = VECTORS


def _stream(path: Path) -> None:
    with pa.ipc.new_stream(path, TABLE.schema) as writer:
        writer.write_table(TABLE, 500)


def _csv(path: Path) -> None:
    columns = {f"e{i}": VECTORS[:, i] for i in range(WIDTH)}
    pyarrow.csv.write_csv(pa.table({"id": range(ROWS), **columns}), path)


def _json(path: Path) -> None:
    rows = (json.dumps({"id": str(i), "embedding": row}) for i, row in enumerate(LISTED))
    path.write_text("".join(f"{row}\n" for row in rows))


FORMATS: dict[str, Callable[[Path], object]] = {
    "e.tfr": _records,
    "e.tfr.gz": _compressed,
    "e.npy": lambda path: np.save(path, VECTORS),
    "columns.npy": lambda path: np.save(path, np.asfortranarray(VECTORS)),
    "e.npz": lambda path: np.savez_compressed(path, VECTORS),
    "e.h5": _hdf5,
    "e.parquet": lambda path: pq.write_table(TABLE, path, row_group_size=500),
    "e.feather": lambda path: pyarrow.feather.write_feather(TABLE, path, chunksize=500),
    "e.arrow": _stream,
    "e.csv": _csv,
    "e.jsonl": _json,
}


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_read_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Of what was expected, about as much as there are rows, in whatever format."""
    monkeypatch.setattr(TUNING, "batch_bytes", 20_000)
    monkeypatch.setattr(TUNING, "table_bytes", 20_000)
    FORMATS[name](tmp_path / name)
    columns = "e*" if name == "e.csv" else None
    paths = [f"{tmp_path}/{name}"] * 2
    reader = embedding_reader(paths, BuildGraphOptions(embedding_columns=columns))
    total = reader.expected_bytes()
    rows = 0
    batches = reader.batches(
        SkippedRecords(Statistics()), lambda shape: np.empty(shape, np.float32)
    )
    for batch in batches:
        rows += len(batch.ids)
        share = reader.read.done / total
        # What is read by blocks of MiB is counted by these.
        if name not in ("e.csv", "e.jsonl", "e.tfr.gz"):
            assert share == pytest.approx(rows / ROWS / 2, abs=0.2)
    assert rows == 2 * ROWS
    assert reader.read.done == pytest.approx(total, rel=0.1)
