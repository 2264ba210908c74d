"""The pack-nbrs pipeline: examples and a graph in, training examples out.

    ids of both inputs -+
    graph -> top edges -+-> records of the neighbours kept, cut into chunks -+
    labeled records -------------------------------------------------------- + -> splice -> shards

Inputs are read up to three times, each time in order, so that only the
neighbours that some seed keeps are ever held. Output is in the order of the
seeds: the labeled examples and, if asked for, the unlabeled ones after them.

Node rows: labeled examples first, then unlabeled ones. Source of the contract:
NSL 1.4, `tools/pack_nbrs.py`.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from nsl_tools.background import in_background
from nsl_tools.errors import DataError
from nsl_tools.example import encode_entries
from nsl_tools.graph_tsv import EDGE_SCHEMA, read_edges
from nsl_tools.ids import id_ranks
from nsl_tools.nodes import ExampleBatch, Omissions, read_examples, read_ids, refuse_empty
from nsl_tools.output import check_outputs, marked_if_incomplete
from nsl_tools.progress import Progress
from nsl_tools.shards import STANDARD_STREAM, refuse_repeats, resolve_inputs, resolve_output
from nsl_tools.splice import Chunks, Splicer, label_weight_entry
from nsl_tools.statistics import Statistics
from nsl_tools.streams import Source, rereadable, source
from nsl_tools.tfrecord_writer import write_records
from nsl_tools.top_edges import Neighborhoods, TopEdges

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nsl_tools.options import PackOptions

Rows = npt.NDArray[np.int64]


def pack_nbrs(
    labeled: str,
    unlabeled: str,
    graph: str,
    output: str,
    options: PackOptions,
    progress: Progress = Progress(),  # noqa: B008 - frozen
) -> Statistics:
    """Write each labeled example with the features of its neighbours merged in.

    Args:
        labeled: path of the labeled examples, the seeds.
        unlabeled: path of the unlabeled examples; empty for none.
        graph: path of the graph, TSV.
        output: a file, `base@N` or `-`.
        options: how to pack.
        progress: how to report progress.

    Raises:
        DataError: an input is wrong. UsageError: the paths do not make sense.
        OutputError: the output cannot be written.
    """
    outputs = resolve_output(output)
    statistics = Statistics(options.max_errors)
    with contextlib.ExitStack() as stack:
        stack.enter_context(marked_if_incomplete(outputs))
        paths = [resolve_inputs([path] if path else []) for path in (labeled, unlabeled, graph)]
        inputs = [name for part in paths for name in part]
        refuse_repeats(name for name in inputs if name == STANDARD_STREAM)
        check_outputs(outputs, inputs)
        seeds, others = (
            _Input(
                [
                    stack.enter_context(rereadable(source(path, options.max_record_bytes)))
                    for path in part
                ],
                Omissions(statistics, options.on_duplicate),
            )
            for part in paths[:2]
        )
        nodes = _read_nodes(seeds, others, options, statistics)
        edges = _read_graph([source(path) for path in paths[2]], nodes, options, statistics)
        splicer = Splicer(edges.max_degree(), options.rename_weight)
        chunks = _read_neighbors(seeds, others, nodes, edges, splicer)
        packed_inputs = [seeds, others] if options.seed_unlabeled else [seeds]
        packed = _pack(packed_inputs, nodes, edges, chunks, splicer)
        total = int(nodes.is_seed.sum())
        tracked = progress.track(packed, "examples", lambda _: 1, total)
        write_records(output, tracked, total, options.compression)
    statistics.counts["examples packed"] = total
    statistics.counts["neighbours packed"] = len(edges.targets)
    return statistics


@dataclass(frozen=True)
class _Input:
    """The files of one input, and which of their records are left out."""

    sources: list[Source]
    omissions: Omissions

    def examples(self) -> Iterator[ExampleBatch]:
        """Read the input once more."""
        return read_examples(self.sources, self.omissions)


@dataclass(frozen=True)
class _Nodes:
    """All examples, labeled ones first.

    Attributes:
        ids: binary array of length n.
        is_seed: shape (n,), bool: whether the example is packed.
        labeled: how many are labeled.
        label_weights: whether seeds are marked as labeled or not.
    """

    ids: pa.Array
    is_seed: npt.NDArray[np.bool_]
    labeled: int
    label_weights: bool


def _read_nodes(
    seeds: _Input, others: _Input, options: PackOptions, statistics: Statistics
) -> _Nodes:
    labeled, unlabeled = (
        read_ids(part.sources, options.id_feature, part.omissions) for part in (seeds, others)
    )
    refuse_empty(labeled, seeds.sources, options)
    refuse_empty(unlabeled, others.sources, options)
    statistics.counts["labeled examples"] = len(labeled)
    statistics.counts["unlabeled examples"] = len(unlabeled)
    twice = pc.is_in(unlabeled, value_set=labeled).to_numpy(zero_copy_only=False)
    if both := int(twice.sum()):
        statistics.warnings["ids both labeled and unlabeled: the labeled example is taken"] = both
    return _Nodes(
        ids=pa.concat_arrays([labeled, unlabeled]),
        is_seed=np.r_[np.ones(len(labeled), np.bool_), ~twice & options.seed_unlabeled],
        labeled=len(labeled),
        label_weights=options.seed_unlabeled,
    )


def _read_graph(
    graphs: Sequence[Source], nodes: _Nodes, options: PackOptions, statistics: Statistics
) -> Neighborhoods:
    """Return the edges to pack, for each seed in order."""
    top = TopEdges(len(nodes.ids), id_ranks(nodes.ids), options.max_neighbors)
    count = 0
    for sources, targets, weights in _edge_rows(graphs, nodes, statistics):
        count += len(weights)
        _count_unknown(sources, targets, statistics)
        known = (sources >= 0) & (targets >= 0)
        if loops := int((known & (sources == targets)).sum()):
            statistics.counts["self-loops"] += loops
        _add(top, nodes.is_seed, known, sources, targets, weights)
        if options.add_undirected_edges:
            _add(top, nodes.is_seed, known, targets, sources, weights)
    if not count and not options.allow_empty:
        raise DataError(graphs[0].name, "", "no edge: give --allow-empty if that is right")
    statistics.counts["edges"] = count
    if options.max_neighbors == 0:
        statistics.warnings["--max-nbrs 0: no edge is packed"] = count
    return top.neighborhoods()


def _edge_rows(
    graphs: Sequence[Source], nodes: _Nodes, statistics: Statistics
) -> Iterator[tuple[Rows, Rows, npt.NDArray[np.float64]]]:
    """Yield batches of edges as node rows, -1 for an id without example, and weights."""
    batches = (batch for graph in graphs for batch in read_edges(graph, statistics))
    reader = pa.RecordBatchReader.from_batches(EDGE_SCHEMA, batches)
    # As a scanner's projection the table of ids is hashed once, not once a batch. The first
    # of two equal ids is found: the labeled one.
    columns = {
        "source": pc.index_in(pc.field("source"), value_set=nodes.ids),
        "target": pc.index_in(pc.field("target"), value_set=nodes.ids),
        "weight": pc.field("weight"),
    }
    scanner = ds.Scanner.from_batches(reader, columns=columns, batch_readahead=2)
    # In the background: the scanner waits for the graph, and the main thread for signals.
    for batch in in_background(scanner.to_batches()):
        sources, targets = (
            pc.fill_null(batch[name], -1).to_numpy(zero_copy_only=False).astype(np.int64)
            for name in ("source", "target")
        )
        yield sources, targets, batch["weight"].to_numpy()


def _count_unknown(sources: Rows, targets: Rows, statistics: Statistics) -> None:
    for rows, end in ((sources, "source"), (targets, "target")):
        if unknown := int((rows < 0).sum()):
            statistics.warnings[f"edges dropped: no example for the {end}"] += unknown


def _add(
    top: TopEdges,
    is_seed: npt.NDArray[np.bool_],
    known: npt.NDArray[np.bool_],
    sources: Rows,
    targets: Rows,
    weights: npt.NDArray[np.float64],
) -> None:
    kept = np.flatnonzero(known)
    kept = kept[is_seed[sources[kept]]]
    top.add(sources[kept], targets[kept], weights[kept])


def _read_neighbors(
    seeds: _Input,
    others: _Input,
    nodes: _Nodes,
    edges: Neighborhoods,
    splicer: Splicer,
) -> dict[int, tuple[Chunks, ...]]:
    """Return the chunks of every node that is a neighbour of some seed, by row."""
    wanted = np.zeros(len(nodes.ids), np.bool_)
    wanted[edges.targets] = True
    chunks: dict[int, tuple[Chunks, ...]] = {}
    for part, first, last in ((seeds, 0, nodes.labeled), (others, nodes.labeled, len(wanted))):
        if not wanted[first:last].any():
            continue
        row = first
        for batch in part.examples():
            with batch.errors():
                for i in np.flatnonzero(wanted[row : row + len(batch)]).tolist():
                    chunks[row + i] = splicer.cut(i, batch.parsed.features(i))
            row += len(batch)
    return chunks


def _pack(
    inputs: Sequence[_Input],
    nodes: _Nodes,
    edges: Neighborhoods,
    chunks: dict[int, tuple[Chunks, ...]],
    splicer: Splicer,
) -> Iterator[bytes]:
    """Yield the packed examples, in the order of the seeds."""
    bounds = edges.bounds.tolist()
    first = 0
    for batch in (batch for part in inputs for batch in part.examples()):
        is_seed = nodes.is_seed[first : first + len(batch)]
        with batch.errors():
            for i in np.flatnonzero(is_seed).tolist():
                splicer.check_seed(i, batch.parsed.features(i))
                row = first + i
                entries = encode_entries(batch.parsed.features(i))
                if nodes.label_weights:
                    entries += label_weight_entry(row < nodes.labeled)
                start, end = bounds[row], bounds[row + 1]
                neighbors = [chunks[target] for target in edges.targets[start:end].tolist()]
                yield splicer.pack(entries, neighbors, edges.weights[start:end])
        first += len(batch)
