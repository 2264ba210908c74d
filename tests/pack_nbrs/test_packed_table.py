"""Packing into Parquet: the same examples as in a TFRecord file, a column for each feature."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from oracles import right_features
from support import read_payloads

from nsl_tools.errors import UsageError
from nsl_tools.formats.example_writer import write_examples
from nsl_tools.formats.tables.examples import opened_examples
from nsl_tools.formats.tfrecord.reader import read_batches
from nsl_tools.options import PackOptions
from nsl_tools.pack_nbrs.packed_table import is_parquet
from nsl_tools.pack_nbrs.pipeline import pack_nbrs

NODES = 60
RANDOM = np.random.default_rng(0)
ROWS: list[dict[str, Any]] = [
    {
        "id": f"n{i}", "x": float(i), "words": list(range(i % 5)), "label": i % 3,
        "text": "é" * (i % 4), "vector": RANDOM.normal(size=4).astype(np.float32).tolist(),
    }
    for i in range(NODES)
]  # fmt: skip


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A folder with examples as TFRecord and as Parquet, and a graph."""
    labeled, unlabeled = ROWS[:40], [{**row, "label": None} for row in ROWS[40:]]
    unlabeled = [{name: v for name, v in row.items() if name != "label"} for row in unlabeled]
    for name, rows in (("l", labeled), ("u", unlabeled)):
        write_examples(f"{tmp_path}/{name}.tfr", rows)
        pd.DataFrame(rows).to_parquet(tmp_path / f"{name}.parquet")
    ends = RANDOM.integers(0, NODES, (200, 2))
    frame = pd.DataFrame(
        {"source": [f"n{s}" for s in ends[:, 0]], "target": [f"n{t}" for t in ends[:, 1]]}
    )
    frame["weight"] = RANDOM.random(200).round(3)
    frame.to_parquet(tmp_path / "g.parquet")
    return tmp_path


def packed(job: Path, suffix: str, out: str, **options: Any) -> str:
    given = {"max_neighbors": 3, **options}
    inputs = [f"{job}/l{suffix}", f"{job}/u{suffix}", f"{job}/g.parquet"]
    pack_nbrs(*inputs, f"{job}/{out}", PackOptions(**given))
    return f"{job}/{out}"


@pytest.mark.parametrize("suffix", [".tfr", ".parquet"])
@pytest.mark.parametrize(
    "options",
    [{}, {"seed_unlabeled": True}, {"nbr_features": "x,words"}, {"add_undirected_edges": True}],
)
def test_rows_are_the_packed_examples(job: Path, suffix: str, options: dict[str, Any]) -> None:
    """Read back as examples, which Parquet may also be, but for weights of 0 and the order."""
    records = read_payloads(packed(job, suffix, "out.tfr", **options))
    path = packed(job, suffix, "out.parquet", **options)
    with opened_examples(path, PackOptions()) as source:
        rows = [payload for batch in read_batches(source) for payload in batch.payloads]
    for row, record in zip(rows, records, strict=True):
        found, right = right_features(row), right_features(record)
        assert found is not None
        assert right is not None
        for name in set(found) - set(right):
            assert name.endswith(b"_weight")
            assert found.pop(name) == ("float", bytes(4))
        # An empty list and a feature without one are the same to whoever reads columns.
        assert found == {n: feature for n, feature in right.items() if feature[0] != "empty"}


def test_columns_have_the_types_of_the_data_frame(job: Path) -> None:
    table = pq.read_table(packed(job, ".parquet", "out.parquet", seed_unlabeled=True))
    types = dict(zip(table.schema.names, table.schema.types, strict=True))
    assert types["id"] == types["text"] == types["NL_nbr_2_text"] == pa.string()
    assert types["x"] == types["NL_nbr_0_weight"] == types["NL_label_weight"] == pa.float32()
    assert types["words"] == types["NL_nbr_1_words"] == pa.list_(pa.int64())
    assert types["NL_num_nbrs"] == types["label"] == pa.int64()
    frame = pd.read_parquet(f"{job}/out.parquet")
    assert len(frame) == NODES
    lacking = frame[frame.NL_num_nbrs < 3]
    assert len(lacking)
    assert (lacking.NL_nbr_2_weight == 0).all()
    assert lacking.NL_nbr_2_text.isna().all()


@pytest.mark.parametrize("suffix", [".tfr", ".parquet"])
def test_the_same_bytes_whatever_the_memory_and_shards(job: Path, suffix: str) -> None:
    whole = packed(job, suffix, "out.parquet")
    low = packed(job, suffix, "low.parquet", memory_limit=32 << 20)
    assert Path(whole).read_bytes() == Path(low).read_bytes()
    packed(job, suffix, "set.parquet@3")
    parts = [pq.read_table(path) for path in sorted(job.glob("set.parquet-*"))]
    assert len(parts) == 3
    assert pa.concat_tables(parts) == pq.read_table(whole)


def test_an_unfinished_set_is_resumed(job: Path) -> None:
    packed(job, ".parquet", "set.parquet@3", resume=True)
    first = [path.read_bytes() for path in sorted(job.glob("set.parquet-*"))]
    sorted(job.glob("set.parquet-*"))[1].unlink()
    packed(job, ".parquet", "set.parquet@3", resume=True)
    assert [path.read_bytes() for path in sorted(job.glob("set.parquet-*"))] == first


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"max_neighbors": None}, "--max-nbrs: expected a number, since each neighbour has colum"),
        (
            {"compression": "gzip"},
            "--compression: expected none for out.parquet, which has its own",
        ),
    ],
)
def test_options_that_a_table_has_no_use_for(options: dict[str, Any], problem: str) -> None:
    given = PackOptions(**{"max_neighbors": 1, **options})
    with pytest.raises(UsageError, match=problem):
        is_parquet("out.parquet", given)
    assert not is_parquet("out.tfr", given)
    assert is_parquet("OUT.PARQUET@3", PackOptions(max_neighbors=1))
    assert not is_parquet("parquet", given)


def test_a_feature_of_two_kinds_is_refused(job: Path) -> None:
    write_examples(f"{job}/u.tfr", [{"id": "n50", "x": 7}])
    with pytest.raises(UsageError, match=r"feature 'x' is float and int64 in .*u\.tfr or before"):
        packed(job, ".tfr", "out.parquet")
    assert not (job / "out.parquet").exists()


def test_a_renamed_weight_has_its_column(job: Path) -> None:
    for name in "lu":
        frame = pd.read_parquet(job / f"{name}.parquet")
        frame["weight"] = 7.0
        frame.to_parquet(job / f"{name}.parquet")
    table = pq.read_table(packed(job, ".parquet", "out.parquet", rename_weight="mass"))
    assert set(table["NL_nbr_0_mass"].drop_null().to_pylist()) == {7.0}
    assert max(table["NL_nbr_0_weight"].to_pylist()) <= 1
