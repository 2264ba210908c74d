"""Arrow files and streams."""

import contextlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.errors import DataError
from nsl_tools.formats.tables.arrow_ipc import ArrowTable

OPENERS = {"file": pa.ipc.new_file, "stream": pa.ipc.new_stream}


def write(path: Path, table: pa.Table, how: str, rows: int, codec: str | None = None) -> Path:
    options = pa.ipc.IpcWriteOptions(compression=codec)
    with OPENERS[how](path, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rows)
    return path


def read(path: Path, columns: list[str], rows: int) -> list[dict[str, Any]]:
    with ArrowTable.opened(str(path)) as table:
        # Twice: each reading starts at the first row.
        assert len(list(table.batches(columns, 1))) == len(list(table.batches(columns, 1)))
        batches = list(table.batches(columns, rows))
    assert all(len(batch) <= rows for batch in batches)
    return [row for batch in batches for row in batch.to_pylist()]


@given(
    rows=st.lists(st.tuples(st.text() | st.none(), st.lists(st.integers(0, 9)) | st.none())),
    how=st.sampled_from(sorted(OPENERS)),
    sizes=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    codec=st.sampled_from([None, "lz4", "zstd"]),
)
def test_the_columns_that_are_asked_for(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str | None, list[int] | None]],
    how: str,
    sizes: tuple[int, int],
    codec: str | None,
) -> None:
    columns = {
        "id": pa.array([node for node, _ in rows], pa.string()),
        "other": pa.array([None] * len(rows), pa.int8()),
        "x": pa.array([numbers for _, numbers in rows], pa.list_(pa.int16())),
    }
    path = write(tmp_path_factory.mktemp("arrow") / "t", pa.table(columns), how, sizes[0], codec)
    found = read(path, ["x", "id"], sizes[1])
    assert found == [{"id": node, "x": numbers} for node, numbers in rows]


@pytest.mark.parametrize("how", sorted(OPENERS))
def test_damage_is_refused_or_harmless(tmp_path: Path, how: str) -> None:
    """No offset is believed that leads out of the file."""
    table = pa.table({"id": ["a", "bc", "d"], "x": [[1.0], [2.0, 3.0], None]})
    whole = write(tmp_path / "t", table, how, 2).read_bytes()
    for place in range(8, len(whole), 3):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        (tmp_path / "t").write_bytes(damaged)
        with contextlib.suppress(DataError, MemoryError, UnicodeDecodeError):
            read(tmp_path / "t", ["id", "x"], 2)
    for size in range(0, len(whole), 7):
        (tmp_path / "t").write_bytes(whole[:size])
        with contextlib.suppress(DataError):
            assert len(read(tmp_path / "t", ["id", "x"], 2)) in (0, 2, 3)
