"""How many neighbours nodes have, and of how many others they are one: tables of degrees."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nsl_tools.inspect.findings import Column, Fact, Section, Table

if TYPE_CHECKING:
    from nsl_tools.formats.graphs.graph_nodes import GraphNodes

Degrees = npt.NDArray[np.unsignedinteger]


def degree_section(out_degrees: Degrees, in_degrees: Degrees) -> Section:
    """Return how n nodes are spread over degrees, in steps of powers of two."""
    facts = []
    for name, text, degrees in (
        ("out", "neighbours of a node", out_degrees),
        ("in", "nodes that have a node as neighbour", in_degrees),
    ):
        middle = float(np.median(degrees)) if len(degrees) else None
        facts += [
            Fact(f"median_{name}_degree", f"{text}: median", middle, "number"),
            Fact(f"largest_{name}_degree", f"{text}: most", int(degrees.max(initial=0))),
        ]
    most = int(max(out_degrees.max(initial=0), in_degrees.max(initial=0)))
    bounds = _bounds(most)
    counts = [_counts(degrees, bounds) for degrees in (out_degrees, in_degrees)]
    texts = [_range_text(low, high - 1) for low, high in pairwise(bounds)]
    table = Table(
        "degrees",
        "Nodes by degree",
        [
            Column("degree", "degree", "text"),
            Column("out", "nodes with so many neighbours"),
            Column("in", "nodes that are a neighbour so often"),
        ],
        list(zip(texts, *counts, strict=True)),
        "bars",
        "degree",
        ["out", "in"],
    )
    return Section("degrees", "Degrees", facts, [table])


def _bounds(most: int) -> list[int]:
    """Return where the ranges 0, 1, 2, 3 to 4, 5 to 8, ... up to `most` begin, and the end."""
    bounds = [0, 1]
    while bounds[-1] <= most:
        bounds.append(2 * (bounds[-1] - 1) + 1 if bounds[-1] > 1 else bounds[-1] + 1)
    return bounds


def _counts(degrees: Degrees, bounds: list[int]) -> list[int]:
    places = np.searchsorted(bounds, degrees, side="right") - 1
    return [int(count) for count in np.bincount(places, minlength=len(bounds) - 1)]


def _range_text(first: int, last: int) -> str:
    return f"{first:,}" if first == last else f"{first:,} to {last:,}"


def hub_section(in_degrees: Degrees, nodes: GraphNodes) -> Section:
    """Return the nodes that are neighbours most often; `in_degrees` are those of all nodes."""
    shown = 10  # nodes
    first = max(0, len(in_degrees) - shown)
    largest = np.argpartition(in_degrees, first)[first:] if first else np.arange(len(in_degrees))
    # Of those with one degree, the first nodes.
    largest = largest[np.lexsort((largest, -in_degrees[largest].astype(np.int64)))]
    largest = largest[in_degrees[largest] > 0]
    total = int(in_degrees.sum(dtype=np.int64))
    table = Table(
        "hubs",
        "The nodes that are neighbours most often",
        [
            Column("id", "node", "text"),
            Column("in_degree", "is a neighbour of"),
            Column("share", "of all edges", "share"),
        ],
        [
            (name.decode(), int(in_degrees[row]), int(in_degrees[row]) / total)
            for name, row in zip(ids_of(nodes, largest), largest.tolist(), strict=True)
        ],
    )
    some = max(1, round(np.count_nonzero(in_degrees) / 100))
    top = np.partition(in_degrees, len(in_degrees) - some)[-some:] if total else in_degrees[:0]
    share = int(top.sum(dtype=np.int64)) / total if total else None
    fact = Fact("share_of_hubs", "edges to the 1 % of targets that have most", share, "share")
    return Section("hubs", "Hubs", [fact], [table], hub_advice(share, some))


def hub_advice(share: float | None, count: int) -> list[str]:
    """Return what to say of a graph whose `count` largest hubs have a share of its edges."""
    if share is None or 2 * share <= 1:
        return []
    found = f"1 % of the targets ({count:,}) take {100 * share:.0f} % of the edges: such hubs are"
    return [f"{found} near to everything and say little. Center the embeddings, or lower -k."]


def ids_of(nodes: GraphNodes, rows: npt.NDArray[np.int64]) -> list[bytes]:
    """Return the ids of some rows, in any order."""
    ascending, places = np.unique(rows, return_inverse=True)
    ids = nodes.ids(ascending).to_pylist() if len(ascending) else []
    return [ids[place] for place in places.tolist()]
