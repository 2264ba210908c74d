"""The three ways out: text, JSON, and a page, which appears whole or not at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Run


def test_a_page_and_text(job: Path, run: Run) -> None:
    done = run("inspect", "graph", "--html=page.html")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"graph: graph\n\nOverview\n--------\n")
    page = job.joinpath("page.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "Overview" in page


def test_json_has_every_fact(job: Path, run: Run) -> None:
    found = json.loads(run("inspect", "graph", "--json").stdout)
    assert found["sources"] == ["graph"]
    assert found["overview"]["edges"] == 4
    assert found["weights"]["largest"] == 0.9
    assert job.exists()


def test_quiet_writes_the_page_alone(job: Path, run: Run) -> None:
    done = run("inspect", "graph", "--html=page.html", "--quiet")
    assert (done.stdout, done.stderr) == (b"", b"")
    assert job.joinpath("page.html").stat().st_size


def test_a_page_that_cannot_be_written_is_one_line(job: Path, run: Run) -> None:
    job.joinpath("page.html").mkdir()
    done = run("inspect", "graph", "--html=page.html")
    assert done.returncode == 1
    assert done.stderr.startswith(b"inspect: error: page.html: ")
    assert done.stderr.count(b"\n") == 1
