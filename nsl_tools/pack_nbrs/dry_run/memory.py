"""What packing holds in memory and puts into scratch files, added up by its shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nsl_tools.arrays.ranking import RANKING_BYTES
from nsl_tools.memory import shown_size
from nsl_tools.memory_budget import sufficient_for
from nsl_tools.options import memory_of
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from nsl_tools.memory_budget import MemoryBudget, Part
    from nsl_tools.options import PackOptions


@dataclass(frozen=True)
class Sizes:
    """How large a run is.

    Attributes:
        options: of the run.
        nodes: examples.
        id_bytes: of an id.
        record_bytes: that all examples take as records.
        spooled: of these, what is copied to a scratch file.
        edges: of the graph.
        kept: neighbours that are packed.
        needed: distinct examples that are a neighbour, about.
        block_bytes: of a neighbour as it is packed.
        read_again: whether records are read again, not kept.
    """

    options: PackOptions
    nodes: float
    id_bytes: float
    record_bytes: float
    spooled: float
    edges: float
    kept: float
    needed: float
    block_bytes: float
    read_again: bool

    @property
    def budget(self) -> MemoryBudget:
        """How the memory is divided."""
        return memory_of(self.options)

    @property
    def blocks(self) -> float:
        """The bytes of the blocks of all neighbours, each once."""
        return self.needed * self.block_bytes

    @property
    def ranges(self) -> bool:
        """Whether seeds are cut into ranges, whose neighbours fit the memory."""
        return self.blocks > self.budget.share("blocks")

    def problems(self) -> list[str]:
        """Return what is said where the memory is too little, whatever goes to scratch files."""
        least_bytes = 2  # of a node, as of the index of ids
        needed = sufficient_for(self.nodes * least_bytes, "id_index")
        if needed <= self.budget.limit:
            return []
        expected = f"expected at least {shown_size(needed)} for {self.nodes:,.0f} examples"
        return [f"--memory-limit: {expected}, received {shown_size(self.budget.limit)}"]

    def _parts(self) -> dict[Part, float]:
        """Return the bytes of what goes to a scratch file where they are more than its share."""
        edge, need, entry = 16, 12, 20  # bytes of each
        return {
            "id_texts": self.nodes * self.id_bytes,
            "id_entries": self.nodes * entry,
            "top_edges": self.kept * edge,
            "plan_edges": self.kept * edge,
            "plan_needs": self.needed * need,
        }

    @property
    def splits_ids(self) -> bool:
        """Whether ids are joined part by part, since their index does not fit."""
        node_bytes = 24
        return self.nodes * node_bytes > self.budget.share("id_index")

    def scratch(self) -> float:
        """Return the bytes in scratch files at the end."""
        found = self.spooled
        for part, size in self._parts().items():
            found += size if size > self.budget.share(part) else 0.0
        if self.splits_ids:
            unresolved, half_resolved = 40, 32  # bytes of an edge
            found += self.edges * (unresolved + half_resolved)
        if self.ranges:
            # Of each range, what it needs: few neighbours are the same within one.
            found += self.kept * self.block_bytes
        return found

    def claimed(self, stored: float) -> float:
        """Return the most that a run makes sure of before it starts, of inputs of so many bytes."""
        announced = stored if stored > self.budget.limit else 0.0
        return max(announced, self.scratch())

    def memory(self) -> float:
        """Return the bytes of memory beside the libraries, at most."""
        budget = self.budget
        held = {part: min(size, budget.share(part)) for part, size in self._parts().items()}
        index = min(self.nodes * 24, budget.share("id_index"))
        kept = min(2 * self.record_bytes, budget.share("kept_records"))
        kept = 0.0 if self.read_again else kept
        # Edges are parsed ahead while ids are read; half of those that may be, on average.
        edge_bytes = 72
        graph = min(self.edges * edge_bytes, max(48e6, budget.share("edges_ahead"))) / 2
        # As those that are packed are found and planned, each is there several times.
        ranked = min(2 * self.kept * RANKING_BYTES, budget.share("top_edges"))
        planned = held["plan_edges"] + held["plan_needs"]
        blocks = 2 * budget.share("blocks") if self.ranges else self.blocks
        most = max(
            held["id_entries"] + index + graph,
            index + graph / 2 + ranked,
            ranked / 2 + planned,
            planned + blocks + 16 * TUNING.packed_bytes,
        )
        batches, of_node = 12 * TUNING.batch_bytes, 9  # flags and places
        return batches + self.nodes * of_node + held["id_texts"] + kept + most
