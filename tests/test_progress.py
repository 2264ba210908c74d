"""Progress: a bar on a terminal, else a line now and then, or nothing."""

from __future__ import annotations

import io
import sys
from itertools import count

import pytest

from nsl_tools import progress as module
from nsl_tools.progress import Progress

_LOUD = Progress("tool", quiet=False)


class Terminal(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def tracked(progress: Progress, items: list[str], total: int | None = None) -> list[str]:
    """Return what went by; each item counts by its length."""
    return list(progress.track(iter(items), "things", len, total))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each look at the clock be ten seconds later than the one before."""
    ticks = count(100, 10)
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(ticks)))


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("total", "said"),
    [
        (None, ["1,002 after 30 s", "2,005 after 60 s"]),
        (4010, ["1,002 of 4,010 after 30 s, about 90 s left",
                "2,005 of 4,010 after 60 s, about 60 s left"]),
        (0, ["1,002 after 30 s", "2,005 after 60 s"]),
    ],
)  # fmt: skip
def test_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], total: int | None, said: list[str]
) -> None:
    """With what is done, and how long the rest will take if that is known."""
    items = ["x", "", "x" * 1001, "x", "x" * 1001, "x", "x"]
    assert tracked(_LOUD, items, total) == items
    assert capsys.readouterr().err.splitlines() == [f"tool: things: {line}" for line in said]


@pytest.mark.usefixtures("clock")
def test_of_nothing_done_no_time_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Nor is there a division by it."""
    tracked(_LOUD, [""] * 3, 7)
    assert capsys.readouterr().err == "tool: things: 0 of 7 after 30 s, about 0 s left\n"


def test_a_short_run_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert tracked(_LOUD, ["a", "b"]) == ["a", "b"]
    assert capsys.readouterr() == ("", "")


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is gone at the end."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert tracked(_LOUD, ["a", "bcd"], 4) == ["a", "bcd"]
    said = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert "tool: things" in said
    assert said.endswith("\r")


@pytest.mark.parametrize("stderr", [None, Terminal()])
def test_nothing_is_said_where_it_is_not_wanted(
    monkeypatch: pytest.MonkeyPatch, stderr: Terminal | None
) -> None:
    """Or where nobody listens: standard error may be closed."""
    monkeypatch.setattr(sys, "stderr", stderr)
    progress = Progress("tool", quiet=stderr is not None)
    progress.note("text")
    assert tracked(progress, ["a"]) == ["a"]
    assert stderr is None or stderr.getvalue() == ""


def test_a_note_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    _LOUD.note("a\nb")
    assert capsys.readouterr().err == "tool: a\\nb\n"


def test_items_are_not_taken_before_they_are_asked_for() -> None:
    """A run that ends early leaves the rest alone."""
    items = iter(range(9))
    for progress in (_LOUD, Progress()):
        assert next(progress.track(items, "things", lambda _: 1)) in (0, 1)
    assert next(items) == 2
