"""`estimates.space`: what is said of space that is missing, where disks may be the same."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from nsl_tools.estimates.space import disk_seconds, space_problems

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def free(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let every file system have 1000 bytes left, and scratch files lie beside the output."""
    fields = [1, 1, 1 << 20, 1000, 1000, *os.statvfs("/")[5:10]]
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(fields))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("output", "scratch", "missing"),
    [
        (900, 0, []),
        (1100, 0, ["out: cannot be written: expected at least 1.1 kB of free space"]),
        (100, 1100, ["scratch files in"]),
        (1100, 1100, ["scratch files in", "out: cannot be written"]),
        (600, 300, []),
        (600, 600, ["out: cannot be written: expected at least 1.2 kB"]),  # together, on one disk
    ],
)
def test_what_does_not_fit_is_said(output: float, scratch: float, missing: list[str]) -> None:
    problems = space_problems(["out"], output, scratch)
    assert len(problems) == len(missing)
    for problem, expected in zip(problems, missing, strict=True):
        assert expected in problem


def test_streams_need_no_space() -> None:
    assert space_problems(["-", "/dev/null"], 1 << 60, 0) == []


def test_a_disk_takes_longer_for_more() -> None:
    assert 0 < disk_seconds(1e6, 0) < disk_seconds(1e9, 0) < 10
    # It writes while more is made.
    assert disk_seconds(1e9, 1.5) == pytest.approx(disk_seconds(1e9, 0) - 1.5)
    assert disk_seconds(1e9, 100) == 0
