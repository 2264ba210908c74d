"""What a graph is like: one pass over its edges, and one over those that may be mutual.

edges -> rows of nodes -> degrees, components, weights, pairs, labels
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.groups import rank_in_group
from nsl_tools.background import in_background
from nsl_tools.errors import DataError
from nsl_tools.files.paths import resolve_inputs
from nsl_tools.files.streams import bytes_of
from nsl_tools.formats.example_batch import ids_of, read_decoded
from nsl_tools.formats.graphs.edge_batches import weights_of
from nsl_tools.formats.graphs.graph_nodes import GraphNodes
from nsl_tools.formats.graphs.node_names import node_names
from nsl_tools.formats.graphs.reading import GraphFiles
from nsl_tools.formats.skipped_records import SkippedRecords
from nsl_tools.formats.tables.examples import opened_examples
from nsl_tools.inspect.findings import Column, Fact, Findings, Section, Table
from nsl_tools.inspect.graphs.agreement import Agreement
from nsl_tools.inspect.graphs.components import Components
from nsl_tools.inspect.graphs.degrees import degree_section, hub_section
from nsl_tools.inspect.graphs.histogram import Histogram
from nsl_tools.inspect.graphs.pairs import EdgePairs
from nsl_tools.inspect.labels import read_labels
from nsl_tools.options import memory_of
from nsl_tools.progress import Progress, Work

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

    from nsl_tools.inspect.labels import NodeLabels
    from nsl_tools.memory_budget import MemoryBudget
    from nsl_tools.options import InspectOptions
    from nsl_tools.statistics import Statistics

Rows = npt.NDArray[np.int64]
Degrees = npt.NDArray[np.uint32]


def inspect_graph(
    paths: Sequence[str],
    options: InspectOptions,
    statistics: Statistics,
    examples: Sequence[str] = (),
    progress: Progress = Progress(),  # noqa: B008 - quiet, it keeps nothing
) -> Findings:
    """Describe the graph in some files.

    Args:
        paths: files of one graph.
        options: how to inspect.
        statistics: counts what is odd.
        examples: paths of files of the examples that the graph is for; none if unknown.
        progress: how to report progress.

    Raises:
        DataError: a file cannot be read. UsageError: the memory is too little.
    """
    with contextlib.ExitStack() as stack:
        memory = memory_of(options)
        nodes = GraphNodes(memory, stack)
        known = _add_examples(examples, nodes, options, statistics, progress)
        labels = read_labels(options, statistics, progress)
        names = node_names(options.graph_ids, memory, statistics)
        graph = GraphFiles(paths, options, names)
        found = GraphSummary(nodes, memory, stack, known, labels)
        # One thread reads, one finds the rows of ids, one counts.
        with progress.phase("edges", graph.read, "B", graph.size):
            for edges in in_background(numbered(in_background(graph.edges(statistics)), nodes)):
                found.add(edges)
        if not found.weights.count and not options.allow_empty:
            raise DataError(graph.name, "", "no edge, expected some")
        nodes.forget_index()
        return Findings("graph", list(paths), found.sections())


def _add_examples(
    paths: Sequence[str],
    nodes: GraphNodes,
    options: InspectOptions,
    statistics: Statistics,
    progress: Progress,
) -> int | None:
    """Let the ids of examples be the first nodes; return how many there are, None without any."""
    if not paths:
        return None
    files = resolve_inputs(paths, statistics.warnings)
    skipped, read = SkippedRecords(statistics, "first"), Work()
    with contextlib.ExitStack() as stack:
        opened = (opened_examples(path, options, read) for path in files)
        sources = [stack.enter_context(each) for each in opened]
        with progress.phase("ids", read, "B", bytes_of(sources)):
            for _, ids in read_decoded(
                sources, skipped, partial(ids_of, id_feature=options.id_feature)
            ):
                nodes.rows(ids)
    return len(nodes)


@dataclass(frozen=True)
class NumberedEdges:
    """Some edges, m of them.

    Attributes:
        batch: as they were read, of `EDGE_SCHEMA`.
        rows: of the sources, and of the targets, shape (2, m).
        count: nodes that are known by now.
    """

    batch: pa.RecordBatch
    rows: Rows
    count: int


def numbered(batches: Iterable[pa.RecordBatch], nodes: GraphNodes) -> Iterator[NumberedEdges]:
    """Yield edges with the rows of their ends."""
    for batch in batches:
        rows = nodes.ends(batch["source"], batch["target"])
        yield NumberedEdges(batch, rows, len(nodes))


@dataclass
class GraphSummary:
    """Counts of a graph, whose edges are added batch by batch.

    Attributes:
        nodes: numbers the nodes.
        memory: of the run.
        stack: closes scratch files.
        known: the first so many nodes are those of examples; None if these are unknown.
        labels: of nodes; None for none.
        weights: of all edges.
        components: of the graph, without directions.
    """

    nodes: GraphNodes
    memory: MemoryBudget
    stack: contextlib.ExitStack
    known: int | None = None
    labels: NodeLabels | None = None
    weights: Histogram = field(default_factory=Histogram)
    components: Components = field(default_factory=Components)

    def __post_init__(self) -> None:
        self._pairs = EdgePairs(self.memory, self.stack)
        self._out = self._in = np.zeros(0, np.uint32)
        self._loops = self._unknown = 0
        self._neighborhoods: list[tuple[str, str, float]] = []
        self._agreement = None
        if self.labels:
            rows = self.nodes.rows(self.labels.ids)
            codes = np.full(len(self.nodes), -1, np.int32)
            codes[rows] = self.labels.codes
            self._agreement = Agreement(codes, self.labels.names)

    def add(self, edges: NumberedEdges) -> None:
        """Add edges."""
        batch, count = edges.batch, edges.count
        sources, targets = edges.rows
        weights = weights_of(batch)
        self._out, self._in = (_grown(degrees, count) for degrees in (self._out, self._in))
        by_source = np.argsort(sources, kind="stable")
        ranks = self._out[sources].astype(np.int64)
        ranks[by_source] += rank_in_group(sources[by_source])
        np.add.at(self._out, sources, np.uint32(1))
        np.add.at(self._in, targets, np.uint32(1))
        self._loops += int(np.count_nonzero(sources == targets))
        if self.known is not None:
            self._unknown += int(np.count_nonzero((edges.rows >= self.known).any(axis=0)))
        self.weights.add(weights)
        self.components.add(sources, targets, count)
        self._pairs.add(sources, targets)
        if self._agreement:
            self._agreement.add(sources, targets, weights, ranks)
        if not self._neighborhoods:
            self._neighborhoods = _some_neighborhoods(batch, sources, weights)

    def sections(self) -> list[Section]:
        """Return what was found."""
        # Labels may be those of nodes that have no edge and no example.
        count = len(self.nodes)
        self._out, self._in = (_grown(d, count)[:count] for d in (self._out, self._in))
        is_node = (self._out > 0) | (self._in > 0)
        if self.known is not None:
            is_node[: self.known] = True
        others = len(is_node) - int(np.count_nonzero(is_node))
        found = [
            self._overview(is_node),
            degree_section(self._out[is_node], self._in[is_node]),
            hub_section(self._in, self.nodes),
            self._weights(),
            self._components(others),
        ]
        if self._agreement:
            found.append(self._agreement.section(self.nodes, is_node))
        return [*found, self._examples()]

    def _overview(self, is_node: npt.NDArray[np.bool_]) -> Section:
        pairs, edges = self._pairs.counted(), self.weights.count
        count = int(np.count_nonzero(is_node))
        without = int(np.count_nonzero(self._out[is_node] == 0))
        facts = [
            Fact("nodes", "nodes", count),
            Fact("edges", "edges", edges),
            Fact("edges_a_node", "edges a node", edges / count if count else None, "number"),
            Fact("nodes_without_neighbors", "nodes without a neighbour", without),
            Fact("self_loops", "edges from a node to itself", self._loops),
            Fact("repeated_edges", "edges given more than once", pairs.repeated),
            Fact(
                "reciprocity",
                "edges whose reverse is one, too",
                pairs.mutual / pairs.distinct if pairs.distinct else None,
                "share",
            ),
        ]
        if self.known is not None:
            alone = int(np.count_nonzero((self._out + self._in)[: self.known] == 0))
            facts += [
                Fact("examples", "examples", self.known),
                Fact("examples_without_edge", "examples without an edge", alone),
                Fact("edges_of_unknown_ids", "edges with an id that no example has", self._unknown),
            ]
        return Section("overview", "Overview", facts, advice=_advice(count, without))

    def _weights(self) -> Section:
        names = ("least", "p10", "median", "p90", "largest")
        texts = ("least", "10 % are below", "median", "90 % are below", "largest")
        values = self.weights.quantiles([0, 0.1, 0.5, 0.9, 1])
        facts = [
            Fact(name, text, value, "number")
            for name, text, value in zip(names, texts, values, strict=True)
        ]
        facts.append(Fact("mean", "mean", self.weights.mean, "number"))
        edges = self.weights.edges(10)
        counts = self.weights.counts(edges)
        bars = list(zip(edges[:-1].tolist(), edges[1:].tolist(), counts, strict=True))
        table = Table(
            "histogram",
            "Edges by weight",
            [
                Column("from", "from", "number"),
                Column("to", "to", "number"),
                Column("edges", "edges"),
            ],
            bars,
            "bars",
            "from",
            ["edges"],
        )
        return Section("weights", "Weights", facts, [table])

    def _components(self, others: int) -> Section:
        """Return the section of components, less `others` nodes that are not the graph's."""
        sizes = self.components.sizes(len(self.nodes))
        sizes = sizes[: len(sizes) - others]
        nodes = int(sizes.sum())
        facts = [
            Fact("components", "connected components", len(sizes)),
            Fact(
                "share_in_largest",
                "nodes in the largest",
                int(sizes[0]) / nodes if nodes else None,
                "share",
            ),
        ]
        values, counts = np.unique(sizes, return_counts=True)
        rows: list[list[Any]] = [
            list(row) for row in zip(values.tolist(), counts.tolist(), strict=True)
        ]
        table = Table(
            "sizes",
            "The largest components",
            [Column("nodes", "nodes"), Column("components", "components of that size")],
            rows[::-1][:10],
        )
        return Section("components", "Connected components", facts, [table])

    def _examples(self) -> Section:
        columns = [Column("source", "node", "text"), Column("target", "neighbour", "text")]
        columns.append(Column("weight", "weight", "number"))
        table = Table(
            "edges", "Some nodes and their neighbours", columns, self._neighborhoods,
            "edges", "source", ["target", "weight"],
        )  # fmt: skip
        return Section("neighborhoods", "Neighbourhoods", tables=[table])


def _advice(nodes: int, without: int) -> list[str]:
    if nodes and 2 * without > nodes:
        share = 100 * without / nodes
        found = f"{share:.0f} % of the nodes have no neighbour: try a lower --similarity-threshold;"
        return [f"{found} `nsl-tools inspect EMBEDDINGS` shows what each gives."]
    return []


def _grown(degrees: Degrees, count: int) -> Degrees:
    """Return degrees of at least `count` nodes: room for more, so that few of them are copied."""
    if count <= len(degrees):
        return degrees
    room = count + count // 4
    return np.concatenate([degrees, np.zeros(room - len(degrees), np.uint32)])


def _some_neighborhoods(
    batch: pa.RecordBatch, sources: Rows, weights: npt.NDArray[np.float64]
) -> list[tuple[str, str, float]]:
    """Return the first edges of the first three sources of some edges, as texts."""
    most = 10  # edges of a source
    found: list[tuple[str, str, float]] = []
    for source in sources[np.sort(np.unique(sources, return_index=True)[1])][:3].tolist():
        for row in np.flatnonzero(sources == source)[:most].tolist():
            source_id, target = (batch[name][row].as_py().decode() for name in ("source", "target"))
            found.append((source_id, target, float(weights[row])))
    return found
