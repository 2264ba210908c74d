"""What files hold, and what is written of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from nsl_tools.errors import UsageError
from nsl_tools.formats.example_writer import write_examples
from nsl_tools.formats.graphs.parquet_writer import ParquetGraph
from nsl_tools.formats.graphs.tsv_writer import TsvGraph
from nsl_tools.formats.kinds import kind_of, output_kind

if TYPE_CHECKING:
    from pathlib import Path

MATRIX = np.eye(3, dtype="f4")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_examples(f"{tmp_path}/x.tfr", [{"id": "a"}])
    pd.DataFrame({"id": ["a"], "x": [1]}).to_parquet(tmp_path / "x.parquet")
    pd.DataFrame({"source": ["a"], "target": ["b"], "weight": [1]}).to_parquet(
        tmp_path / "g.parquet"
    )
    np.save(tmp_path / "x.npy", MATRIX)
    np.savez(tmp_path / "x.npz", MATRIX)
    scipy.sparse.save_npz(tmp_path / "g.npz", scipy.sparse.csr_matrix(MATRIX))
    for name, array in (("x", "data"), ("g", "knns")):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file[array] = MATRIX
    (tmp_path / "g.tsv").write_text("a\tb\t1\n")
    (tmp_path / "g.tfv").write_text("né\tb\t1\n")
    (tmp_path / "g").write_text("a\tb\n")
    (tmp_path / "x.csv").write_text("id,x\na,1\n")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "kind"),
    [("x.tfr", "examples"), ("x.parquet", "examples"), ("x.csv", "examples")]
    + [(f"x.{suffix}", "a matrix") for suffix in ("npy", "npz", "h5")]
    + [(f"g.{suffix}", "a graph") for suffix in ("tsv", "tfv", "parquet", "npz", "h5")]
    + [("g", "a graph")],
)
def test_a_kind(folder: Path, name: str, kind: str) -> None:
    assert kind_of([f"{folder}/{name}"]) == kind


def test_kinds_are_not_mixed(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"the same, received .*x.tfr \(examples\) and .*g.tsv"):
        kind_of([f"{folder}/x.tfr", f"{folder}/g.tsv"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("o.tfr", "examples"), ("o", "examples"), ("o.parquet@3", "examples"), ("-", "examples"),
        ("o.npy", "a matrix"), ("o.fbin@2", "a matrix"), ("o.tfr.gz", "examples"),
    ],
)  # fmt: skip
def test_outputs_of_examples(name: str, expected: str) -> None:
    assert output_kind("examples", name) == output_kind("a matrix", name) == expected


def test_outputs_of_graphs() -> None:
    assert output_kind("a graph", "g") is TsvGraph
    assert output_kind("a graph", "g.parquet@3") is ParquetGraph
    with pytest.raises(UsageError, match=r"a graph is not written as .npy"):
        output_kind("a graph", "g.npy")


@pytest.mark.parametrize("name", ["o.tsv", "o.tsv.gz", "o.npz", "o.h5", "o.csv", "o.feather@2"])
def test_suffixes_of_other_formats_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"examples are not written as"):
        output_kind("examples", name)
