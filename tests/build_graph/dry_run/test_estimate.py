"""`build-graph --dry-run`: nothing is written, and what it says is what the run then does."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from estimating import clustered
from hypothesis import given, settings
from hypothesis import strategies as st
from support import write_examples

from nsl_tools.build_graph.dry_run.estimate import estimate_build_graph
from nsl_tools.build_graph.pipeline import build_graph
from nsl_tools.cli.commands import cli
from nsl_tools.errors import NslToolsError
from nsl_tools.options import BuildGraphOptions
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from pathlib import Path

    from nsl_tools.estimates.run_estimate import RunEstimate


pytestmark = pytest.mark.own_memory("an estimate is of the usual sizes")


def listing(folder: Path) -> list[tuple[str, int, int]]:
    """Return what is in a folder, and when it was changed."""
    states = [(entry.name, entry.stat()) for entry in os.scandir(folder)]
    return sorted((name, state.st_size, state.st_mtime_ns) for name, state in states)


def estimate_of(folder: Path, name: str, output: str = "g.tsv", **options: Any) -> RunEstimate:
    """Estimate, and see that nothing is written."""
    before = listing(folder)
    given = BuildGraphOptions(**options)
    paths = [str(folder / name)], str(folder / output)
    estimate = estimate_build_graph(*paths, given, (), Statistics())
    assert listing(folder) == before
    return estimate


@settings(max_examples=15)
@given(
    rows=st.integers(1, 400),
    width=st.integers(1, 20),
    k=st.sampled_from([1, 7, None]),
    threshold=st.sampled_from([-1.0, 0.5, 0.9]),
    output=st.sampled_from(["g.tsv", "g.parquet", "g.npz", "g.tsv.gz"]),
)
def test_what_headers_tell_is_exact_and_the_rest_is_near(
    tmp_path_factory: pytest.TempPathFactory,
    rows: int,
    width: int,
    k: int | None,
    threshold: float,
    output: str,
) -> None:
    folder = tmp_path_factory.mktemp("estimate")
    np.save(folder / "e.npy", clustered(rows, width, 20))
    estimate = estimate_of(folder, "e.npy", output, k=k, similarity_threshold=threshold)
    found = estimate.as_json()
    assert (found["nodes"], found["dimension"]) == (rows, width)
    assert found["fits"]
    assert found["time"] > 0
    options = BuildGraphOptions(k=k, similarity_threshold=threshold)
    path = folder / output
    statistics = build_graph([str(folder / "e.npy")], str(path), options)
    edges = statistics.counts["edges"]
    assert found["edges"] == pytest.approx(edges, rel=0.2, abs=5)
    fixed = 4000  # bytes of an empty file, which some formats have
    assert found["output"] == pytest.approx(path.stat().st_size, rel=0.25, abs=fixed)


def test_of_records_that_are_read_all_is_counted(tmp_path: Path) -> None:
    vectors = clustered(120, 6, 10).tolist()
    examples = ({"id": [b"n%d" % i], "embedding": v} for i, v in enumerate(vectors))
    write_examples(tmp_path / "e.tfr", examples)
    found = estimate_of(tmp_path, "e.tfr").as_json()
    assert found["nodes"] == 120
    build_graph([str(tmp_path / "e.tfr")], str(tmp_path / "g"), BuildGraphOptions())
    assert found["output"] == (tmp_path / "g").stat().st_size


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "e.npy").write_bytes(b"\x93NUMPY\x01\x00broken"),
        lambda folder: (folder / "e.npy").unlink(),
        lambda folder: np.save(folder / "e.npy", np.full((3, 2), np.nan, np.float32)),
        lambda folder: np.save(folder / "e.npy", np.empty((0, 2), np.float32)),
        lambda folder: (folder / "g.tsv").mkdir(),
        lambda folder: write_examples(folder / "g.tsv", [{"id": [b"a"]}]),
        lambda folder: (folder / "ids").write_bytes(b"a\nb\na\n"),
    ],
)
def test_what_is_wrong_is_said_in_the_words_of_the_run(tmp_path: Path, spoil: Any) -> None:
    np.save(tmp_path / "e.npy", np.ones((3, 2), np.float32))
    spoil(tmp_path)
    ids = str(tmp_path / "ids") if (tmp_path / "ids").exists() else None
    options = BuildGraphOptions(ids=ids)
    given = [str(tmp_path / "e.npy")], str(tmp_path / "g.tsv"), options
    with pytest.raises(NslToolsError) as expected:
        build_graph(*given)
    with pytest.raises(type(expected.value)) as found:
        estimate_build_graph(*given, (), Statistics())
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize(
    ("vectors", "options", "problem"),
    [
        (np.ones((2, 600_000), np.float32), {}, "--memory-limit: expected at least"),
        pytest.param(
            np.ones((1_200_000, 1), np.float32),
            {"k": 1},
            "--memory-limit: expected at least",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_does_not_fit_the_memory_is_a_problem(
    tmp_path: Path, vectors: np.ndarray, options: dict[str, Any], problem: str
) -> None:
    """In the words of the run."""
    np.save(tmp_path / "e.npy", vectors)
    estimate = estimate_of(tmp_path, "e.npy", memory_limit=32_000_000, **options)
    assert len(estimate.problems) == 1
    assert estimate.problems[0].startswith(problem)
    given = BuildGraphOptions(memory_limit=32_000_000, **options)
    with pytest.raises(NslToolsError) as err:
        build_graph([str(tmp_path / "e.npy")], str(tmp_path / "g"), given)
    if not options:
        assert str(err.value) == estimate.problems[0]


@pytest.mark.usefixtures("capsys")
def test_the_command_tells_people_and_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("e.npy", clustered(50, 4, 10))
    arguments = ["build-graph", "--dry-run", "--report", "r.json", "e.npy", "g.tsv"]
    assert cli.main(arguments, standalone_mode=False) == 0
    shown = capsys.readouterr().out
    assert all(len(line) <= 80 for line in shown.splitlines())
    assert shown.startswith("nodes      50\ndimension  4\nedges      ")
    assert shown.endswith("fits       yes\n")
    assert not (tmp_path / "g.tsv").exists()
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["estimate"]["nodes"] == 50
    assert report["exit_status"] == 0
    assert report["error"] is None


def test_the_exit_status_is_1_where_space_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("e.npy", clustered(500, 4, 10))
    fields = [1, 1, 1 << 20, 100, 100, *os.statvfs("/")[5:10]]
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(fields))
    assert cli.main(["build-graph", "--dry-run", "e.npy", "g.tsv"], standalone_mode=False) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "fits no missing g.tsv: cannot be written: expected at least" in shown
    assert shown.endswith("make room, or name another folder")
