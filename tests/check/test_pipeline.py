"""Whatever the commands would refuse is a fault, and what they take is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from support import write_examples

from nsl_tools.check.pipeline import check
from nsl_tools.cli.commands import cli
from nsl_tools.convert.pipeline import convert
from nsl_tools.options import CheckOptions, ConvertOptions
from nsl_tools.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path

    from s3_server import S3Server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a good file of each kind."""
    records = [{"id": [b"n%d" % i], "embedding": [0.5, float(i)]} for i in range(30)]
    write_examples(tmp_path / "x.tfr", records)
    for name in ("x.parquet", "x.npy", "x.tfr.gz", "s@3"):
        convert([f"{tmp_path}/x.tfr"], f"{tmp_path}/{name}", ConvertOptions())
    (tmp_path / "g.tsv").write_text("n1\tn2\t0.5\nn2\tn1\t0.5\n")
    convert([f"{tmp_path}/g.tsv"], f"{tmp_path}/g.parquet", ConvertOptions())
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = np.eye(3)
    return tmp_path


GOOD = ["x.tfr", "x.parquet", "x.npy", "x.tfr.gz", "s@3", "g.tsv", "g.parquet", "x.h5"]


def faults(folder: Path, *names: str, **options: object) -> list[str]:
    """Return the faults, without the name of the folder."""
    told: list[str] = []
    paths = [name if "://" in name else f"{folder}/{name}" for name in names]
    given = CheckOptions(**options)  # type: ignore[arg-type]
    found = check(paths, given, lambda fault: told.append(str(fault)))
    assert found.counts.get("faults", 0) == len(told)
    return [fault.replace(f"{folder}/", "") for fault in told]


@pytest.mark.parametrize("quick", [False, True])
def test_what_is_right_has_no_fault(folder: Path, quick: bool) -> None:
    assert faults(folder, *GOOD, quick=quick) == []
    progress = Progress("check", quiet=False)
    paths = [f"{folder}/{name}" for name in GOOD]
    told = check(paths, CheckOptions(quick=quick), lambda _: None, progress)
    assert [(p.name, p.done == p.expected > 1000) for p in progress.phases] == [("checking", True)]
    if quick:
        return
    assert told.counts == {"files": 10, "records": 4 * 30, "rows": 30 + 3, "edges": 2 * 2}


@pytest.mark.parametrize(
    ("name", "place", "said"),
    [
        ("x.tfr", 30, "x.tfr: record 0 at byte 0: "),
        ("x.tfr.gz", 60, "x.tfr.gz: compressed byte"),
        ("x.parquet", 40, "x.parquet: cannot be read as Parquet"),
        ("g.parquet", 8, "g.parquet: cannot be read as Parquet"),
        ("s-00001-of-00003", 40, "s-00001-of-00003: "),
    ],
)
def test_a_flipped_bit(folder: Path, name: str, place: int, said: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[place] ^= 4
    (folder / name).write_bytes(data)
    (found,) = faults(folder, name)
    assert found.startswith(said)


def test_each_file_has_its_fault(folder: Path) -> None:
    for index in (0, 2):
        path = folder / f"s-0000{index}-of-00003"
        path.write_bytes(path.read_bytes()[:-1])
    found = faults(folder, "s@3", "g.tsv")
    assert [fault.split(":")[0] for fault in found] == ["s-00000-of-00003", "s-00002-of-00003"]
    assert all("bytes long, expected" in fault for fault in found)
    assert faults(folder, "s@3", quick=True) == found


def test_what_is_missing(folder: Path) -> None:
    (folder / "s-00001-of-00003").unlink()
    assert faults(folder, "none", "s@3") == [
        "none: no such file", "s-00001-of-00003: shard missing from s@3"
    ]  # fmt: skip


def test_ids_occur_once_in_what_a_path_stands_for(folder: Path) -> None:
    records = [{"id": [b"a"]}, {"id": [b"b"]}, {"id": [b"a"]}]
    write_examples(folder / "d.tfr", records)
    (found,) = faults(folder, "d.tfr")
    assert found.startswith("d.tfr: record 2: the id 'a' has occurred before")
    assert faults(folder, "x.tfr", "x.parquet") == []
    (found,) = faults(folder, "x.tfr*")
    assert found.startswith("x.tfr.gz: record 0: the id 'n0' has occurred before (and 29 more)")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\tb\tx\n", "g.tsv: line 1"),
        ("a\tb\t1\nc\n", "g.tsv: line 2"),
    ],
)
def test_lines_of_graphs(folder: Path, text: str, said: str) -> None:
    (folder / "g.tsv").write_text(text)
    (found,) = faults(folder, "g.tsv")
    assert found.startswith(said)


def test_rows_that_are_not_finite(folder: Path) -> None:
    np.save(folder / "x.npy", np.array([[1.0, 2.0], [np.nan, 0.0]]))
    (found,) = faults(folder, "x.npy")
    assert found.startswith("x.npy: row 1: ")
    pd.DataFrame({"x": [1]}).to_parquet(folder / "x.parquet")
    (found,) = faults(folder, "x.parquet")
    assert found.startswith("x.parquet: no column 'id'")


def test_the_exit_status_tells(folder: Path) -> None:
    done = CliRunner().invoke(cli, ["check", *(f"{folder}/{name}" for name in GOOD)])
    assert done.exit_code == 0, done.output
    (folder / "x.tfr").write_bytes(b"x")
    done = CliRunner().invoke(cli, ["check", f"{folder}/x.tfr"], standalone_mode=False)
    assert done.return_value == 1
    assert "check: error: " in done.output
    assert "check: 1 files, 1 faults" in done.output


def test_files_of_a_store(s3: S3Server, folder: Path) -> None:
    url = s3.put("x.tfr", (folder / "x.tfr").read_bytes())
    assert faults(folder, url) == []
    s3.put("x.tfr", (folder / "x.tfr").read_bytes()[:-2])
    (found,) = faults(folder, url)
    assert found.startswith("s3://box/x.tfr: record 29 at byte ")
