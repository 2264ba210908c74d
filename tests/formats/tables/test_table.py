"""Columns of tables, and the memory that reading them takes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nsl_tools.errors import DataError
from nsl_tools.formats.tables.arrow_ipc import ArrowTable
from nsl_tools.formats.tables.table import (
    arrow_errors_as_data_errors,
    bounded,
    column,
    storage_type,
)


def test_an_extension_is_taken_off() -> None:
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(np.eye(2, dtype=np.float32))
    batch = pa.record_batch({"plain": [1, 2], "tensor": tensors})
    assert storage_type(tensors.type) == pa.list_(pa.float32(), 2)
    assert storage_type(pa.int8()) == pa.int8()
    assert column(batch, "tensor").type == pa.list_(pa.float32(), 2)
    assert column(batch, "plain").to_pylist() == [1, 2]


@pytest.mark.parametrize(("name", "problem"), [("c", "no column 'c', .* a, b, b"), ("b", "2 col")])
def test_a_column_has_one_name(
    tmp_path_factory: pytest.TempPathFactory, name: str, problem: str
) -> None:
    path = tmp_path_factory.mktemp("tables") / "t"
    batch = pa.RecordBatch.from_arrays([pa.array([i]) for i in range(3)], ["a", "b", "b"])
    with pa.ipc.new_file(path, batch.schema) as writer:
        writer.write_batch(batch)
    with ArrowTable.opened(str(path)) as table:
        assert table.column_type("a") == pa.int64()
        with pytest.raises(DataError, match=problem):
            table.column_type(name)


@pytest.mark.parametrize(
    ("raised", "problem"),
    [
        (pa.ArrowInvalid("odd"), "f: cannot be read as Arrow: odd"),
        (OSError("gone"), "f: cannot be read as Arrow: gone"),
        (UnicodeDecodeError("utf-8", b"", 0, 1, ""), "f: the name of a column is not UTF-8"),
    ],
)
def test_what_pyarrow_says(raised: Exception, problem: str) -> None:
    with pytest.raises(DataError, match=problem), arrow_errors_as_data_errors("f", "Arrow"):
        raise raised


@pytest.mark.parametrize(
    "raised", [MemoryError(), pa.ArrowMemoryError(), OSError("Python exception: MemoryError\n")]
)
def test_memory_is_told_from_damage(raised: Exception) -> None:
    """Also where it is raised by what Arrow reads from, and comes as another error."""
    with pytest.raises(MemoryError), arrow_errors_as_data_errors("f", "Arrow"):
        raise raised


def test_memory_is_bounded() -> None:
    before = pa.default_memory_pool().backend_name
    with pytest.raises((MemoryError, pa.ArrowMemoryError)), bounded(1 << 20):
        pa.allocate_buffer(1 << 30)
    assert pa.default_memory_pool().backend_name == before


@pytest.mark.own_memory("sets the limit")
@pytest.mark.parametrize("limit", ["64MB", "1GB", "1080MB"])
def test_what_arrow_reserves_is_not_counted(tmp_path: Path, limit: str) -> None:
    """A GiB at once, of which little is in use: no limit may be met by that."""
    random, rows = np.random.default_rng(0), 33_333
    numbers = pa.array(random.random(64 * rows, np.float32))
    columns = {
        "id": [f"document {i}" for i in range(rows)],
        "vector": pa.ListArray.from_arrays(range(0, 64 * rows + 1, 64), numbers),
        "title": ["x" * n for n in random.integers(0, 80, rows).tolist()],
    }
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    (tmp_path / "g.tsv").write_text("document 1\tdocument 2\t1\n")
    command = [sys.executable, "-m", "nsl_tools", "pack-nbrs", "-q", "--max-nbrs=2"]
    command.append(f"--memory-limit={limit}")
    paths = [f"{tmp_path}/x.parquet", "", f"{tmp_path}/g.tsv", f"{tmp_path}/out.parquet"]
    done = subprocess.run([*command, *paths], check=False, capture_output=True, text=True)
    assert "memory" not in done.stderr
    assert done.returncode == 0
