"""Weighers that tell what weighing takes, or leave it out, so that the rest can be timed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.build_graph.edges import Edges
from nsl_tools.build_graph.weigher import EdgeWeigher

if TYPE_CHECKING:
    from nsl_tools.spill.matrix import Rows


@dataclass(frozen=True)
class TimedWeigher(EdgeWeigher):
    """Weighs pairs, and keeps how many, and how many seconds that took.

    Attributes:
        laps: pairs and seconds of each batch, of whichever thread.
    """

    laps: list[tuple[int, float]] = field(default_factory=list)

    def best(self, sources: Rows, targets: Rows) -> Edges:
        """Weigh distinct pairs, in any order, and keep the best of each source."""
        start = time.perf_counter()
        found = super().best(sources, targets)
        self.laps.append((len(sources), time.perf_counter() - start))
        return found


@dataclass(frozen=True)
class NoWeigher(EdgeWeigher):
    """Drops all pairs."""

    def best(self, sources: Rows, targets: Rows) -> Edges:  # noqa: ARG002 - they are dropped
        """Return no edge."""
        none = np.empty(0, np.int64)
        return Edges(none, none, np.empty(0))
