"""Examples from one format to another, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from support import read_payloads

from nsl_tools.cli.commands import cli
from nsl_tools.convert.pipeline import convert
from nsl_tools.errors import DataError, UsageError
from nsl_tools.files.publishing import OutputError
from nsl_tools.formats.example_writer import write_examples
from nsl_tools.options import ConvertOptions

if TYPE_CHECKING:
    from pathlib import Path

RANDOM = np.random.default_rng(0)
ROWS: list[dict[str, Any]] = [
    {
        "id": f"n{i}", "x": float(RANDOM.integers(0, 9)) / 8, "n": i - 5, "text": "é" * (i % 3),
        "words": list(range(1 + i % 4)),
    }
    for i in range(23)
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the same rows in each format."""
    frame = pd.DataFrame(ROWS)
    write_examples(f"{tmp_path}/a.tfr", ROWS)
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_feather(tmp_path / "a.feather")
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True, force_ascii=False)
    return tmp_path


def converted(folder: Path, *names: str, to: str, **options: Any) -> Path:
    inputs = [f"{folder}/{name}" for name in names]
    found = convert(inputs, f"{folder}/{to}", ConvertOptions(**options))
    assert found.counts["examples"] == len(ROWS) * len(names)
    return folder / to


@pytest.mark.parametrize("name", ["a.tfr", "a.parquet", "a.feather", "a.jsonl"])
def test_every_format_gives_the_same_records(folder: Path, name: str) -> None:
    found = converted(folder, name, to="out.tfr")
    assert found.read_bytes() == (folder / "a.tfr").read_bytes()


@pytest.mark.parametrize("name", ["a.tfr", "a.parquet", "a.feather", "a.jsonl"])
def test_every_format_gives_the_same_table(folder: Path, name: str) -> None:
    """Of TFRecord, whose bytes may be anything, columns of bytes."""
    table = pq.read_table(converted(folder, name, to="out.parquet"))
    rows = table.to_pylist()
    if name == "a.tfr":
        rows = [{**row, "id": row["id"].decode(), "text": row["text"].decode()} for row in rows]
    assert rows == ROWS


def test_csv_gives_what_it_holds(folder: Path) -> None:
    frame = pd.DataFrame(ROWS).drop(columns="words")
    frame.to_csv(folder / "a.csv", index=False)
    assert pq.read_table(converted(folder, "a.csv", to="out.parquet")).to_pylist() == frame.to_dict(
        "records"
    )


def test_files_follow_each_other_into_shards(folder: Path) -> None:
    """Of several formats, too."""
    converted(folder, "a.parquet", "a.tfr", to="out.tfr@4")
    shards = sorted(folder.glob("out.tfr-*"))
    counts = [len(read_payloads(path)) for path in shards]
    assert counts == [11, 12, 11, 12]
    records = [payload for path in shards for payload in read_payloads(path)]
    assert records == read_payloads(folder / "a.tfr") * 2


@pytest.mark.parametrize("suffix", [".tfr", ".parquet"])
@pytest.mark.parametrize("gone", [(0,), (3,), (1, 2), (0, 2), (0, 1, 2, 3)])
def test_what_is_done_is_kept(folder: Path, suffix: str, gone: tuple[int, ...]) -> None:
    options = ConvertOptions(resume=True)
    given = [f"{folder}/a.parquet"], f"{folder}/out{suffix}@4", options
    convert(*given)
    shards = sorted(folder.glob(f"out{suffix}-*"))
    right = [path.read_bytes() for path in shards]
    for number in gone:
        shards[number].unlink()
    assert convert(*given).counts["shards kept"] == 4 - len(gone)
    assert [path.read_bytes() for path in shards] == right


def test_records_are_compressed_and_tables_are_not(folder: Path) -> None:
    assert converted(folder, "a.tfr", to="out.tfr.gz").read_bytes().startswith(b"\x1f\x8b")
    with pytest.raises(UsageError, match=r"--compression: expected none for .*out\.parquet"):
        converted(folder, "a.tfr", to="out.parquet", compression="gzip")
    with pytest.raises(UsageError, match=r"records are compressed as \.gz, or not, received .zst"):
        converted(folder, "a.tfr", to="out.tfr.zst")


def test_what_is_wrong_is_said_and_nothing_is_written(folder: Path) -> None:
    data = bytearray((folder / "a.tfr").read_bytes())
    data[-1] ^= 1
    (folder / "bad.tfr").write_bytes(data)
    for to in ("out.tfr", "out.parquet"):
        with pytest.raises(
            DataError, match=r"bad\.tfr: record 22 at byte [0-9]+: the content does"
        ):
            converted(folder, "a.tfr", "bad.tfr", to=to)
        assert not (folder / to).exists()
    with pytest.raises(UsageError, match="the output is also an input"):
        converted(folder, "a.tfr", to="a.tfr")
    with pytest.raises(OutputError, match="there is no folder"):
        converted(folder, "a.tfr", to="gone/out.tfr")
    (folder / "empty.tfr").touch()
    with pytest.raises(DataError, match="no record: give --allow-empty"):
        converted(folder, "empty.tfr", to="out.tfr")


def test_the_command(folder: Path) -> None:
    found = CliRunner().invoke(cli, ["convert", "-q", f"{folder}/a.parquet", f"{folder}/out.tfr"])
    assert (found.exit_code, found.output) == (0, "")
    assert (folder / "out.tfr").read_bytes() == (folder / "a.tfr").read_bytes()


@pytest.mark.parametrize("given", [{"max_errors": 1}, {"on_duplicate": "first"}])
def test_options_that_would_leave_something_out_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="since convert leaves nothing out, received"):
        ConvertOptions(**given)
