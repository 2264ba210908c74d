"""Which format a table has."""

from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from nsl_tools.errors import DataError
from nsl_tools.formats.tables.arrow_ipc import ArrowTable
from nsl_tools.formats.tables.opening import is_table, opened_table
from nsl_tools.formats.tables.parquet import ParquetTable

TABLE = pa.table({"a": [1, 2, 3]})


@pytest.mark.parametrize("suffix", ["", ".parquet", ".arrow", ".tfr"])
def test_content_goes_before_the_name(tmp_path: Path, suffix: str) -> None:
    pq.write_table(TABLE, tmp_path / f"p{suffix}")
    pyarrow.feather.write_feather(TABLE, str(tmp_path / f"f{suffix}"))
    for name, kind in (("p", ParquetTable), ("f", ArrowTable)):
        path = str(tmp_path / f"{name}{suffix}")
        assert is_table(path)
        with opened_table(path) as table:
            assert type(table) is kind
            assert sum(map(len, table.batches(["a"], 2))) == 3


@pytest.mark.parametrize(
    ("name", "problem"), [("x.parquet", "as Parquet"), ("x.feather", "as Arrow"), ("x", "as Parq")]
)
def test_a_file_that_is_none_is_what_its_name_says(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / name).write_bytes(b"neither of them, and long enough")
    assert is_table(str(tmp_path / name)) == ("." in name)
    with pytest.raises(DataError, match=problem), opened_table(str(tmp_path / name)):
        pass
