"""The build-graph pipeline: embeddings in, cosine nearest-neighbour graph out.

    shards -> records -> embeddings -> neighbours -> edges -> TSV

Edges come sorted by source (input order), then weight as written descending,
then target id descending, whatever the threads, blocks or input shards.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from nsl_tools.arrays.fingerprints import rows_among
from nsl_tools.arrays.ids import IdColumn
from nsl_tools.build_graph.decisions import tell_choice
from nsl_tools.build_graph.edges import EdgeFlow, counted
from nsl_tools.build_graph.gaps import warn_of_gaps
from nsl_tools.build_graph.read import read_embeddings
from nsl_tools.build_graph.request import refuse_wide, requested, threads_for
from nsl_tools.build_graph.search.exact import NearestNeighbors
from nsl_tools.build_graph.search.lsh import bucketed_edges
from nsl_tools.build_graph.search.recall import bytes_for, promised
from nsl_tools.build_graph.tasks.buckets import bucketed_by
from nsl_tools.build_graph.tasks.lists import ListTasks
from nsl_tools.build_graph.tasks.tiles import edges_by
from nsl_tools.build_graph.weigher import EdgeWeigher, IdRanks
from nsl_tools.engines.spark import engine_of
from nsl_tools.engines.work_folder import work_folder_of
from nsl_tools.errors import DataError
from nsl_tools.files.outputs import marked_if_incomplete
from nsl_tools.files.paths import resolve_output
from nsl_tools.files.shards.provenance import provenance_of
from nsl_tools.files.shards.run_output import run_output
from nsl_tools.formats.example_batch import refuse_empty
from nsl_tools.formats.graphs.writer import GraphForm
from nsl_tools.formats.skipped_records import SkippedRecords
from nsl_tools.memory import shown_size
from nsl_tools.options import memory_of
from nsl_tools.progress import Progress, Work
from nsl_tools.spill.matrix import MatrixStore
from nsl_tools.spill.scratch import claim_space
from nsl_tools.statistics import Statistics
from nsl_tools.threads import workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from nsl_tools.build_graph.edges import Edges
    from nsl_tools.build_graph.embeddings import Embeddings
    from nsl_tools.engines.engine import Engine
    from nsl_tools.files.run_report import Report
    from nsl_tools.files.shards.shard_set import Part
    from nsl_tools.formats.embedding_batch import EmbeddingReader
    from nsl_tools.formats.graphs.writer import GraphWriter
    from nsl_tools.formats.ids.seeds import SeedIds
    from nsl_tools.options import BuildGraphOptions
    from nsl_tools.spill.matrix import Rows


def build_graph(
    embeddings: Sequence[str],
    output: str,
    options: BuildGraphOptions,
    seeds: Sequence[str] = (),
    progress: Progress = Progress(),  # noqa: B008 - quiet, it keeps nothing
    report: Report | None = None,
    session: Any = None,
) -> Statistics:
    """Build the graph of the examples in `embeddings` and write it to `output` as TSV.

    Args:
        embeddings: paths of files that hold embeddings, of one format.
        output: a file, `base@N` or `-`.
        options: how to build it.
        seeds: paths of TFRecord files of examples, or of lists of ids; if given, only edges
            that leave these are built.
        progress: how to report progress.
        report: what to write beside the output.
        session: a `pyspark.sql.SparkSession` for the engine `spark`; None for one of its own.

    Raises:
        DataError: an input is wrong. UsageError: the paths do not make sense.
        OutputError: the output cannot be written. EngineError: the engine fails.
    """
    statistics = report.statistics if report else Statistics(options.max_errors)
    with (
        marked_if_incomplete(resolve_output(output)),
        engine_of(options, session, progress) as engine,
        work_folder_of(output, options, statistics.warnings) as folder,
    ):
        place = (engine, folder) if engine else None
        return _build(embeddings, output, options, seeds, progress, report, statistics, place)


def _build(
    embeddings: Sequence[str],
    output: str,
    options: BuildGraphOptions,
    seeds: Sequence[str],
    progress: Progress,
    report: Report | None,
    statistics: Statistics,
    place: tuple[Engine, str] | None,
) -> Statistics:
    asked = requested(embeddings, output, options, seeds, statistics)
    options, reader, outputs = asked.options, asked.reader, asked.outputs
    run = provenance_of("build-graph", options, asked.inputs)
    budget = _budget(reader, options, progress, 1 + asked.approximately)
    store = MatrixStore(budget, progress)
    shards = run_output(output, run, options, statistics, report)
    # Each of the workers multiplies on a BLAS thread of its own.
    with store, shards, threadpool_limits(1):
        if shards.all_kept(statistics, progress):
            return statistics
        nodes = _read(reader, options, statistics, store, progress)
        queries = _query_rows(nodes, asked.seeds, statistics, progress)
        with workers(threads_for(options, nodes.vectors.shape[1], statistics)) as pools:
            order = IdRanks(nodes.ids)
            weigher = EdgeWeigher(nodes, options.k, options.similarity_threshold, order)
            runner = ListTasks(*place, weigher) if place else None
            nearest = NearestNeighbors(weigher, pools, store, runner, progress)
            plain = _plain(nearest, place, options)
            edges_of = _finder(
                plain, nearest, options, statistics, approximately=asked.approximately
            )
            parts = dict(shards.parts(len(queries)))
            rows = {path: queries[p.start : p.stop] for path, p in parts.items()}
            missing = np.concatenate([queries[:0], *rows.values()])
            with progress.phase("writing", Work(len(missing)), "nodes") as written:
                flow = EdgeFlow(counted(edges_of(missing), missing, written))
                for path, edges in zip(rows, flow.parts(rows.values()), strict=True):
                    ends = path == outputs[0], path == outputs[-1]
                    form = _form(nodes, queries, parts[path], ends, options)
                    with shards.open_part(path) as file:
                        _write(file, asked.writer(file, form), edges, statistics)
            warn_of_gaps(nearest, queries, statistics)
    return statistics


def _budget(
    reader: EmbeddingReader, options: BuildGraphOptions, progress: Progress, copies: int
) -> int:
    """Return the bytes that each of the four large things may take in memory.

    Scratch space for `copies` of larger vectors is announced and checked; that for pairs
    is known only as they are found.
    """
    budget = int(memory_of(options).share("vectors"))
    if (size := reader.expected_bytes()) > budget:
        claim_space(copies * size, "vectors", progress)
    return budget


def _read(
    reader: EmbeddingReader,
    options: BuildGraphOptions,
    statistics: Statistics,
    store: MatrixStore,
    progress: Progress,
) -> Embeddings:
    skipped = SkippedRecords(statistics, options.on_duplicate)
    ids = IdColumn(reader.sources[0].name, memory_of(options))
    with progress.phase("reading", reader.read, "B"):
        nodes = read_embeddings(reader, skipped, store, ids)
    refuse_empty(len(nodes.ids), reader.sources, options)
    refuse_wide(nodes.vectors.shape[1], options)
    statistics.counts["nodes"] = len(nodes.ids)
    if zeros := int((nodes.norms == 0).sum()):
        statistics.warnings["zero vectors, which have no direction and so no edges"] = zeros
    return nodes


def _query_rows(
    nodes: Embeddings, seed_ids: SeedIds, statistics: Statistics, progress: Progress
) -> Rows:
    """Return the rows that edges leave from, ascending."""
    if not seed_ids.paths:
        return np.arange(len(nodes.ids))
    with progress.phase("seeds", unit="B") as work:
        seeds = seed_ids.read(statistics, work)
    rows = rows_among(nodes.ids, seeds)
    # Both have each id once.
    if len(seeds) and not len(rows) and not seed_ids.options.allow_empty:
        problem = f"none of the {len(seeds):,} seeds has an embedding: is it a list of ids?"
        raise DataError(seed_ids.paths[0], "", problem)
    if unknown := len(seeds) - len(rows):
        statistics.warnings["seeds without an embedding"] = unknown
    return rows


def _plain(
    nearest: NearestNeighbors, place: tuple[Engine, str] | None, options: BuildGraphOptions
) -> Callable[[Rows], Iterator[Edges]]:
    """Return the search that keeps to no promise: of all pairs, or of those within buckets.

    By the engine at `place`, in its folder, if there is one.
    """
    if place is None:
        if options.lsh_splits:
            return partial(bucketed_edges, nearest, options)
        return partial(nearest.edges, base=np.arange(len(nearest.embeddings.ids)))
    budget, limit = nearest.store.budget, memory_of(options).limit
    if options.lsh_splits:
        return partial(bucketed_by, *place, nearest.weigher, budget, options)
    return partial(edges_by, *place, nearest.weigher, budget, limit)


def _finder(
    plain: Callable[[Rows], Iterator[Edges]],
    nearest: NearestNeighbors,
    options: BuildGraphOptions,
    statistics: Statistics,
    *,
    approximately: bool,
) -> Callable[[Rows], Iterator[Edges]]:
    """Return the function from any rows, ascending, to the edges that leave them.

    It is the `plain` one, unless a recall is asked for. What it finds for a row does not depend on
    the others that it is asked for.
    """
    tell_choice(nearest, options)
    if options.recall == 1:
        return plain
    if approximately:
        rows = np.flatnonzero(nearest.embeddings.norms)
        search = _approximate(rows, nearest, options, statistics)
        if search is not None:
            return search
    statistics.measures["recall"] = 1.0
    return plain


def _approximate(
    rows: Rows, nearest: NearestNeighbors, options: BuildGraphOptions, statistics: Statistics
) -> Callable[[Rows], Iterator[Edges]] | None:
    """Return a search that keeps the promise of `--recall`; None to compare all pairs."""
    vectors = min(nearest.store.budget, 4 * len(rows) * nearest.embeddings.vectors.shape[1])
    needed, limit = bytes_for(len(rows), options.k or 0), memory_of(options).limit - vectors
    if needed > limit:
        reason = (
            f"--recall takes {shown_size(needed)} for these nodes and --memory-limit leaves "
            f"{shown_size(limit)}"
        )
        statistics.warnings[f"{reason}: all pairs were compared"] = 1
        nearest.progress.decide("search", f"all pairs, since {reason}")
        return None
    found = promised(nearest, rows, options.recall, options.random_seed, statistics)
    if found is None:
        return None
    statistics.measures["recall"] = found.recall.measured
    statistics.measures["with 99 % confidence at least"] = found.recall.lower_bound
    statistics.measures["products, as a share of those of all pairs"] = found.effort
    return found.edges


def _form(
    nodes: Embeddings,
    queries: Rows,
    part: range,
    ends: tuple[bool, bool],
    options: BuildGraphOptions,
) -> GraphForm:
    """Return what a file holds that has the edges of a part of the queries.

    All files together have all nodes: each has those up to the first query of the next one;
    `ends` tell whether it is the first, and the last.
    """
    count, (first, last) = len(nodes.ids), ends
    start, stop = (int(queries[i]) if i < len(queries) else count for i in (part.start, part.stop))
    rows = range(0 if first else start, count if last else stop)
    return GraphForm(
        nodes.ids,
        rows,
        options.k,
        distances=options.weights == "distance",
        row_numbers=options.edge_ids == "rows",
    )


def _write(file: Part, writer: GraphWriter, found: Iterable[Edges], statistics: Statistics) -> None:
    for edges in found:
        writer.add(edges.sources, edges.targets, edges.weights)
        file.records += len(edges)
        statistics.counts["edges"] += len(edges)
        statistics.counts["sources"] += int(np.count_nonzero(np.diff(edges.sources, prepend=-1)))
    writer.finish()
