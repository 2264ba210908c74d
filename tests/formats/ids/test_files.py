"""Files of ids in each of their forms."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from nsl_tools.errors import DataError
from nsl_tools.formats.ids.files import row_ids
from nsl_tools.statistics import Statistics
from nsl_tools.tuning import TUNING

IDS = ["a", "bcd", "é", "7"]


def read(path: str | None, count: int = 4, step: int = 3) -> list[bytes | None]:
    found: list[bytes | None] = []
    with row_ids(path, Statistics()) as ids:
        while len(found) < count and (block := ids.take(step).to_pylist()):
            found += block
    return found


@pytest.mark.parametrize("block", [1, 1 << 20])
def test_the_same_ids_in_every_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(TUNING, "table_bytes", block)
    (tmp_path / "ids.txt").write_text("\n".join(IDS) + "\n")
    np.save(tmp_path / "u.npy", IDS)
    np.save(tmp_path / "s.npy", [node.encode() for node in IDS])
    np.save(tmp_path / "big.npy", np.array(IDS, ">U5"))
    table = pa.table({"id": IDS, "key": IDS})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=2)
    pyarrow.feather.write_feather(table, str(tmp_path / "t.feather"))
    names = ["ids.txt", "u.npy", "s.npy", "big.npy", "t.parquet", "t.parquet:key", "t.feather:key"]
    for name in names:
        assert read(f"{tmp_path}/{name}") == [node.encode() for node in IDS]


@pytest.mark.parametrize("kind", ["<i8", ">u4", "u1"])
def test_numbers_are_decimal_text(tmp_path: Path, kind: str) -> None:
    np.save(tmp_path / "n.npy", np.array([3, 200], kind))
    assert read(f"{tmp_path}/n.npy") == [b"3", b"200"]
    assert read(None) == [b"0", b"1", b"2", b"3", b"4", b"5"]


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (np.array(["a", {}], object), "of '.O', .*; Python objects are not loaded: save array"),
        (np.array([1.5]), "of '<f8', expected a list of texts or whole numbers"),
        (np.array([["a"]]), r"shape \(1, 1\) of '<U1', expected a list"),
        (np.array([0xD800], "<u4").view("<U1"), "rows from 0: a text is not Unicode"),
    ],
)
def test_an_array_that_holds_no_ids(tmp_path: Path, array: np.ndarray, problem: str) -> None:
    np.save(tmp_path / "n.npy", array)
    with pytest.raises(DataError, match=problem):
        read(f"{tmp_path}/n.npy")


def test_an_array_that_is_cut(tmp_path: Path) -> None:
    np.save(tmp_path / "n.npy", np.arange(4))
    data = (tmp_path / "n.npy").read_bytes()
    (tmp_path / "n.npy").write_bytes(data[:-1])
    with pytest.raises(DataError, match="31 bytes of ids, expected 32: the file is cut"):
        read(f"{tmp_path}/n.npy")


@pytest.mark.parametrize(
    ("member", "problem"),
    [("", "no column 'id'"), (":x", "no column 'x'"), (":f", "column 'f' is of type double")],
)
def test_a_column_that_holds_no_ids(tmp_path: Path, member: str, problem: str) -> None:
    pq.write_table(pa.table({"f": [1.5]}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=problem):
        read(f"{tmp_path}/t.parquet{member}")


def test_a_text_has_no_columns(tmp_path: Path) -> None:
    (tmp_path / "ids").write_text("a\n")
    with pytest.raises(DataError, match="ids: is no Parquet or Arrow file, which had a column 'x'"):
        read(f"{tmp_path}/ids:x")
    (tmp_path / "ids:x").write_text("b\n")
    assert read(f"{tmp_path}/ids:x") == [b"b"]
