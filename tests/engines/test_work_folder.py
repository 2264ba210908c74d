"""Files that tasks leave for each other: whole, or refused; nothing is left of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from nsl_tools.engines.work_folder import WorkError, work_folder, work_folder_of, write_work
from nsl_tools.errors import UsageError
from nsl_tools.options import BuildGraphOptions


def test_what_is_written_is_read_from_any_place(tmp_path: Path) -> None:
    matrix = np.arange(30, dtype=np.float32).reshape(10, 3)
    file = write_work(str(tmp_path), "m", [matrix[:4], matrix[4:, ::1]])
    found = np.empty((5, 3), np.float32)
    file.fill(found, [(8, 2), (0, 3)])
    assert found.tolist() == matrix[[8, 9, 0, 1, 2]].tolist()


def test_each_attempt_writes_a_file_of_its_own(tmp_path: Path) -> None:
    files = [write_work(str(tmp_path), "m", [np.arange(3)]) for _ in range(2)]
    assert len({file.path for file in files}) == 2


def test_a_file_that_is_cut_or_gone_is_refused(tmp_path: Path) -> None:
    file = write_work(str(tmp_path), "m", [np.arange(3)])
    with Path(file.path).open("r+b") as stream:
        stream.truncate(16)
    with pytest.raises(WorkError, match="16 bytes long, expected 24"):
        file.fill(np.empty(1, np.int64), [(0, 1)])
    Path(file.path).unlink()
    with pytest.raises(WorkError, match=r"No such file.*name a folder that all machines see"):
        file.fill(np.empty(1, np.int64), [(0, 1)])


def test_a_failed_attempt_leaves_nothing(tmp_path: Path) -> None:
    def parts() -> object:
        yield np.arange(3)
        raise KeyError

    with pytest.raises(KeyError):
        write_work(str(tmp_path), "m", parts())  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_the_folder_goes_with_all_it_holds(tmp_path: Path) -> None:
    with work_folder(str(tmp_path), Counter()) as folder:
        write_work(folder, "m", [np.arange(3)])
        assert list(tmp_path.iterdir()) == [Path(folder)]
    assert not list(tmp_path.iterdir())


def test_it_is_beside_the_output_or_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    for work_dir, output, expected in (
        (None, "graph", tmp_path),
        (None, "there/graph", tmp_path / "there"),
        ("there", "-", tmp_path / "there"),
        ("there", "s3://bucket/graph", tmp_path / "there"),
    ):
        options = BuildGraphOptions(engine="spark", work_dir=work_dir)
        with work_folder_of(output, options, Counter()) as folder:
            assert Path(folder).parent == expected


@pytest.mark.parametrize("output", ["-", "s3://bucket/graph"])
def test_an_output_that_is_in_no_folder_needs_one(output: str) -> None:
    with (
        pytest.raises(UsageError, match="--work-dir: expected a folder"),
        work_folder_of(output, BuildGraphOptions(engine="spark"), Counter()),
    ):
        pass


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="No such file"), work_folder(f"{tmp_path}/x", Counter()):
        pass
