"""Embeddings as examples and as matrices, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from nsl_tools.convert.pipeline import convert
from nsl_tools.errors import UsageError
from nsl_tools.formats.example_writer import write_examples
from nsl_tools.options import ConvertOptions

if TYPE_CHECKING:
    from pathlib import Path

COUNT, WIDTH = 37, 5
VECTORS = np.random.default_rng(0).integers(-9, 9, (COUNT, WIDTH)).astype("f4")
IDS = [f"n{i}" + "x" * (i % 7) for i in range(COUNT)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [{"id": i, "embedding": v} for i, v in zip(IDS, VECTORS, strict=True)]
    write_examples(f"{tmp_path}/v.tfr", rows)
    pd.DataFrame({"id": IDS, "embedding": list(VECTORS)}).to_parquet(tmp_path / "v.parquet")
    np.save(tmp_path / "v.npy", VECTORS)
    (tmp_path / "ids").write_text("".join(f"{node}\n" for node in IDS))
    return tmp_path


def converted(folder: Path, name: str, to: str, **options: Any) -> Path:
    convert([f"{folder}/{name}"], f"{folder}/{to}", ConvertOptions(**options))
    return folder / to


def test_a_matrix_becomes_examples(folder: Path) -> None:
    found = converted(folder, "v.npy", "o.tfr", ids=f"{folder}/ids")
    assert found.read_bytes() == (folder / "v.tfr").read_bytes()
    shards = converted(folder, "v.npy", "o.tfr@3", ids=f"{folder}/ids").parent
    parts = [(shards / f"o.tfr-0000{i}-of-00003").read_bytes() for i in range(3)]
    assert b"".join(parts) == found.read_bytes()


def test_a_matrix_becomes_a_table(folder: Path) -> None:
    names = {"id_feature": "key", "embedding_feature": "vector"}
    found = pd.read_parquet(converted(folder, "v.npy", "o.parquet", ids=f"{folder}/ids", **names))
    assert [key.decode() for key in found["key"]] == IDS
    np.testing.assert_array_equal(np.stack(found["vector"]), VECTORS)


@pytest.mark.parametrize("name", ["v.tfr", "v.parquet", "v.npy"])
def test_embeddings_become_a_matrix(folder: Path, name: str) -> None:
    options = {"ids": f"{folder}/ids"} if name == "v.npy" else {}
    found = converted(folder, name, "o.npy", ids_out=f"{folder}/names", **options)
    assert found.read_bytes() == (folder / "v.npy").read_bytes()
    assert (folder / "names").read_text() == (folder / "ids").read_text()


def test_a_set_of_matrices(folder: Path) -> None:
    converted(folder, "v.tfr", "o.npy@3")
    parts = [np.load(folder / f"o.npy-0000{i}-of-00003") for i in range(3)]
    np.testing.assert_array_equal(np.concatenate(parts), VECTORS)


@pytest.mark.parametrize(
    ("suffix", "kind"), [(".fbin", "<f4"), (".f16bin", "<f2"), (".i8bin", "i1")]
)
def test_big_ann(folder: Path, suffix: str, kind: str) -> None:
    data = converted(folder, "v.tfr", f"o{suffix}").read_bytes()
    assert np.frombuffer(data[:8], "<u4").tolist() == [COUNT, WIDTH]
    np.testing.assert_array_equal(np.frombuffer(data[8:], kind).reshape(-1, WIDTH), VECTORS)


def test_what_does_not_fit_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"o.u8bin: -[0-9].0 does not fit uint8"):
        converted(folder, "v.tfr", "o.u8bin")
    write_examples(f"{folder}/large.tfr", [{"id": "a", "embedding": [70_000.0]}])
    with pytest.raises(UsageError, match=r"o.f16bin: 70000.0 does not fit float16"):
        converted(folder, "large.tfr", "o.f16bin")


@pytest.mark.parametrize(
    ("name", "to", "options", "said"),
    [
        ("v.tfr", "o.parquet", {"ids": "x"}, "--ids: expected none for examples"),
        ("v.tfr", "o", {"ids_out": "x"}, "--ids-out: expected none for examples"),
        ("v.npy", "o", {"graph_ids": "x"}, "--graph-ids: expected none for a matrix"),
        ("v.tfr", "o", {"embedding_feature": "x"}, "--embedding-feature-name: expected none"),
        ("v.npy", "o.npy", {"weights": "distance"}, "--weights: expected none for a matrix"),
        ("v.tfr", "o.npy", {"array": "x"}, "--array: expected none for"),
    ],
)
def test_options_without_use_are_refused(
    folder: Path, name: str, to: str, options: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        converted(folder, name, to, **options)
    assert not list(folder.glob("o*"))


@pytest.mark.parametrize("suffix", [".npy", ".i8bin"])
@pytest.mark.parametrize("lost", [0, 1, 2])
def test_only_shards_that_are_not_there_are_written(folder: Path, suffix: str, lost: int) -> None:
    """With their own rows."""
    names = [f"o{suffix}-0000{i}-of-00003" for i in range(3)]
    converted(folder, "v.tfr", f"o{suffix}@3")
    whole = [(folder / name).read_bytes() for name in names]
    (folder / names[lost]).unlink()
    converted(folder, "v.tfr", f"o{suffix}@3", resume=True)
    assert [(folder / name).read_bytes() for name in names] == whole


def test_ids_are_not_written_in_part() -> None:
    with pytest.raises(UsageError, match="--ids-out: expected none with --resume"):
        ConvertOptions(ids_out="ids", resume=True)
