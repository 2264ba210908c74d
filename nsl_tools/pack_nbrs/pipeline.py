"""The pack-nbrs pipeline: examples and a graph in, training examples out.

    ids of both inputs -> rows -+
    graph -> top edges ---------+-> plan -> blocks of the neighbours kept -+
    labeled records ------------------------------------------------------ + -> splice -> shards

Inputs are read up to three times, each time in order. Only the neighbours that some seed keeps
are held, and what does not fit the memory is spilled to scratch files. The output has the order
of the seeds: the labeled examples and, if asked for, the unlabeled ones after them.

Node rows: labeled examples first, then unlabeled ones. Source of the contract:
NSL 1.4, `tools/pack_nbrs.py`.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nsl_tools.background import in_background
from nsl_tools.engines.spark import engine_of
from nsl_tools.engines.work_folder import work_folder_of
from nsl_tools.errors import DataError
from nsl_tools.files.outputs import marked_if_incomplete
from nsl_tools.files.paths import (
    STANDARD_STREAM,
    resolve_output,
)
from nsl_tools.files.shards.provenance import provenance_of
from nsl_tools.files.shards.run_output import run_output
from nsl_tools.files.streams import bytes_of, source
from nsl_tools.formats.example_batch import refuse_empty
from nsl_tools.formats.graphs.node_names import node_names
from nsl_tools.formats.graphs.reading import GraphFiles
from nsl_tools.formats.skipped_records import SkippedRecords
from nsl_tools.formats.tables.example_table import ExampleTable
from nsl_tools.formats.tables.examples import opened_examples
from nsl_tools.formats.tfrecord.frames import seal
from nsl_tools.formats.tfrecord.reader import is_tfrecord
from nsl_tools.formats.tfrecord.writer import RecordFile, refuse_zstd, write_framed
from nsl_tools.options import memory_of
from nsl_tools.pack_nbrs.graph_edges import GraphEdges
from nsl_tools.pack_nbrs.inputs import Input, RecordMemory
from nsl_tools.pack_nbrs.join import needed_blocks, numbered, packed_batches, ranges_of
from nsl_tools.pack_nbrs.marks.seed_marks import Marks
from nsl_tools.pack_nbrs.marks.soft_labels import SoftLabels, read_soft_labels
from nsl_tools.pack_nbrs.neighbor_store import BlockStore
from nsl_tools.pack_nbrs.nodes import NodeRows
from nsl_tools.pack_nbrs.packed_table import packed_types
from nsl_tools.pack_nbrs.plan import JoinPlan, refuse_hub
from nsl_tools.pack_nbrs.request import requested
from nsl_tools.pack_nbrs.tasks.packing import packed_by, task_bytes
from nsl_tools.pack_nbrs.tasks.records import RecordPlaces
from nsl_tools.pack_nbrs.top_edges import TopEdges
from nsl_tools.progress import Progress, Work
from nsl_tools.spill.scratch import claim_space
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nsl_tools.engines.engine import Engine
    from nsl_tools.files.compression import ByteSink
    from nsl_tools.files.run_report import Report
    from nsl_tools.files.shards.shard_set import ShardSet
    from nsl_tools.formats.tables.feature_types import FeatureTypes
    from nsl_tools.formats.tfrecord.frames import Framed
    from nsl_tools.formats.tfrecord.writer import RecordSink
    from nsl_tools.memory_budget import MemoryBudget
    from nsl_tools.options import PackOptions
    from nsl_tools.spill.partitions import Records

Rows = npt.NDArray[np.int64]


def pack_nbrs(
    labeled: str,
    unlabeled: str,
    graph: str,
    output: str,
    options: PackOptions,
    progress: Progress = Progress(),  # noqa: B008 - quiet, it keeps nothing
    report: Report | None = None,
    session: Any = None,
) -> Statistics:
    """Write each labeled example with the features of its neighbours merged in.

    Args:
        labeled: path of the labeled examples, the seeds.
        unlabeled: path of the unlabeled examples; empty for none.
        graph: path of the graph, in any format that build-graph writes.
        output: a file, `base@N` or `-`.
        options: how to pack.
        progress: how to report progress.
        report: what to write beside the output.
        session: a `pyspark.sql.SparkSession` for the engine `spark`; None for one of its own.

    Raises:
        DataError: an input is wrong. UsageError: the paths do not make sense.
        OutputError: the output cannot be written. EngineError: the engine fails.
    """
    refuse_zstd(output)
    outputs = resolve_output(output)
    statistics = report.statistics if report else Statistics(options.max_errors)
    with contextlib.ExitStack() as stack:
        stack.enter_context(marked_if_incomplete(outputs))
        engine = stack.enter_context(engine_of(options, session, progress))
        folder = stack.enter_context(work_folder_of(output, options, statistics.warnings))
        asked = requested(labeled, unlabeled, graph, output, options)
        paths, inputs = asked.paths, asked.inputs
        run = provenance_of("pack-nbrs", options, asked.known)
        shards = stack.enter_context(
            run_output(output, run, options, statistics, report, options.compression)
        )
        types = asked.said_types(options)
        if shards.all_kept(statistics, progress):
            return statistics
        _claim_space(inputs, memory_of(options).limit, progress)
        memory = memory_of(options)
        Job(options, statistics, progress, memory, stack, types, engine, folder).write(
            paths, shards
        )
    return statistics


def record_memory(inputs: Sequence[Sequence[str]], memory: MemoryBudget) -> RecordMemory:
    """Return the memory budget for records that are kept between readings.

    Plain files are read again faster than new memory is allocated, if parsing them is fast.
    """
    plain = all(is_tfrecord(path) for part in inputs for path in part)
    most = 200_000_000  # bytes, however large the limit
    return RecordMemory(min(memory.share("kept_records"), most), plain)


def _claim_space(inputs: Sequence[str], memory: int, progress: Progress) -> None:
    """Claim scratch space where ids and edges may not fit: no more than the inputs take.

    How much the records of neighbours take is known once the graph is read.
    """
    size = sum(source(path).size() or 0 for path in inputs if path != STANDARD_STREAM)
    if size > memory:
        claim_space(size, "ids and edges", progress)


@dataclass(frozen=True)
class Job:
    """One run: its options, its statistics, and the memory that it may use."""

    options: PackOptions
    statistics: Statistics
    progress: Progress
    memory: MemoryBudget
    stack: contextlib.ExitStack
    types: FeatureTypes | None = None
    engine: Engine | None = None
    folder: str = ""
    read: Work = field(default_factory=Work)

    def write(self, paths: Sequence[Sequence[str]], shards: ShardSet) -> None:
        """Write the seeds, packed, of the labeled and unlabeled files and graphs in `paths`."""
        inputs = self.inputs(paths[:2])
        names = node_names(self.options.graph_ids, self.memory, self.statistics)
        graphs = GraphFiles(paths[2], self.options, names)
        # Begins to read in the background.
        edges = GraphEdges(graphs, self.statistics, self.memory, self.stack)
        nodes = self.read_nodes(*inputs)
        total = int(nodes.is_seed.sum())
        nodes.leave_out_seeds(shards.kept(total))
        soft = self.read_soft_labels(paths[3], nodes)
        plan = self.read_graph(edges, nodes)
        if self.engine is None:
            packed = self.packed(inputs, nodes, plan, soft)
        else:
            places = RecordPlaces(inputs, nodes, self.folder)
            packed = packed_by(
                self.engine, self.folder, places, plan, nodes, soft,
                self.options, self.memory.limit, self.statistics,
            )  # fmt: skip
        left = int(nodes.is_seed.sum())
        begin: Callable[[ByteSink], RecordSink] = RecordFile
        if self.types:
            begin = partial(ExampleTable, types=packed_types(self.types, self.options))
        with self.progress.phase("packing", work := Work(left), "examples"):
            write_framed(shards, work.counted(packed), total, begin)
        self.statistics.counts["examples packed"] = left
        self.statistics.counts["neighbours packed"] = plan.edges
        _warn_of_gaps(plan, left, nodes.count, self.statistics)

    def packed(
        self, inputs: Sequence[Input], nodes: NodeRows, plan: JoinPlan, soft: SoftLabels | None
    ) -> Iterator[Framed]:
        """Return the packed records, made by threads of this process."""
        blocks = self.read_neighbors(inputs, plan)
        seeds = inputs if self.options.seed_unlabeled else inputs[:1]
        ranges = ranges_of(plan, blocks.pools())
        marks, limit = Marks(nodes, soft), self.memory.limit
        spliced = in_background(packed_batches(numbered(seeds), nodes, ranges, marks, limit))
        sealed = in_background(map(seal, spliced))
        self.stack.enter_context(contextlib.closing(sealed))
        return sealed

    def inputs(self, paths: Sequence[Sequence[str]]) -> list[Input]:
        """Return the labeled and the unlabeled input, each to be read several times."""
        options, memory = self.options, record_memory(paths, self.memory)
        opened = partial(opened_examples, options=options, read=self.read)
        size = bytes_of([source(path) for part in paths for path in part])
        with self.progress.phase("reading", self.read, "B", size):  # of tables and streams alone
            return [
                Input(
                    [self.stack.enter_context(opened(path)) for path in part],
                    SkippedRecords(self.statistics, options.on_duplicate),
                    memory,
                )
                for part in paths
            ]

    def read_nodes(self, seeds: Input, others: Input) -> NodeRows:
        """Read the ids of all examples."""
        options, counts = self.options, self.statistics.counts
        observe = self.types.observe if self.types else None
        size = bytes_of([*seeds.sources, *others.sources])
        with self.progress.phase("ids", self.read, "B", size):
            nodes = NodeRows(
                [seeds, others],
                options.id_feature,
                options.seed_unlabeled,
                self.memory,
                self.stack,
                observe,
            )
        refuse_empty(nodes.labeled, seeds.sources, options)
        refuse_empty(nodes.count - nodes.labeled, others.sources, options)
        counts["labeled examples"] = nodes.labeled
        counts["unlabeled examples"] = nodes.count - nodes.labeled
        kept = "kept in memory" if seeds.is_kept and others.is_kept else "read again when needed"
        self.progress.decide("records", kept)
        if both := len(nodes.twice):
            reason = "ids both labeled and unlabeled: the labeled example is taken"
            self.statistics.warnings[reason] = both
        return nodes

    def read_soft_labels(self, paths: Sequence[str], nodes: NodeRows) -> SoftLabels | None:
        """Read the soft labels of seeds, if there are any."""
        if not paths:
            return None
        read = Work()
        with contextlib.ExitStack() as stack:
            opened = (opened_examples(path, self.options, read) for path in paths)
            files = [stack.enter_context(each) for each in opened]
            with self.progress.phase("soft labels", read, "B", 2 * bytes_of(files)):
                return read_soft_labels(files, nodes, self.options, self.memory, self.statistics)

    def read_graph(self, edges: GraphEdges, nodes: NodeRows) -> JoinPlan:
        """Read the edges, and plan which are packed."""
        best = self.best_edges(edges, nodes)
        most = task_bytes(self.memory.limit) if self.engine else math.inf
        with self.progress.phase("planning", unit="edges") as work:
            return JoinPlan(work.counted(best), nodes, self.memory, self.stack, most)

    def best_edges(self, edges: GraphEdges, nodes: NodeRows) -> Iterator[Records]:
        """Read the edges, and return those that are packed, by seed and rank."""
        options, statistics = self.options, self.statistics
        limit, budget = options.max_neighbors, self.memory.share("top_edges")
        check = partial(refuse_hub, nodes=nodes, limit=self.memory.limit)
        ids = nodes.mean_id_bytes
        top = TopEdges(nodes.count, limit, nodes.order, budget, self.stack, ids, check)
        count = 0
        oddities = _Oddities()
        with self.progress.phase("edges", edges.left(), "B") as left:
            for sources, targets, weights in nodes.index.resolved(edges.batches(left), left):
                count += len(weights)
                oddities.add(sources, targets)
                known = (sources >= 0) & (targets >= 0)
                _add(top, nodes.is_seed, known, sources, targets, weights)
                if options.add_undirected_edges:
                    _add(top, nodes.is_seed, known, targets, sources, weights)
        if not count and not options.allow_empty:
            raise DataError(edges.name, "", "no edge: give --allow-empty if that is right")
        oddities.tell(statistics)
        statistics.counts["edges"] = count
        if limit == 0:
            statistics.warnings["--max-nbrs 0: no edge is packed"] = count
        self.progress.decide("index of ids", nodes.index.described)
        self.progress.decide("best edges", top.described)
        nodes.forget_ids()
        return top.best()

    def read_neighbors(self, inputs: Sequence[Input], plan: JoinPlan) -> BlockStore:
        """Read the records of all neighbours that are kept."""
        if len(plan.ends) > 1:
            claim_space(int(plan.bytes), "records of neighbours", self.progress)
        store = BlockStore(len(plan.ends), self.memory.share("blocks"), plan.bytes, self.stack)
        if plan.edges:
            again = [True, self.options.seed_unlabeled]
            parts = zip(inputs, again, strict=True)
            unit = "records" if len(plan.ends) == 1 else "steps"
            with self.progress.phase("neighbours", _ReadAndCopied(plan, store), unit) as work:
                found = needed_blocks(parts, plan, self.options, self.statistics, work)
                for blocks in in_background(found):
                    store.add(*blocks)
                store.complete()
        self.progress.decide("seeds", store.described)
        return store


class _ReadAndCopied(Work):
    """Records that are read, and their blocks, if they are copied for each range of seeds.

    Copying all takes about half as long as reading all, as measured: each record is a step, and
    its share of the bytes is half of one.
    """

    def __init__(self, plan: JoinPlan, store: BlockStore) -> None:
        super().__init__(plan.ends[-1])
        self._records, self._copies = plan.ends[-1], plan.ends[-1] // 2
        self._store, self._bytes = store, max(1, int(plan.bytes))

    def add(self, count: int) -> None:
        """Tell that so many more records were read."""
        super().add(count)
        sure = 0.9  # where it is close, the first records may be shorter than others
        is_copied = self._store.will_copy(sure * self._done / self._records)
        copies = self._copies if is_copied else 0
        self.total = self._records + copies

    @property
    def done(self) -> int:
        """How many steps are done."""
        return self._done + self._copies * min(self._store.copied, self._bytes) // self._bytes


def _warn_of_gaps(plan: JoinPlan, seeds: int, nodes: int, statistics: Statistics) -> None:
    """Warn of a graph that tells little: of seeds without neighbours, and of hubs."""
    without = seeds - plan.seeds
    if without:
        statistics.counts["without a neighbour"] = without
    if 2 * without > seeds and plan.edges:
        reason = "examples without neighbours: more than half; try `nsl-tools inspect` of the graph"
        statistics.warnings[reason] = without
    enough = 1_000  # nodes, of which 1 % are some, and edges
    if min(nodes, plan.edges) >= enough and 2 * plan.hub_edges > plan.edges:
        reason = "edges to hubs: 1 % of the examples are more than half of all neighbours"
        statistics.warnings[reason] = plan.hub_edges


class _Oddities:
    """Counts edges that are unusual: dropped, of unknown ends, or loops."""

    def __init__(self) -> None:
        self._dropped = self._sourceless = self._targetless = self._loops = 0

    def add(self, sources: Rows, targets: Rows) -> None:
        """Count among m edges between rows, of which -1 is no row."""
        no_source, no_target = sources < 0, targets < 0
        self._dropped += int((no_source | no_target).sum())
        self._sourceless += int(no_source.sum())
        self._targetless += int(no_target.sum())
        self._loops += int(((sources == targets) & ~no_source).sum())

    def tell(self, statistics: Statistics) -> None:
        """Add what was counted, if it was."""
        if self._dropped:
            reason = "edges dropped: no example for their source or target"
            statistics.drop(reason, self._dropped)
        for what, count in (
            ("edges of unknown sources", self._sourceless),
            ("edges to unknown targets", self._targetless),
            ("self-loops", self._loops),
        ):
            if count:
                statistics.counts[what] += count


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
