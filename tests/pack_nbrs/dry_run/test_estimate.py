"""`pack-nbrs --dry-run`: nothing is written, and what it says is what the run then does."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packing_inputs import write_inputs
from support import write_examples

from nsl_tools.cli.commands import cli
from nsl_tools.errors import NslToolsError
from nsl_tools.options import PackOptions
from nsl_tools.pack_nbrs.dry_run import counting
from nsl_tools.pack_nbrs.dry_run.estimate import estimate_pack_nbrs
from nsl_tools.pack_nbrs.pipeline import pack_nbrs
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from pathlib import Path

    from nsl_tools.estimates.run_estimate import RunEstimate


pytestmark = pytest.mark.own_memory("an estimate is of the usual sizes")


def listing(folder: Path) -> list[tuple[str, int, int]]:
    """Return what is in a folder, and when it was changed."""
    states = [(entry.name, entry.stat()) for entry in os.scandir(folder)]
    return sorted((name, state.st_size, state.st_mtime_ns) for name, state in states)


def estimate_of(folder: Path, paths: list[str], output: str = "out", **options: Any) -> RunEstimate:
    """Estimate, and see that nothing is written."""
    before = listing(folder)
    given = PackOptions(**options)
    estimate = estimate_pack_nbrs(*paths, str(folder / output), given, Statistics())
    assert listing(folder) == before
    return estimate


@settings(max_examples=15)
@given(
    nodes=st.integers(3, 250),
    edges=st.integers(0, 6),
    limit=st.sampled_from([0, 1, 3, 12]),
    seed_unlabeled=st.booleans(),
    both=st.booleans(),
    shuffled=st.booleans(),
    output=st.sampled_from(["out", "out.gz", "out.parquet"]),
)
def test_counts_are_exact_and_bytes_are_near(
    tmp_path_factory: pytest.TempPathFactory,
    *,
    nodes: int,
    edges: int,
    limit: int,
    seed_unlabeled: bool,
    both: bool,
    shuffled: bool,
    output: str,
) -> None:
    """Where inputs are read whole."""
    folder = tmp_path_factory.mktemp("estimate")
    paths = write_inputs(folder, nodes, edges, shuffled=shuffled)
    options = {
        "max_neighbors": limit,
        "seed_unlabeled": seed_unlabeled,
        "add_undirected_edges": both,
        "allow_empty": True,
    }
    found = estimate_of(folder, paths, output, **options).as_json()
    statistics = pack_nbrs(*paths, str(folder / output), PackOptions(**options))
    counts = statistics.counts
    assert found["labeled_examples"] == counts["labeled examples"]
    assert found["unlabeled_examples"] == counts["unlabeled examples"]
    assert found["edges"] == counts["edges"]
    assert found["neighbours_packed"] == counts["neighbours packed"]
    assert found["fits"]
    size = (folder / output).stat().st_size
    # Few seeds are all packed: but what is written at the end is there once.
    fixed = 0 if output == "out" else 6000
    assert found["output"] == pytest.approx(size, rel=0.25, abs=fixed)


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("limit", [2, 20, None])
@pytest.mark.parametrize("both", [False, True])
def test_a_part_of_the_inputs_tells_about_all(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    shuffled: bool,
    limit: int | None,
    both: bool,
) -> None:
    paths = write_inputs(tmp_path, 2400, 5, shuffled=shuffled)
    options = {"max_neighbors": limit, "add_undirected_edges": both}
    monkeypatch.setattr(counting, "most_bytes", lambda _: 170_000)
    found = estimate_of(tmp_path, paths, **options).as_json()
    statistics = pack_nbrs(*paths, str(tmp_path / "out"), PackOptions(**options))
    counts = statistics.counts
    assert found["labeled_examples"] == pytest.approx(counts["labeled examples"], rel=0.1)
    assert found["unlabeled_examples"] == pytest.approx(counts["unlabeled examples"], rel=0.1)
    assert found["edges"] == pytest.approx(counts["edges"], rel=0.1)
    assert found["neighbours_packed"] == pytest.approx(counts["neighbours packed"], rel=0.3)
    assert found["output"] == pytest.approx((tmp_path / "out").stat().st_size, rel=0.25)


def spoilt_graph(folder: Path) -> None:
    (folder / "graph").write_text("a\tb\tmuch\n")


def repeated(folder: Path) -> None:
    write_examples(folder / "labeled", [{"id": [b"a"]}, {"id": [b"a"]}])


def without_id(folder: Path) -> None:
    write_examples(folder / "unlabeled", [{"x": [b"a"]}])


@pytest.mark.parametrize(
    "spoil",
    [
        spoilt_graph,
        repeated,
        without_id,
        lambda folder: (folder / "labeled").write_bytes(b"no record"),
        lambda folder: (folder / "graph").unlink(),
        lambda folder: (folder / "graph").write_bytes(b""),
        lambda folder: (folder / "out").mkdir(),
    ],
)
def test_what_is_wrong_is_said_in_the_words_of_the_run(tmp_path: Path, spoil: Any) -> None:
    paths = write_inputs(tmp_path, 30)
    spoil(tmp_path)
    given = *paths, str(tmp_path / "out"), PackOptions()
    with pytest.raises(NslToolsError) as expected:
        pack_nbrs(*given)
    with pytest.raises(type(expected.value)) as found:
        estimate_pack_nbrs(*given, Statistics())
    assert str(found.value) == str(expected.value)


def test_neighbours_that_do_not_fit_the_memory_are_a_problem(tmp_path: Path) -> None:
    """In the words of the run."""
    examples = [{"id": [b"%d" % i], "x": [b"x" * 90_000]} for i in range(220)]
    paths = [write_examples(tmp_path / "l", examples), "", str(tmp_path / "g")]
    (tmp_path / "g").write_text("".join(f"0\t{i}\t1\n" for i in range(1, 220)))
    estimate = estimate_of(tmp_path, paths, memory_limit=32_000_000)
    with pytest.raises(NslToolsError, match="--memory-limit: expected about") as err:
        pack_nbrs(*paths, str(tmp_path / "out"), PackOptions(memory_limit=32_000_000))
    assert estimate.problems == [str(err.value)]


def test_the_command_tells_people_and_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_inputs(tmp_path, 30)
    given = ["pack-nbrs", "--dry-run", "--report", "r.json", "labeled", "unlabeled", "graph", "out"]
    assert cli.main(given, standalone_mode=False) == 0
    shown = capsys.readouterr().out
    assert all(len(line) <= 80 for line in shown.splitlines())
    assert shown.startswith("labeled examples    10\nunlabeled examples  20\n")
    assert shown.endswith("fits                yes\n")
    assert not (tmp_path / "out").exists()
    assert json.loads((tmp_path / "r.json").read_text())["estimate"]["labeled_examples"] == 10
    fields = [1, 1, 1 << 20, 100, 100, *os.statvfs("/")[5:10]]
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(fields))
    again = ["pack-nbrs", "--dry-run", "labeled", "unlabeled", "graph", "out.gz"]
    assert cli.main(again, standalone_mode=False) == 1
    assert "missing             out.gz: cannot be written: expected" in capsys.readouterr().out
