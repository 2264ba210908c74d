"""Tables to choose a threshold and k by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.inspect.findings import Cell, Column, Fact, Section, Table

if TYPE_CHECKING:
    from nsl_tools.inspect.embeddings.nearest import NearestOfSample

Codes = npt.NDArray[np.int32]


def similarity_section(found: NearestOfSample) -> Section:
    """Return how similar random nodes are, and each to its nearest."""
    shares = (0.01, 0.1, 0.5, 0.9, 0.99)
    nearest = found.similarities[:, [0, 9]].astype(np.float64)
    best = [_quantiles(column[np.isfinite(column)], shares) for column in nearest.T]
    rows = list(zip(shares, found.quantiles(shares), *best, strict=True))
    columns = [
        Column("share", "share below", "share"),
        Column("pairs", "random pairs", "number"),
        Column("nearest", "nearest", "number"),
        Column("tenth", "10th nearest", "number"),
    ]
    table = Table(
        "quantiles", "Cosine similarity: which share is below", columns, rows,
        "lines", "share", ["pairs", "nearest", "tenth"],
    )  # fmt: skip
    almost = 1 - 2.0**-20  # rounding of float32 aside
    equal = float(np.mean(found.similarities[:, 0] >= almost))
    facts = [Fact("duplicates", "nodes with another of the same direction", equal, "share")]
    return Section("similarity", "Similarity", facts, [table], _direction_advice(rows[2][1]))


def _direction_advice(median: float | None) -> list[str]:
    if median is None or median < 0.5:  # noqa: PLR2004 - half of the way to the same direction
        return []
    found = f"Random nodes have a cosine of {median:.2f}: all vectors share a direction, which says"
    return [f"{found} nothing. Subtract the mean vector from each before you build the graph."]


def _quantiles(values: npt.NDArray[np.float64], shares: tuple[float, ...]) -> list[float | None]:
    if not len(values):
        return [None] * len(shares)
    return [float(value) for value in np.quantile(values, shares)]


def threshold_section(found: NearestOfSample, own: Codes | None, nodes: int) -> Section:
    """Return the table of thresholds against edges.

    Args:
        found: the nearest of a sample of nodes.
        own: the labels of the sample, -1 for none; None if no labels were given.
        nodes: how many there are in all.
    """
    finite = np.isfinite(found.similarities[:, 0])
    nearest = np.sort(found.similarities[finite, 0])[::-1]
    of_90 = _threshold_for(nearest, len(finite), 0.9)
    fixed = {0.5, 0.6, 0.7, 0.8, 0.9, 0.95}
    others = {_threshold_for(nearest, len(finite), share) for share in (0.5, 0.9, 0.99)}
    chosen = sorted(fixed | {t for t in others if t is not None}, reverse=True)
    rows = [_row(found, threshold, own, nodes) for threshold in chosen]
    counts = [f"k_{k}" for k in (1, 5, 10, 20)]
    columns = [
        Column("threshold", "threshold", "number"),
        *(Column(name, name.replace("k_", "k="), "number") for name in counts),
        Column("all", "all", "number"),
        Column("edges", "edges, k=10"),
        Column("without", "without", "share"),
    ]
    if own is not None:
        columns.append(Column("agreement", "same label", "share"))
    title = "Edges a node by --similarity-threshold and -k; nodes without a neighbour"
    table = Table("thresholds", title, columns, rows, "lines", "threshold", [*counts])
    facts = [
        Fact(
            "threshold_for_90",
            "threshold that gives 90 % of the nodes a neighbour",
            of_90,
            "number",
        )
    ]
    return Section("thresholds", "Choosing a threshold", facts, [table], _advice(found, of_90))


def _threshold_for(nearest: npt.NDArray[np.float32], nodes: int, share: float) -> float | None:
    """Return the highest threshold, of two decimals, that gives a share of nodes a neighbour."""
    wanted = int(np.ceil(share * nodes))
    if wanted < 1 or wanted > len(nearest):
        return None
    return float(np.floor(100 * float(nearest[wanted - 1]) + 1e-4) / 100)


def _row(
    found: NearestOfSample, threshold: float, own: Codes | None, nodes: int
) -> tuple[Cell, ...]:
    # Weights have six decimals, as written.
    reached = found.similarities >= threshold - 5e-7
    means = [float(reached[:, :k].sum(axis=1).mean()) for k in (1, 5, 10, 20)]
    without = float(np.mean(~reached[:, 0]))
    every = max(found.reaching(threshold), means[-1])
    row: tuple[Cell, ...] = (threshold, *means, every, round(means[2] * nodes), without)
    return row if own is None else (*row, _agreement(found, reached, own))


def _agreement(found: NearestOfSample, reached: npt.NDArray[np.bool_], own: Codes) -> float | None:
    """Return the share of the ten best that have a node's own label, where both have one."""
    labels = found.labels[:, :10]
    known = reached[:, :10] & (labels >= 0) & (own >= 0)[:, np.newaxis]
    same = known & (labels == own[:, np.newaxis])
    return int(same.sum()) / int(known.sum()) if known.any() else None


def _advice(found: NearestOfSample, of_90: float | None) -> list[str]:
    default = 0.8  # of build-graph
    without = float(np.mean(found.similarities[:, 0] < default))
    if without <= 0.5 or of_90 is None:  # noqa: PLR2004 - more than half
        return []
    said = f"The default threshold of {default} leaves {100 * without:.0f} % of the nodes without"
    return [f"{said} a neighbour; --similarity-threshold={of_90:.2f} gives 90 % one."]
