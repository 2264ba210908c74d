"""Views: a bar that fits its terminal and leaves nothing behind, lines of a log now and then."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from terminal import terminal

from nsl_tools.progress import Work
from nsl_tools.progress.phases import Phase
from nsl_tools.progress.views import BarView, LineView, bar_of


def phase_of(
    done: int, total: int, seconds: float, name: str = "comparing", unit: str = "products"
) -> Phase:
    """Return a phase that has gone on for some seconds."""
    return Phase(name, unit, Work(total), None, 0, 100.0, None, seconds, done)


def test_a_bar_of_a_usual_terminal() -> None:
    """With the command, the phase, the share, the rate with its unit, and the time left."""
    shown = bar_of(phase_of(400, 1600, 30), "build-graph", 79, 130)
    said = "build-graph: comparing  25%|█████▊                | 13.3 products/s, 1:30 left"
    assert shown.replace(" ", "") == said.replace(" ", "")
    assert len(shown) == 79


def test_a_bar_of_a_narrow_terminal() -> None:
    """With what changes."""
    shown = bar_of(phase_of(400, 1600, 30), "build-graph", 39, 130)
    assert shown.startswith("comparing  25%|")
    assert shown.endswith("| 13.3/s, 1:30 left")
    assert len(shown) == 39


@given(
    st.integers(1, 10**12),
    st.integers(0, 10**12),
    st.floats(0, 1e6),
    st.integers(30, 250),
    st.sampled_from(["ids", "neighbours", "comparing within buckets", "merging what was found"]),
    st.sampled_from(["B", "products", "tasks"]),
    st.booleans(),
)
def test_a_bar_fits(
    total: int, done: int, seconds: float, columns: int, name: str, unit: str, ascii_only: bool
) -> None:
    """Also with the time left at its end, if the terminal has some columns for it."""
    phase = phase_of(min(done, total), total, seconds, name, unit)
    shown = bar_of(phase, "spread-labels", columns, 130, ascii_only=ascii_only)
    assert len(shown) <= columns
    assert shown.isascii() or not ascii_only
    if columns >= 39 and phase.seconds_left is not None and phase.seconds_left < 360_000:
        assert shown.endswith("left")
        assert f"{int(100 * min(done, total) / total)}%|" in shown


@given(st.integers(1, 250), st.integers(0, 10**9))
def test_a_phase_without_a_total_fits(columns: int, done: int) -> None:
    shown = bar_of(phase_of(done, 0, 5, "edges", "B"), "pack-nbrs", columns, 130)
    assert len(shown) <= columns
    if columns > 70:
        assert shown.startswith("pack-nbrs: edges: ")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_bar_is_drawn_over_the_one_before_and_removed(encoding: str) -> None:
    with terminal(60, encoding) as found:
        view = BarView("build-graph", found.stream)
        view.clear()
        for done in (10, 50, 99):
            view.show(phase_of(done, 100, 1, unit="B"), 101)
        view.show(phase_of(5, 0, 1, "edges", "B"), 101)
        view.clear()
        view.clear()
    assert found.screen == []
    assert ["█" in bar for bar in found.drawn[:3]] == [encoding == "utf-8"] * 3
    assert [len(bar) for bar in found.drawn[:3]] == [len(found.drawn[0])] * 3
    assert "edges" in found.drawn[3]


def test_a_bar_goes_with_the_width_of_its_terminal() -> None:
    """Without one, it is that of most."""
    stream = io.StringIO()
    BarView("tool", stream).show(phase_of(1, 2, 1), 101)
    assert len(stream.getvalue()) == 1 + 79
    for columns in (40, 200):
        with terminal(columns) as found:
            BarView("tool", found.stream).show(phase_of(1, 2, 1), 101)
        assert len(found.written.decode()) == columns


def test_a_line_of_a_log_comes_now_and_then() -> None:
    """After ten seconds, and then each half a minute; of a phase that began meanwhile, too."""
    stream = io.StringIO()
    view = LineView("pack-nbrs", stream, 100.0)
    for second in range(100):
        view.show(phase_of(second, 200, second, "packing", "examples"), 100.0 + second)
    view.clear()
    assert stream.getvalue().splitlines() == [
        "pack-nbrs: packing: 5 % of 200 examples, 1 examples/s, 0:10 so far, about 3:10 left",
        "pack-nbrs: packing: 20 % of 200 examples, 1 examples/s, 0:40 so far, about 2:40 left",
        "pack-nbrs: packing: 35 % of 200 examples, 1 examples/s, 1:10 so far, about 2:10 left",
    ]
