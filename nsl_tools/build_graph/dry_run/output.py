"""How many bytes a graph takes, and how long writing does, by writing some edges nowhere."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nsl_tools.estimates.space import disk_seconds
from nsl_tools.files.compression import compressor_of
from nsl_tools.formats.graphs.writer import GraphForm

if TYPE_CHECKING:
    from nsl_tools.build_graph.dry_run.neighbors import SampledNeighbors
    from nsl_tools.build_graph.dry_run.sample import SampledNodes
    from nsl_tools.build_graph.request import Request


@dataclass(frozen=True)
class GraphSize:
    """What writing takes.

    Attributes:
        bytes: of all files.
        seconds: to make them.
    """

    bytes: float
    seconds: float


class _Counter:
    """Counts what is written to it."""

    def __init__(self) -> None:
        self.bytes = 0

    def write(self, data: bytes | memoryview, /) -> None:
        self.bytes += len(data)


def graph_size(
    asked: Request, sample: SampledNodes, found: SampledNeighbors, sources: float
) -> GraphSize:
    """Return what writing all edges takes.

    Args:
        asked: what is written, and how.
        sample: the nodes that were read.
        found: some edges.
        sources: how many nodes edges leave from.
    """
    edges, options = found.edges_per_node * sources, asked.options
    per_edge = 4e-8  # seconds, where nothing is measured: numbers, as they are
    known = asked.writer.expected_bytes(sample.total, edges, options.k)
    if known is not None:
        making = per_edge * edges
        return GraphSize(known, making + disk_seconds(known, making))
    if not len(found.edges):
        return GraphSize(0.0 if not edges else 30 * edges, 0.0)
    start, out = time.perf_counter(), _Counter()
    compressor = compressor_of(asked.outputs[0], "auto")
    file = compressor(out) if compressor else out
    form = GraphForm(
        sample.nodes.ids,
        range(len(sample.nodes.ids)),
        options.k,
        distances=options.weights == "distance",
        row_numbers=options.edge_ids == "rows",
    )
    writer = asked.writer(file, form)
    writer.add(found.edges.sources, found.edges.targets, found.edges.weights)
    writer.finish()
    if compressor:
        file.finish()  # type: ignore[union-attr]
    share = edges / len(found.edges)
    size, making = out.bytes * share, (time.perf_counter() - start) * share
    return GraphSize(size, making + disk_seconds(size, making))
