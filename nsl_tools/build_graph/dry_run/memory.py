"""What a run holds in memory and puts into scratch files, added up: its shares, and what is beside.

The sizes are those of the code that holds them; the bytes of a row, a pair or a node are as
measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nsl_tools.arrays.ranking import RANKING_BYTES
from nsl_tools.build_graph.search.block_products import band_tiles, pairs_at_once, tile_height
from nsl_tools.build_graph.search.candidate_spill import PAIR_BYTES
from nsl_tools.build_graph.search.exact import bytes_per_thread
from nsl_tools.build_graph.search.recall import bytes_for
from nsl_tools.memory import shown_size
from nsl_tools.memory_budget import sufficient_for
from nsl_tools.options import memory_of
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from nsl_tools.options import BuildGraphOptions


@dataclass(frozen=True)
class Sizes:
    """How large a run is.

    Attributes:
        options: of the run.
        shape: of all vectors.
        id_bytes: of an id.
        edges_per_node: that are found.
        threads: that work.
        lists: whether lists are searched.
        set_aside: bytes of the output that are in scratch files first.
        arrow: bytes of memory that tables take while they are read or written.
    """

    options: BuildGraphOptions
    shape: tuple[int, int]
    id_bytes: float
    edges_per_node: float
    threads: int
    lists: bool = False
    set_aside: float = 0.0
    arrow: float = 0.0

    @property
    def budget(self) -> float:
        """The bytes that each of the four large things may take."""
        share = memory_of(self.options).share("vectors")
        return max(0.0, share - self.held_ids / 4)

    @property
    def held_ids(self) -> float:
        """The bytes that ids take while the graph is made."""
        beside = 24  # as of `arrays.ids.IdColumn`
        return self.shape[0] * (self.id_bytes + beside)

    @property
    def vector_bytes(self) -> float:
        """The bytes of all vectors."""
        return 4.0 * self.shape[0] * self.shape[1]

    @property
    def spills_vectors(self) -> bool:
        """Whether vectors go to a scratch file."""
        return self.vector_bytes > self.budget

    @property
    def waiting_pairs(self) -> float:
        """How many pairs wait to be weighed at once, if all of them are in memory."""
        rows, k = self.shape[0], self.options.k
        if self.lists or self.options.lsh_splits:
            return 0.0
        if k is None:
            # Those of later rows: most when half of the rows are done.
            return rows * (self.edges_per_node + 1) / 3
        # Of a row that has as many as it may, more are found, and kept until they are too many.
        full = self.edges_per_node > k / 2
        return rows * (TUNING.crowd * (k + 1) / 2 if full else self.edges_per_node + 1)

    @property
    def spills_pairs(self) -> bool:
        """Whether pairs go to a scratch file."""
        return PAIR_BYTES * self.waiting_pairs > self.budget

    def problems(self) -> list[str]:
        """Return what is said where ids take more memory than they may, which must hold them."""
        limit = memory_of(self.options)
        if self.held_ids <= limit.bound("ids"):
            return []
        needed = shown_size(sufficient_for(self.held_ids, "ids"))
        ids = f"the ids of {self.shape[0]:,} nodes, {shown_size(self.shape[0] * self.id_bytes)}"
        expected = f"expected at least {needed} for {ids} together"
        return [f"--memory-limit: {expected}, received {shown_size(limit.limit)}"]

    def scratch(self) -> float:
        """Return the bytes that are in scratch files at the end."""
        vectors = self.vector_bytes * (1 + self.lists) if self.spills_vectors else 0.0
        found, k = self.shape[0] * (self.edges_per_node + 1), self.options.k
        if k is not None and self.edges_per_node > k / 2:
            # What is in the file is not dropped when better ones are found; as measured.
            found *= 2.5 * TUNING.crowd
        pairs = PAIR_BYTES * found if self.spills_pairs else 0.0
        return vectors + pairs + self.set_aside

    def memory(self) -> float:
        """Return the bytes of memory beside the libraries, at most."""
        rows, width = self.shape
        budget = self.budget
        of_row = 100  # places, norms, scales, thresholds, hashes and their order
        parts = min(budget, self.vector_bytes) + self.held_ids + rows * of_row
        parts += self.threads * bytes_per_thread(width)
        parts += self._batches()
        parts += self.arrow
        if self.lists:
            faiss, listing = 14e6, 16e6  # bytes; of similarities to centroids, for each thread
            return parts + bytes_for(rows, self.options.k or 0) + faiss + self.threads * listing
        if self.options.lsh_splits:
            # Edges of all rounds, chosen from together as far as they fit.
            edges = self.options.lsh_rounds * rows * self.edges_per_node
            return parts + min(budget, 16 * edges) + min(budget, RANKING_BYTES * edges) / 2
        return parts + self._bands() + min(budget, PAIR_BYTES * self.waiting_pairs)

    def _bands(self) -> float:
        """Return the bytes of unit vectors: of two bands, and of a tile of each thread."""
        rows, width = self.shape
        height = tile_height(int(self.budget), width)
        return 4.0 * width * min(2 * rows, (2 * self._band_tiles + self.threads) * height)

    @property
    def _band_tiles(self) -> int:
        rows, width = self.shape
        height = tile_height(int(self.budget), width)
        return band_tiles(-(-rows // height), height * width, int(self.budget))

    def _batches(self) -> float:
        """Return the bytes of pairs that are weighed and written, some batches at a time."""
        rows, ahead, pair_bytes = self.shape[0], 2, 130
        height = tile_height(int(self.budget), self.shape[1])
        # A batch ends with its band at the latest.
        of_band = min(rows, self._band_tiles * height) * (self.edges_per_node + 1)
        most = pairs_at_once(int(self.budget), spilled=self.spills_vectors)
        return float((self.threads + ahead) * min(most, of_band) * pair_bytes)
