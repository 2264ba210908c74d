"""The spread-labels pipeline: few labels and a graph in, class probabilities of all nodes out.

    labeled records -> classes -+
    graph -> rows -> adjacency -+-> spreading, class by class -> probabilities -> shards

Nodes are numbered as they come, labeled ones first, and written in this order. What is found
does not depend on the memory or the shards.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.background import in_background
from nsl_tools.errors import DataError, UsageError
from nsl_tools.files.outputs import marked_if_incomplete
from nsl_tools.files.paths import (
    files_of_output,
    refuse_shared_streams,
    resolve_inputs,
    resolve_output,
    split_member,
)
from nsl_tools.files.preflight import check_outputs, check_space
from nsl_tools.files.shards.provenance import provenance_of
from nsl_tools.files.shards.run_output import run_output
from nsl_tools.files.streams import bytes_of
from nsl_tools.formats.graphs.edge_batches import weights_of
from nsl_tools.formats.graphs.graph_nodes import GraphNodes
from nsl_tools.formats.graphs.node_names import node_names
from nsl_tools.formats.graphs.reading import GraphFiles
from nsl_tools.formats.skipped_records import SkippedRecords
from nsl_tools.formats.tables.examples import opened_examples
from nsl_tools.formats.tfrecord.writer import refuse_zstd, write_framed
from nsl_tools.memory import shown_size
from nsl_tools.memory_budget import sufficient_for
from nsl_tools.options import memory_of
from nsl_tools.progress import Progress, Work
from nsl_tools.spread_labels.adjacency import Adjacency
from nsl_tools.spread_labels.class_values import ClassValues
from nsl_tools.spread_labels.labels import read_labels
from nsl_tools.spread_labels.records import SpreadNodes, records_of
from nsl_tools.spread_labels.spreading import (
    Labels,
    Spreading,
    class_scales,
    confidence,
    shares,
)
from nsl_tools.spread_labels.suspects import write_suspects
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nsl_tools.files.run_report import Report
    from nsl_tools.files.shards.shard_set import ShardSet
    from nsl_tools.files.streams import Source
    from nsl_tools.formats.tfrecord.frames import Framed
    from nsl_tools.memory_budget import MemoryBudget
    from nsl_tools.options import SpreadOptions
    from nsl_tools.spread_labels.adjacency import Rows
    from nsl_tools.spread_labels.spreading import Class, Floats


def spread_labels(
    labeled: str,
    graph: str,
    output: str,
    options: SpreadOptions,
    progress: Progress = Progress(),  # noqa: B008 - quiet, it keeps nothing
    report: Report | None = None,
) -> Statistics:
    """Write the class probabilities of each node of a graph, of which some are labeled.

    Args:
        labeled: path of the labeled examples.
        graph: path of the graph, TSV.
        output: a file, `base@N` or `-`: examples of an id, the most probable class, the
            probabilities of all, and a confidence from 0 to 1.
        options: how to spread.
        progress: how to report progress.
        report: what to write beside the output.

    Raises:
        DataError: an input is wrong. UsageError: the paths do not make sense, or the memory
            is too little. OutputError: an output cannot be written.
    """
    refuse_zstd(output)
    outputs = resolve_output(output)
    statistics = report.statistics if report else Statistics(options.max_errors)
    with contextlib.ExitStack() as stack:
        stack.enter_context(marked_if_incomplete(outputs))
        paths = [resolve_inputs([path], statistics.warnings) for path in (labeled, graph)]
        inputs = [name for part in paths for name in part]
        ids = [split_member(options.graph_ids)[0]] if options.graph_ids else []
        inputs += ids
        refuse_shared_streams(inputs)
        written = files_of_output(output) + ([options.suspects] if options.suspects else [])
        check_outputs(written, inputs)
        check_space(outputs, least=1)
        known = dict(zip(("labeled", "graph", "graph ids"), [*paths, ids], strict=True))
        run = provenance_of("spread-labels", options, known)
        shards = stack.enter_context(
            run_output(output, run, options, statistics, report, options.compression)
        )
        if shards.all_kept(statistics, progress):
            return statistics
        _Job(options, statistics, progress, memory_of(options), stack).write(paths, shards)
    return statistics


@dataclass(frozen=True)
class _Job:
    """One run: its options, its statistics, and the memory that it may use."""

    options: SpreadOptions
    statistics: Statistics
    progress: Progress
    memory: MemoryBudget
    stack: contextlib.ExitStack

    def write(self, paths: Sequence[Sequence[str]], shards: ShardSet) -> None:
        """Write the nodes of the labeled files and graphs in `paths`."""
        read = Work()
        opened = (opened_examples(path, self.options, read) for path in paths[0])
        labeled = [self.stack.enter_context(each) for each in opened]
        names = node_names(self.options.graph_ids, self.memory, self.statistics)
        graphs = GraphFiles(paths[1], self.options, names)
        nodes = GraphNodes(self.memory, self.stack)
        with self.progress.phase("labels", read, "B", bytes_of(labeled)):
            labels = self.read_labels(labeled, nodes)
        graph = self.read_graph(graphs, nodes)
        classes = self.options.classes or int(labels.classes.max(initial=0)) + 1
        budget = self.memory.share("class_values")
        values = ClassValues(len(nodes), classes, budget, self.stack)
        for found in self.spread(graph, labels, classes):
            values.add(found)
        counts = np.bincount(labels.classes, minlength=classes)
        scales = class_scales(values.masses, counts) if self.options.balance else np.ones(classes)
        if self.options.suspects:
            self.find_suspects(nodes, graph, labels, classes)
        is_left = np.ones(len(nodes), np.bool_)
        for part in shards.kept(len(nodes)):
            is_left[part.start : part.stop] = False
        left = np.flatnonzero(is_left)
        records = self.records(left, nodes, labels, values, scales)
        with self.progress.phase("writing", Work(len(left)), "nodes") as work:
            write_framed(shards, work.counted(in_background(records)), len(nodes))

    def read_labels(self, sources: Sequence[Source], nodes: GraphNodes) -> Labels:
        """Read the labeled examples: they are the first nodes."""
        skipped = SkippedRecords(self.statistics, self.options.on_duplicate)
        ids, classes = read_labels(sources, skipped, self.options)
        self.statistics.counts["labeled examples"] = len(ids)
        return Labels(nodes.rows(ids), classes)

    def read_graph(self, graphs: GraphFiles, nodes: GraphNodes) -> Adjacency:
        """Read the edges; those of weight 0 or less, and from a node to itself, carry no label."""
        graph, counts = Adjacency(self.memory, self.stack), self.statistics.counts
        labeled = len(nodes)
        with self.progress.phase("edges", graphs.read, "B", graphs.size):
            for batch in in_background(graphs.edges(self.statistics)):
                sources, targets = nodes.ends(batch["source"], batch["target"])
                weights = weights_of(batch)
                counts["edges"] += len(weights)
                loops = sources == targets
                useful = ~loops & (weights > 0)
                self._drop("self-loops, which carry no label", int(loops.sum()))
                without = int((~loops & ~useful).sum())
                self._drop("edges whose weight is not above 0, which carry no label", without)
                graph.add(sources[useful], targets[useful], weights[useful])
        if not counts["edges"] and not self.options.allow_empty:
            raise DataError(graphs.name, "", "no edge: give --allow-empty if that is right")
        nodes.forget_index()
        with self.progress.phase("sorting", unit="entries") as work:
            graph.seal(len(nodes), work)
        self.progress.decide("matrix", graph.described)
        counts["nodes"] = len(nodes)
        if alone := int((graph.degrees[:labeled] == 0).sum()):
            self.statistics.warnings["labeled examples without an edge in the graph"] = alone
        return graph

    def _drop(self, reason: str, count: int) -> None:
        if count:
            self.statistics.drop(reason, count)

    def spread(self, graph: Adjacency, labels: Labels, classes: int) -> Iterator[Class]:
        """Yield what all nodes get of each class: as many classes together as the memory holds."""
        options, nodes = self.options, len(graph.degrees)
        spreading = Spreading(
            options.method == "harmonic", options.alpha, options.tolerance, options.max_iterations
        )
        column = 56 * nodes  # bytes of a class: seven numbers of a node at once
        if column > self.memory.bound("spread_columns"):
            needed = shown_size(sufficient_for(column, "spread_columns"))
            raise UsageError(
                f"--memory-limit: expected at least {needed} to spread labels over {nodes:,} "
                f"nodes, received {shown_size(self.memory.limit)}"
            )
        together = max(1, int(self.memory.share("spread_columns") / max(1, column)))
        self.progress.decide("classes", f"{min(together, classes):,} of {classes:,} at a time")
        for first in range(0, classes, together):
            part = range(first, min(first + together, classes))
            with self.progress.phase("spreading", unit="products") as work:
                for found in spreading.spread(graph, labels, part, work):
                    if not found.has_converged:
                        reason = f"classes not converged after {options.max_iterations} iterations"
                        self.statistics.warnings[reason] += 1
                    yield found

    def find_suspects(
        self, nodes: GraphNodes, graph: Adjacency, labels: Labels, classes: int
    ) -> None:
        """Hold out each part of the labels once, and compare them with what the others say."""
        folds = np.random.default_rng(self.options.random_seed).permutation(len(labels))
        folds %= self.options.folds
        found = np.zeros((len(labels), classes))
        for fold in range(self.options.folds):
            held, others = folds == fold, labels.at(folds != fold)
            masses = np.zeros(classes)
            for one in self.spread(graph, others, classes):
                found[held, one.number] = one.values[labels.rows[held]]
                masses[one.number] = one.values.sum()
            if self.options.balance:
                counts = np.bincount(others.classes, minlength=classes)
                found[held] *= class_scales(masses, counts)
        reached = found.sum(axis=1) > 0
        right = found.argmax(axis=1) == labels.classes
        self.statistics.measures["accuracy on labels held out"] = float((right & reached).mean())
        suspects = reached & ~right
        self.statistics.counts["suspected label errors"] = int(suspects.sum())
        names = nodes.ids(labels.rows[suspects])
        write_suspects(
            str(self.options.suspects), names, labels.classes[suspects], shares(found[suspects])
        )

    def records(
        self, rows: Rows, nodes: GraphNodes, labels: Labels, values: ClassValues, scales: Floats
    ) -> Iterator[Framed]:
        """Yield the nodes in ascending `rows` as records."""
        copies = 4  # of an id, until it is in a record
        row_bytes = 8 * len(scales) + copies * nodes.mean_id_bytes
        together = 8 << 20  # bytes of numbers and ids that become records, some copies in memory
        most = max(1, int(together / row_bytes))
        counts, sure = self.statistics.counts, np.full(len(nodes), -1, np.int32)
        sure[labels.rows] = labels.classes
        for first in range(0, len(rows), most):
            part = rows[first : first + most]
            start, stop = int(part[0]), int(part[-1]) + 1
            found = values.rows(start, stop)[part - start] * scales
            own, probabilities = sure[part], shares(found)
            known = np.flatnonzero(own >= 0)
            probabilities[known] = 0
            probabilities[known, own[known]] = 1
            is_reached = (own >= 0) | (found.sum(axis=1) > 0)
            counts["nodes that a label reached"] += int(is_reached.sum())
            confidences = np.where(is_reached, confidence(probabilities), 0)
            best = probabilities.argmax(axis=1)
            made = SpreadNodes(nodes.ids(part), best, probabilities, confidences)
            yield records_of(made, self.options.id_feature, self.options.label_feature)
