"""Progress: what a run tells of itself on a terminal, in a log, at its end, or not at all."""

from __future__ import annotations

import io
import sys
import threading
import time

import pytest
from terminal import terminal

from nsl_tools.progress import Progress, Work


def threads() -> list[str]:
    """Return the names of the threads that show progress."""
    names = (thread.name for thread in threading.enumerate())
    return [name for name in names if "progress" in name]


@pytest.mark.parametrize("columns", [40, 80])
def test_a_bar_moves_though_the_work_does_not(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """Twice a second at least; and nothing of it is left."""
    assert Progress.refresh_seconds <= 0.5
    with terminal(columns) as found:
        monkeypatch.setattr(sys, "stderr", found.stream)
        monkeypatch.setattr(Progress, "refresh_seconds", 0.02)
        with Progress("build-graph", quiet=False) as progress, progress.phase("reading") as work:
            work.expect(100)
            work.add(25)
            time.sleep(0.5)
            progress.note("text")
            work.add(50)
            time.sleep(0.2)
        assert threads() == []
    assert found.screen == ["build-graph: text"]
    assert len(found.drawn) >= 12
    assert " 25%|" in found.drawn[0]
    assert " 75%|" in found.drawn[-1]


def test_a_line_of_a_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By a clock that tests set."""
    now = 0.0
    monkeypatch.setattr(Progress, "refresh_seconds", 1000)
    with Progress("pack-nbrs", quiet=False, clock=lambda: now) as progress:
        progress.refresh()
        with progress.phase("ids", Work(2_000_000), "B") as work:
            for _ in range(20):
                now += 1.0
                work.add(100_000)
                progress.refresh()
        progress.refresh()
    said = "pack-nbrs: ids: 50 % of 2 MB, 100 kB/s, 0:10 so far, about 0:10 left\n"
    assert capsys.readouterr() == ("", said)
    assert progress.report()[0] == "ids: 0.0 s to 20.0 s, 2 MB, 100 kB/s"


def test_a_short_run_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("tool", quiet=False) as progress, progress.phase("reading") as work:
        work.add(1)
    assert capsys.readouterr() == ("", "")


class Deaf(io.StringIO):
    """A standard error that is gone."""

    def write(self, _: str, /) -> int:
        """Fail."""
        raise OSError("gone")


@pytest.mark.parametrize("stream", [None, Deaf()])
def test_a_run_goes_on_where_nobody_listens(
    monkeypatch: pytest.MonkeyPatch, stream: Deaf | None
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(Progress, "refresh_seconds", 0.01)
    if stream is not None:
        monkeypatch.setattr(stream, "isatty", lambda: True)
    with Progress("tool", quiet=False) as progress, progress.phase("reading") as work:
        work.expect(2)
        work.add(1)
        time.sleep(0.1)
        if stream is None:
            progress.note("text")
    assert threads() == []


def test_quietly_nothing_is_said_or_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Progress, "refresh_seconds", 0.01)
    progress = Progress()
    with progress, progress.phase("reading", Work(3)) as work:
        assert threads() == []
        progress.note("text")
        progress.decide("what", "text")
        assert work.total == 3
    assert capsys.readouterr() == ("", "")
    assert [line.split(":")[0] for line in progress.report()] == ["peak memory"]


def test_a_failure_ends_phases_and_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(80) as found:
        monkeypatch.setattr(sys, "stderr", found.stream)
        monkeypatch.setattr(Progress, "refresh_seconds", 0.01)
        with (
            pytest.raises(KeyError),
            Progress("tool", quiet=False) as progress,
            progress.phase("reading"),
        ):
            time.sleep(0.1)
            raise KeyError
        assert threads() == []
    assert found.screen == []
    assert found.drawn[-1] == "tool: reading: 0:00 so far"


def test_others_may_write_while_it_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(80) as found:
        monkeypatch.setattr(sys, "stderr", found.stream)
        monkeypatch.setattr(Progress, "refresh_seconds", 0.001)
        with Progress("tool", quiet=False) as progress, progress.phase("reading"):
            for number in range(20):
                time.sleep(0.005)
                with progress.silence():
                    found.stream.write(f"line {number}")
                    time.sleep(0.005)
                    found.stream.write(" ends\n")
    assert found.screen == [f"line {number} ends" for number in range(20)]


def test_a_note_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Progress("tool", quiet=False).note("a\nb")
    assert capsys.readouterr().err == "tool: a\\nb\n"


def test_decisions_are_reported_at_the_end() -> None:
    """The last word about each."""
    progress = Progress("tool", quiet=False)
    progress.decide("search", "all pairs")
    progress.decide("threads", "2")
    progress.decide("search", "by lists")
    assert progress.report()[:2] == ["search: by lists", "threads: 2"]
    assert progress.report()[2].startswith("peak memory: ")
