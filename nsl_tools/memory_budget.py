"""How `--memory-limit` is divided: every share of it, in one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from nsl_tools.tuning import TUNING

Part = Literal[
    "ids",
    "vectors",
    "candidates",
    "bands",
    "other",
    "id_texts",
    "id_entries",
    "id_index",
    "ranked_ids",
    "kept_records",
    "edges_ahead",
    "top_edges",
    "plan_edges",
    "plan_needs",
    "blocks",
    "soft_labels",
    "node_index",
    "spread_edges",
    "sorted_edges",
    "spread_columns",
    "class_values",
    "node_counts",
]

SHARES: Final[dict[Part, float]] = {
    # build-graph: ids must fit; four large things share what they leave.
    "ids": 7 / 8,
    "vectors": 1 / 4,
    "candidates": 1 / 4,  # pairs that wait to be weighed
    "bands": 1 / 4,  # rows of length 1 that are multiplied
    "other": 1 / 4,
    # pack-nbrs.
    "id_texts": 1 / 16,
    "id_entries": 1 / 8,  # hashed ids, before they are in the index
    "id_index": 0.5,
    "ranked_ids": 1 / 2,  # must fit: ids that decide between edges of one weight
    "kept_records": 0.1,  # between the readings of the inputs
    "edges_ahead": 0.08,  # read while ids still are
    "top_edges": 0.2,
    "plan_edges": 0.075,
    "plan_needs": 0.075,
    "blocks": 0.3,  # of the neighbours of one range of seeds
    "soft_labels": 0.05,  # must fit
    # spread-labels.
    "node_index": 1 / 2,  # must fit
    "spread_edges": 1 / 4,
    "sorted_edges": 1 / 4,  # must fit: of one part of the nodes
    "spread_columns": 1 / 2,  # of one class must fit
    "class_values": 1 / 8,
    # inspect: of the rest, what spread-labels has, too.
    "node_counts": 3 / 16,  # must fit, as it does if the index of nodes does
}
"""Of the limit."""

HELD_TOGETHER: Final[dict[str, tuple[Part, ...]]] = {
    "build-graph": ("vectors", "candidates", "bands", "other"),
    "pack-nbrs, reading ids": ("id_texts", "id_entries", "id_index", "kept_records", "edges_ahead"),
    "pack-nbrs, reading edges": (
        "id_texts",
        "id_index",
        "kept_records",
        "edges_ahead",
        "top_edges",
        "soft_labels",
    ),
    "pack-nbrs, planning": (
        "id_texts",
        "kept_records",
        "top_edges",
        "plan_edges",
        "plan_needs",
        "soft_labels",
    ),
    "pack-nbrs, packing": (
        "id_texts",
        "kept_records",
        "plan_edges",
        "plan_needs",
        "blocks",
        "soft_labels",
    ),
    "spread-labels, reading": ("id_texts", "node_index", "spread_edges"),
    "convert, reading edges": ("id_texts", "node_index", "spread_edges"),
    "convert, sorting edges": ("id_texts", "node_index", "sorted_edges"),
    "spread-labels, sorting": ("id_texts", "spread_edges", "sorted_edges"),
    "inspect, reading edges": ("id_texts", "node_index", "node_counts", "spread_edges"),
    "inspect, comparing edges": ("id_texts", "node_counts", "spread_edges", "sorted_edges"),
    "spread-labels, spreading": ("id_texts", "spread_edges", "spread_columns", "class_values"),
}
"""Which parts are in memory at once, by phase: no more than the limit together."""


@dataclass(frozen=True)
class MemoryBudget:
    """The memory of a run.

    Attributes:
        limit: bytes that it may use, beside what the libraries take.
    """

    limit: int

    def share(self, part: Part) -> float:
        """Return the bytes that `part` may hold: what is more goes to a scratch file."""
        return max(1.0, self.limit * SHARES[part] * TUNING.memory_share)

    def bound(self, part: Part) -> float:
        """Return the bytes that `part`, which has to be in memory, may take."""
        return self.limit * SHARES[part]


def sufficient_for(size: float, part: Part) -> float:
    """Return the limit, in bytes, of which `size` is the share of `part`."""
    return size / SHARES[part]
