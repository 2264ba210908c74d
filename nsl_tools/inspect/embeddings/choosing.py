"""Tables to choose a threshold and k by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.inspect.findings import Cell, Column, Fact, Section, Table

if TYPE_CHECKING:
    from nsl_tools.inspect.embeddings.nearest import NearestOfSample

Codes = npt.NDArray[np.int32]
Counts = npt.NDArray[np.int64]


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
    rows = [_row(found, threshold, nodes) for threshold in chosen]
    counts = [f"k_{k}" for k in (1, 5, 10, 20)]
    columns = [
        Column("threshold", "threshold", "number"),
        *(Column(name, name.replace("k_", "k="), "number") for name in counts),
        Column("all", "all", "number"),
        Column("edges", "edges, k=10"),
        Column("without", "without", "share"),
    ]
    advice = _advice(found, of_90)
    if own is not None:
        columns.append(Column("agreement", "same label", "share"))
        labels = [_agreement(found, threshold, own, nodes) for threshold in chosen]
        rows = [(*row, share) for row, (share, _) in zip(rows, labels, strict=True)]
        advice += _doubts(chosen, [margin for _, margin in labels])
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
    return Section("thresholds", "Choosing a threshold", facts, [table], advice)


def _threshold_for(nearest: npt.NDArray[np.float32], nodes: int, share: float) -> float | None:
    """Return the highest threshold, of two decimals, that gives a share of nodes a neighbour."""
    wanted = int(np.ceil(share * nodes))
    if wanted < 1 or wanted > len(nearest):
        return None
    return float(np.floor(100 * float(nearest[wanted - 1]) + 1e-4) / 100)


def _row(found: NearestOfSample, threshold: float, nodes: int) -> tuple[Cell, ...]:
    reached = _reached(found, threshold)
    means = [float(reached[:, :k].sum(axis=1).mean()) for k in (1, 5, 10, 20)]
    without = float(np.mean(~reached[:, 0]))
    every = max(found.reaching(threshold), means[-1])
    return (threshold, *means, every, round(means[2] * nodes), without)


def _reached(found: NearestOfSample, threshold: float) -> npt.NDArray[np.bool_]:
    """Return which of the nearest are neighbours. Weights have six decimals, as written."""
    return found.similarities >= threshold - 5e-7


def _agreement(
    found: NearestOfSample, threshold: float, own: Codes, nodes: int
) -> tuple[float | None, float | None]:
    """Return the share of the ten best that have a node's own label, and how near that is.

    Those without a label are left out. The share of all nodes is within the second number of
    the first for 95 of 100 samples.
    """
    labels = found.labels[:, :10]
    known = _reached(found, threshold)[:, :10] & (labels >= 0) & (own >= 0)[:, np.newaxis]
    neighbors = known.sum(axis=1)
    if not neighbors.any():
        return None, None
    same = (known & (labels == own[:, np.newaxis])).sum(axis=1)
    share = float(same.sum() / neighbors.sum())
    return share, _margin(same, neighbors, share, nodes)


def _margin(same: Counts, neighbors: Counts, share: float, nodes: int) -> float:
    """Return half of the 95 % confidence interval of a share of neighbours.

    The neighbours of a node come together, so nodes are what is drawn: the share is a ratio of
    totals (Cochran, Sampling Techniques, 1977, chapter 6). Where all agree, its variance says
    nothing, and the rule of three does (Hanley and Lippman-Hand, JAMA 1983).
    """
    drawn, unseen = len(same), 1 - len(same) / nodes
    squares = float(np.sum((same - share * neighbors) ** 2)) * drawn / max(1, drawn - 1)
    deviation = np.sqrt(unseen * squares) / float(neighbors.sum())
    return float(max(1.96 * deviation, unseen * 3 / np.count_nonzero(neighbors)))


def _doubts(thresholds: list[float], margins: list[float | None]) -> list[str]:
    """Return at which thresholds too few neighbours were seen to tell how labels agree."""
    near = 0.02
    doubted = [
        f"{min(100, np.ceil(100 * margin)):.0f} points at {threshold:.2f}"
        for threshold, margin in zip(thresholds, margins, strict=True)
        if margin and margin > near
    ]
    if not doubted:
        return []
    said = "The sample has few neighbours: the share with the same label is within"
    return [f"{said} {', '.join(doubted)}, for 95 of 100 samples. A larger --sample tells more."]


def _advice(found: NearestOfSample, of_90: float | None) -> list[str]:
    default = 0.8  # of build-graph
    without = float(np.mean(found.similarities[:, 0] < default))
    if without <= 0.5 or of_90 is None:  # noqa: PLR2004 - more than half
        return []
    said = f"The default threshold of {default} leaves {100 * without:.0f} % of the nodes without"
    return [f"{said} a neighbour; --similarity-threshold={of_90:.2f} gives 90 % one."]
