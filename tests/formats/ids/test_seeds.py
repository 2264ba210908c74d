"""The ids of seeds, in each of their forms."""

import gzip
import os
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import write_examples

from nsl_tools.errors import DataError
from nsl_tools.formats.ids.seeds import SeedIds
from nsl_tools.options import BuildGraphOptions
from nsl_tools.statistics import Statistics

IDS = [b"b", b"a", b"17"]


def read(
    *paths: str, column: str | None = None, statistics: Statistics | None = None, **options: object
) -> list[bytes]:
    seeds = SeedIds(paths, column, BuildGraphOptions(**options))  # type: ignore[arg-type]
    found: list[bytes] = seeds.read(statistics or Statistics()).to_pylist()
    return found


def test_the_same_seeds_in_every_form(tmp_path: Path) -> None:
    """One after the other, too."""
    texts = [node.decode() for node in IDS]
    write_examples(tmp_path / "s.tfr", [{"id": [node]} for node in IDS])
    (tmp_path / "s").write_bytes(b"\n".join(IDS) + b"\n")
    np.save(tmp_path / "s.npy", texts)
    pq.write_table(pa.table({"id": texts}), tmp_path / "s.parquet")
    for name in ("s.tfr", "s", "s.npy", "s.parquet"):
        assert read(f"{tmp_path}/{name}") == IDS
    write_examples(tmp_path / "t.tfr", [{"id": [b"c"]}])
    assert read(f"{tmp_path}/s", f"{tmp_path}/t.tfr") == [*IDS, b"c"]


def test_a_feature_or_column_of_another_name(tmp_path: Path) -> None:
    write_examples(tmp_path / "s.tfr", [{"key": [b"x"]}])
    pq.write_table(pa.table({"key": [5]}), tmp_path / "s.parquet")
    assert read(f"{tmp_path}/s.tfr", f"{tmp_path}/s.parquet", id_feature="key") == [b"x", b"5"]


def test_a_repeated_seed_is_refused_or_dropped(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"a\nb\na\n")
    with pytest.raises(DataError, match="s: line 3: the id 'a' has occurred before"):
        read(f"{tmp_path}/s")
    assert read(f"{tmp_path}/s", on_duplicate="last") == [b"b", b"a"]


@pytest.mark.parametrize(
    ("values", "problem"),
    [(["a", None], r"s\.parquet: row 1: the id is missing"), (["a\tb"], "row 0: the id .* tab")],
)
def test_an_id_that_is_none(tmp_path: Path, values: list[str], problem: str) -> None:
    pq.write_table(pa.table({"id": values}), tmp_path / "s.parquet")
    with pytest.raises(DataError, match=problem):
        read(f"{tmp_path}/s.parquet")


def test_a_blank_line_is_no_id(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"a\n\nc\n")
    with pytest.raises(DataError, match="s: line 2: the id is empty"):
        read(f"{tmp_path}/s")


def test_no_seed_at_all(tmp_path: Path) -> None:
    (tmp_path / "s.tfr").write_bytes(b"")
    with pytest.raises(DataError, match="no record: give --allow-empty"):
        read(f"{tmp_path}/s.tfr")
    assert read(f"{tmp_path}/s.tfr", allow_empty=True) == []


def test_lists_are_compressed_or_come_from_pipes(tmp_path: Path) -> None:
    data = b"\n".join(IDS) + b"\n"
    (tmp_path / "s.gz").write_bytes(gzip.compress(data))
    assert read(f"{tmp_path}/s.gz") == IDS
    write_examples(tmp_path / "s.tfr", [{"id": [node]} for node in IDS])
    records = (tmp_path / "s.tfr").read_bytes()
    for content in (data, records, gzip.compress(records)):
        os.mkfifo(path := tmp_path / "pipe")
        writer = threading.Thread(target=path.write_bytes, args=(content,))
        writer.start()
        assert read(str(path)) == IDS
        writer.join()
        path.unlink()


@pytest.mark.parametrize("start", ["80", "HK", "XG", "hb", "x^", "x\x01"])
def test_a_text_may_start_as_zlib_does(tmp_path: Path, start: str) -> None:
    """Of which two bytes are no sign."""
    names = [f"{start}{i}" for i in range(2000)]
    (tmp_path / "s").write_text("\n".join(names) + "\n")
    assert read(f"{tmp_path}/s") == [node.encode() for node in names]


def test_a_column_is_that_of_a_table(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a"], "key": ["b"]}), tmp_path / "s.parquet")
    assert read(f"{tmp_path}/s.parquet", column="key") == [b"b"]
    (tmp_path / "s").write_bytes(b"a\n")
    with pytest.raises(DataError, match="s: is no table, which had a column 'key'"):
        read(f"{tmp_path}/s", column="key")
