"""Embeddings that are the rows of matrices: their ids, and what is refused of them."""

from pathlib import Path

import numpy as np
import pytest

from nsl_tools.errors import DataError, UsageError
from nsl_tools.formats.matrices.npy import NpyEmbeddings
from nsl_tools.formats.skipped_records import SkippedRecords
from nsl_tools.options import BuildGraphOptions
from nsl_tools.statistics import Statistics
from nsl_tools.tuning import TUNING

MATRIX = np.arange(12, dtype=np.float32).reshape(4, 3)


def read(
    paths: list[str], statistics: Statistics | None = None, **options: object
) -> list[tuple[bytes, list[float]]]:
    skipped = SkippedRecords(statistics or Statistics())
    reader = NpyEmbeddings(paths, BuildGraphOptions(**options))  # type: ignore[arg-type]
    found = []
    for batch in reader.batches(skipped, np.empty):
        found += list(zip(batch.ids.to_pylist(), batch.vectors.tolist(), strict=True))
    return found


@pytest.mark.parametrize("block", [1, 30, 1 << 20])
def test_ids_are_the_numbers_of_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    """Counted over all files, those that are left out too."""
    monkeypatch.setattr(TUNING, "table_bytes", block)
    np.save(tmp_path / "a.npy", np.where(MATRIX == 4, np.nan, MATRIX))
    np.save(tmp_path / "b.npy", MATRIX.astype("i8") * (1 << 22))
    statistics = Statistics(max_errors=5)
    found = read([f"{tmp_path}/a.npy", f"{tmp_path}/b.npy"], statistics)
    assert [node for node, _ in found] == [b"0", b"2", b"3", b"4"]
    assert [vector for _, vector in found] == [*MATRIX[[0, 2, 3]].tolist(), [0, 1 << 22, 1 << 23]]
    assert [err.number for _, err in statistics.skipped] == [1, 1, 2, 3]
    assert "about 20971520, not exact in float32, at position 2" in str(statistics.skipped[1][1])


def test_ids_of_a_file_name_the_row(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", MATRIX)
    np.save(tmp_path / "ids.npy", ["a", "", "c", "d"])
    with pytest.raises(DataError, match=r"v\.npy: row 1: the id is empty \(row 1 of .*ids\.npy\)"):
        read([f"{tmp_path}/v.npy"], ids=f"{tmp_path}/ids.npy")


@pytest.mark.parametrize(("count", "problem"), [(3, "3 ids, expected one for"), (5, "5 ids, exp")])
def test_as_many_ids_as_rows(tmp_path: Path, count: int, problem: str) -> None:
    np.save(tmp_path / "v.npy", MATRIX)
    np.save(tmp_path / "ids.npy", np.arange(count))
    with pytest.raises(DataError, match=problem):
        read([f"{tmp_path}/v.npy"], ids=f"{tmp_path}/ids.npy")


@pytest.mark.parametrize("order", ["C", "F"])
def test_rows_too_large_for_the_memory(tmp_path: Path, order: str) -> None:
    np.save(tmp_path / "v.npy", np.zeros((2, 1 << 20), "i1", order))  # type: ignore[call-overload]
    with pytest.raises(
        UsageError, match=r"--memory-limit: expected at least 67\.1 MB for the rows"
    ):
        read([f"{tmp_path}/v.npy"], memory_limit=32 << 20)
