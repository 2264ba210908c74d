"""`cli.common`: what all commands share."""

from __future__ import annotations

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
