"""`cli.common`: what all commands share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from nsl_tools.cli.commands import cli
from nsl_tools.cli.common import progress_of, summarize
from nsl_tools.statistics import Statistics

COMMON = {"debug", "quiet", "allow_empty", "memory_limit", "id_feature", "max_errors"}
COMMON |= {"on_duplicate", "resume", "report", "max_record_bytes"}


@pytest.mark.parametrize("name", sorted(cli.commands.keys() - {"check", "inspect", "version"}))
def test_every_command_has_the_common_options(name: str) -> None:
    options = [p for p in cli.commands[name].params if isinstance(p, click.Option)]
    assert {str(option.name) for option in options} >= COMMON


@pytest.mark.parametrize("quiet", [False, True])
def test_warnings_are_said_even_quietly(capsys: pytest.CaptureFixture[str], quiet: bool) -> None:
    statistics = Statistics()
    statistics.counts["nodes"] = 1234
    statistics.warnings["odd"] = 5
    summarize(progress_of("build-graph", quiet=quiet), statistics)
    said = "build-graph: warning: odd (5)\n"
    said += "" if quiet else "build-graph: 1,234 nodes\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("nsl-tools insp", b"plain,inspect\n"),
        ("nsl-tools build-graph --lsh-s", b"plain,--lsh-splits\n"),
        ("nsl-tools build-graph --weights d", b"plain,distance\n"),
        ("nsl-tools pack-nbrs lab", b"file,lab\n"),
        ("nsl-tools build-graph emb", b"file,emb\n"),
        ("nsl-tools build-graph --ids fi", b"file,fi\n"),
    ],
)
def test_a_shell_completes(words: str, expected: bytes) -> None:
    told = {"_NSL_TOOLS_COMPLETE": "bash_complete", "COMP_WORDS": words}
    told["COMP_CWORD"] = str(words.count(" "))
    found = subprocess.run(
        [Path(sys.executable).with_name("nsl-tools")],
        check=False, capture_output=True, env={**os.environ, **told},
    )  # fmt: skip
    assert (found.stdout, found.stderr) == (expected, b"")
