"""How build-graph's time and memory grow: a table, and a plot in `docs/`.

For `bench_graph.py scaling`.
"""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
from bench_support import clustered, nsl_tools, race, time_command, write_vectors

SIZES = (10_000, 20_000, 50_000, 100_000, 200_000, 400_000, 1_000_000)
WIDTH = 128
WAYS = ("exact", "--recall=0.95")
PLOT = Path(__file__).parent.parent / "docs/build_graph_scaling.svg"

Points: TypeAlias = "dict[str, dict[int, tuple[float, float]]]"
"""Seconds and megabytes of each way, by its number of nodes."""


def scaling(folder: Path, sizes: list[int], runs: int, kept: str | None) -> None:
    """Time growing graphs, exact and approximate; print and plot all points, those kept too."""
    points = read_points(kept)
    for n in sizes:
        path = write_vectors(folder / "e.tfr", "embedding", clustered(n, WIDTH))
        commands = {
            way: nsl_tools("build-graph", "-q", *options(way), path, f"{folder}/g.tsv")
            for way in WAYS
        }
        calls = {way: partial(time_command, command, 1) for way, command in commands.items()}
        for way, timing in race(calls, runs).items():
            print(f"{way}, {n:,} x {WIDTH}: {timing}", flush=True)
            points[way][n] = timing.median, timing.megabytes
        write_points(kept, points)
        plot(points)
    for way in WAYS:
        print_table(way, points)


def options(way: str) -> list[str]:
    """Return what the command line says of a way."""
    return [] if way == "exact" else [way]


def read_points(path: str | None) -> Points:
    """Return the points of earlier runs."""
    points: Points = {way: {} for way in WAYS}
    if path is not None and Path(path).exists():
        with open(path, encoding="utf-8", newline="") as file:
            for way, n, seconds, megabytes in csv.reader(file):
                points[way][int(n)] = float(seconds), float(megabytes)
    return points


def write_points(path: str | None, points: Points) -> None:
    """Keep all points for later runs."""
    if path is not None:
        with open(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            for way, found in points.items():
                writer.writerows((way, n, *found[n]) for n in sorted(found))


def print_table(way: str, points: Points) -> None:
    """Print nodes, seconds, slope, memory, slope."""
    print(f"| nodes | {way} | slope | peak | slope |")
    print("|---|---|---|---|---|")
    before: tuple[int, float, float] | None = None
    for n, (seconds, megabytes) in sorted(points[way].items()):
        steeper = ("", "") if before is None else slopes(before, (n, seconds, megabytes))
        cells = f"{n:,}", f"{seconds:.1f} s", steeper[0], f"{megabytes:,.0f} MB", steeper[1]
        print(f"| {' | '.join(cells)} |")
        before = n, seconds, megabytes


def slopes(before: tuple[int, float, float], now: tuple[int, float, float]) -> tuple[str, str]:
    """Return the powers by which time and memory grow between two points."""
    nodes, seconds, megabytes = np.log(np.divide(now, before))
    return f"{seconds / nodes:.1f}", f"{megabytes / nodes:.1f}"


def plot(points: Points) -> None:
    """Draw time and memory over size, both logarithmic."""
    from matplotlib import pyplot as plt

    figure, (times, memories) = plt.subplots(1, 2, figsize=(10, 4))
    for way, found in points.items():
        sizes = sorted(found)
        times.loglog(sizes, [found[n][0] for n in sizes], marker="o", label=way)
        memories.loglog(sizes, [found[n][1] for n in sizes], marker="o", label=way)
    for axes, what in ((times, "seconds, whole command"), (memories, "peak resident MB")):
        axes.set(xlabel=f"nodes, of {WIDTH} dimensions", ylabel=what)
        axes.grid(visible=True, which="both", alpha=0.3)
        axes.legend()
    figure.tight_layout()
    figure.savefig(PLOT, metadata={"Date": None})
    plt.close(figure)
