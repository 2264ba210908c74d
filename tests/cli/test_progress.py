"""What commands show of their progress: on terminals, in logs, with --verbose and --quiet."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support import write_examples
from terminal import terminal

from nsl_tools.cli.commands import cli
from nsl_tools.errors import DataError, UsageError
from nsl_tools.progress import Progress, reporting
from nsl_tools.progress.views import LineView

if TYPE_CHECKING:
    from pathlib import Path

NODES = 3000
PHASES = {
    "build-graph": {"reading", "comparing", "writing"},
    "pack-nbrs": {"ids", "edges", "planning", "neighbours", "packing"},
    "spread-labels": {"labels", "edges", "sorting", "spreading", "writing"},
    "convert": {"counting", "writing"},
    "check": {"checking"},
    "inspect": {"reading"},
}
"""What each command may show."""
pytestmark = pytest.mark.own_memory("says what is in memory, and how long things take")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Examples with an id, an embedding and a label, and their graph."""
    folder, random = tmp_path_factory.mktemp("progress"), np.random.default_rng(0)
    centers = random.normal(size=(100, 16))
    vectors = centers[random.integers(0, 100, NODES)] + 0.3 * random.normal(size=(NODES, 16))
    examples = [
        {"id": [b"n%d" % i], "embedding": vector, "label": [i % 3]}
        for i, vector in enumerate(vectors.tolist())
    ]
    write_examples(folder / "e.tfr", examples)
    write_examples(folder / "few.tfr", examples[:100])
    cli.main(["build-graph", "-q", f"{folder}/e.tfr", f"{folder}/g.tsv"], standalone_mode=False)
    return folder


def arguments(command: str, folder: Path, output: Path) -> list[str]:
    """Return a command line."""
    examples, few, graph = (f"{folder}/{name}" for name in ("e.tfr", "few.tfr", "g.tsv"))
    rest = {
        "build-graph": [examples, f"{output}/out"],
        "pack-nbrs": [examples, "", graph, f"{output}/out"],
        "spread-labels": [few, graph, f"{output}/out"],
        "convert": [examples, f"{output}/out"],
        "check": [examples],
        "inspect": ["--embedding-feature-name=other", examples],
    }
    return [command, *rest[command]]


def run(*args: str) -> None:
    """Run a command in this process."""
    cli.main(list(args), standalone_mode=False)


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("command", PHASES)
def test_a_bar_fits_the_terminal_and_is_gone_at_the_end(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, columns: int
) -> None:
    monkeypatch.setattr(Progress, "refresh_seconds", 0.0005)
    for _ in range(20):  # on a busy machine, a run may end before its thread has its turn
        with monkeypatch.context() as patch, terminal(columns) as found:
            patch.setattr(sys, "stderr", found.stream)
            run(*arguments(command, folder, tmp_path))
        if any("%|" in bar for bar in found.drawn):
            break
    # A bar that is wider than the terminal would have left a line.
    assert "".join(found.screen).count(f"{command}: ") == (command != "inspect")
    assert "|" not in "".join(found.screen)
    names = [bar.removeprefix(f"{command}: ") for bar in found.drawn]
    shown = {name for name in PHASES[command] if any(bar.startswith(name) for bar in names)}
    assert shown, found.drawn
    bars = [bar for bar in names if "%|" in bar]
    assert bars, found.drawn
    assert all(re.match(r"[a-z ]+ +\d+%\|.*\|", bar) for bar in bars)


class Soon(LineView):
    """A log whose first line comes at once."""

    def __init__(self, command: str, stream: object, began: float) -> None:
        super().__init__(command, stream, began - 10)  # type: ignore[arg-type]


@pytest.mark.parametrize("command", PHASES)
def test_a_log_has_a_line_of_the_phase(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    """And no more than one in half a minute."""
    monkeypatch.setattr(Progress, "refresh_seconds", 0.0005)
    monkeypatch.setattr(reporting, "LineView", Soon)
    run(*arguments(command, folder, tmp_path))
    said = capsys.readouterr().err.splitlines()
    lines = [line for line in said if line.startswith(f"{command}: ") and " so far" in line]
    assert len(lines) == 1, said
    assert lines[0].split(": ")[1] in PHASES[command] | {"reading"}  # of no table


@pytest.mark.parametrize("command", PHASES)
def test_verbosely_phases_and_decisions_are_told_at_the_end(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    run(*arguments(command, folder, tmp_path), "-v")
    said = capsys.readouterr().err.splitlines()
    times = r"\d+\.\d s to \d+\.\d s, [\d.]+ ?\w+.*"
    phases = {
        line.split(": ")[1] for line in said if re.fullmatch(rf"[a-z-]+: [a-z ]+: {times}", line)
    }
    assert phases | ({"edges"} & PHASES[command]) == PHASES[command]  # all may be read ahead
    decisions = [line.split(": ")[1] for line in said if line.split(": ")[1] not in phases]
    expected = {"build-graph": ["search", "threads", "products", "vectors"]}
    expected["pack-nbrs"] = ["records", "index of ids", "best edges", "seeds"]
    expected["spread-labels"] = ["matrix", "classes"]
    told = [name for name in decisions if name in expected.get(command, [])]
    assert told == expected.get(command, [])
    assert "peak memory" in decisions


def test_quietly_nothing_is_said(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in PHASES:
        run(*arguments(command, folder, tmp_path), "--quiet")
    assert capsys.readouterr().err == ""


def test_the_library_of_bars_is_loaded_for_bars_alone(folder: Path, tmp_path: Path) -> None:
    """It takes longer to import than many runs take."""
    program = (
        "import sys\n"
        "from nsl_tools.cli.commands import cli\n"
        "cli.main(sys.argv[1:], standalone_mode=False)\n"
        "assert 'tqdm' not in sys.modules"
    )
    command = [sys.executable, "-c", program, *arguments("pack-nbrs", folder, tmp_path)]
    subprocess.run(command, check=True, capture_output=True)


def test_less_and_more_are_not_said_together(folder: Path, tmp_path: Path) -> None:
    for command in PHASES:
        with pytest.raises(UsageError, match="--verbose: expected none with --quiet"):
            run(*arguments(command, folder, tmp_path), "-q", "-v")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("limit", ["1GB", "32MB"])
def test_copying_neighbours_counts_as_work(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], limit: str
) -> None:
    """Where they are copied for some ranges of seeds: half as much as reading, at most."""
    random = np.random.default_rng(0)
    sizes = (4000 * random.pareto(1.5, 4000)).astype(int).clip(0, 30_000).tolist()
    examples = [{"id": [b"%d" % i], "x": [bytes(size)]} for i, size in enumerate(sizes)]
    write_examples(tmp_path / "e", examples)
    edges = [f"{i}\t{j}\t0.5\n" for i in range(4000) for j in random.integers(0, 4000, 4)]
    (tmp_path / "g").write_text("".join(edges))
    paths = [f"{tmp_path}/{name}" for name in ("e", "g", "out")]
    run("pack-nbrs", "-v", f"--memory-limit={limit}", paths[0], "", *paths[1:])
    err = capfd.readouterr().err
    copied = "copied to scratch files for each" in err
    assert copied == (limit != "1GB")
    told = re.search(r"neighbours: .*, ([0-9.]+)k (steps|records), ", err)
    assert told is not None
    assert told[2] == ("steps" if copied else "records")
    assert 5 < float(told[1]) <= 6 if copied else float(told[1]) == 4


def test_a_failure_leaves_no_bar(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = (folder / "e.tfr").read_bytes()
    (tmp_path / "cut").write_bytes(data[: len(data) - 9])
    monkeypatch.setattr(Progress, "refresh_seconds", 0.0005)
    with terminal(80) as found:
        monkeypatch.setattr(sys, "stderr", found.stream)
        with pytest.raises(DataError):
            run("build-graph", f"{tmp_path}/cut", f"{tmp_path}/out")
        monkeypatch.undo()
    assert found.screen == []
