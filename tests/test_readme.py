"""The documentation says what the program does: its commands run, its options exist."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from nsl_tools.cli.commands import cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
CODE_BLOCKS = re.findall(r"(?:^    .*\n)+", README, flags=re.MULTILINE)


@pytest.mark.parametrize("name", cli.commands)
def test_every_command_has_help_and_every_option_a_place_in_the_readme(name: str) -> None:
    command = cli.commands[name]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help
            assert f"`{parameter.opts[-1]}" in README, parameter.opts


@pytest.mark.own_memory("its input, in blocks of one row, would take minutes")
def test_the_pipeline_of_the_readme_runs(tmp_path: Path) -> None:
    """build-graph into pack-nbrs, on the samples, as it is written there."""
    (pipeline,) = [block for block in CODE_BLOCKS if "data/samples/embeddings.tfr - |" in block]
    here = f"cd {tmp_path} && ln -s {ROOT}/data data && "
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", f"set -eo pipefail; {here}{pipeline}"],
        check=False, capture_output=True, text=True, env={**os.environ, "PATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "merged.tfr").stat().st_size > 0


def test_the_links_of_the_documentation_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_two_commands_exist() -> None:
    for script in ("main_job.sh", "test.sh"):
        assert f"    bash scripts/{script}\n" in README
        assert os.access(ROOT / "scripts" / script, os.X_OK)
