"""What building a graph would do and take, without doing it: `build-graph --dry-run`.

    request -> some nodes -> neighbours of some of them -> products, memory, scratch, output, time

What is counted or compared is counted and compared by the code of the run itself, of fewer rows;
what memory and scratch files hold is added up (`memory`), and what lists would take is a model
(`lists`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

from nsl_tools.build_graph.dry_run.memory import Sizes
from nsl_tools.build_graph.dry_run.output import graph_size
from nsl_tools.build_graph.dry_run.sample import sampled_nodes
from nsl_tools.build_graph.dry_run.search import searched
from nsl_tools.build_graph.dry_run.timed import TimedWeigher
from nsl_tools.build_graph.request import requested, threads_for
from nsl_tools.build_graph.search.exact import NearestNeighbors
from nsl_tools.build_graph.weigher import IdRanks
from nsl_tools.errors import UsageError
from nsl_tools.estimates.inputs import refuse_engine, refuse_streams
from nsl_tools.estimates.run_estimate import EstimateFact, RunEstimate, time_facts
from nsl_tools.estimates.space import space_problems
from nsl_tools.formats.graphs.parquet_writer import ParquetGraph
from nsl_tools.formats.tables.embeddings import TableEmbeddings
from nsl_tools.memory import peak_memory, shown_size
from nsl_tools.options import memory_of
from nsl_tools.spill.matrix import MatrixStore
from nsl_tools.threads import workers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nsl_tools.build_graph.dry_run.output import GraphSize
    from nsl_tools.build_graph.dry_run.sample import SampledNodes
    from nsl_tools.build_graph.dry_run.search import Searched
    from nsl_tools.build_graph.request import Request
    from nsl_tools.options import BuildGraphOptions
    from nsl_tools.statistics import Statistics


@dataclass(frozen=True)
class _Measured:
    """What was found out of a run.

    Attributes:
        asked: what is read and written.
        sample: some nodes.
        search: what comparing takes.
        size: what writing takes.
        sizes: what memory and scratch files hold.
        started: seconds of Python and the libraries starting.
        libraries: bytes of memory that these take.
    """

    asked: Request
    sample: SampledNodes
    search: Searched
    size: GraphSize
    sizes: Sizes
    started: float
    libraries: int


def estimate_build_graph(
    embeddings: Sequence[str],
    output: str,
    options: BuildGraphOptions,
    seeds: Sequence[str],
    statistics: Statistics,
) -> RunEstimate:
    """Return what `build_graph` would do and take with the same arguments; nothing is written.

    Raises:
        DataError: an input is wrong, as far as it is read. UsageError: the paths do not make sense.
        OutputError: the output cannot be written.
    """
    refuse_engine(options)
    # Of this process, which has loaded what the run loads.
    started, libraries = time.process_time(), peak_memory()
    asked = requested(embeddings, output, options, seeds, statistics)
    options = asked.options
    refuse_streams(path for paths in asked.inputs.values() for path in paths)
    enough = 1 << 27  # bytes of vectors, which are read in a fraction of a second
    most = min(enough, int(memory_of(options).share("vectors")))
    # What is read and found is little: nothing of it goes to scratch files.
    with MatrixStore(1 << 30) as store, threadpool_limits(1):
        try:
            sample = sampled_nodes(asked, statistics, store, most)
        except UsageError as err:
            if not str(err).startswith("--memory-limit"):
                raise
            return RunEstimate("build-graph", problems=[str(err)])
        threads = threads_for(options, sample.shape[1], statistics)
        with workers(threads) as pools:
            nodes = sample.nodes
            threshold = options.similarity_threshold
            weigher = TimedWeigher(nodes, options.k, threshold, IdRanks(nodes.ids))
            nearest = NearestNeighbors(weigher, pools, store)
            search = searched(asked, sample, nearest, statistics)
        size = graph_size(asked, sample, search.found, search.sources)
    edges_per_node = search.edges / max(1, sample.total)
    # Matrices are written once it is known how large they are.
    set_aside = size.bytes if asked.writer.by_rows else 0.0
    tables = isinstance(asked.reader, TableEmbeddings) + (asked.writer is ParquetGraph)
    arrow = 20e6 * tables  # bytes, as measured: of pages, and of what is made of them
    shape = sample.total, max(1, sample.shape[1])
    sizes = Sizes(
        options, shape, sample.id_bytes, edges_per_node, threads, search.lists, set_aside,
        arrow,
    )  # fmt: skip
    return _told(_Measured(asked, sample, search, size, sizes, started, libraries))


def _told(of: _Measured) -> RunEstimate:
    """Return what was measured, for people."""
    estimate = RunEstimate("build-graph")
    estimate.add(*_graph_facts(of), *_space_facts(of))
    # Rows that are weighed are read from scratch files; the factor is as measured.
    weighing = of.search.weighing * (3 if of.sizes.spills_vectors else 1)
    estimate.add(*time_facts({
        "start": of.started,
        "reading": of.sample.seconds,
        "comparing": of.search.comparing,
        "weighing": weighing,
        "writing": of.size.seconds,
    }))  # fmt: skip
    estimate.problems += of.sizes.problems()
    estimate.problems += space_problems(of.asked.outputs, of.size.bytes, of.sizes.scratch())
    return estimate


def _graph_facts(of: _Measured) -> list[EstimateFact]:
    sample, search = of.sample, of.search
    products = search.products * sample.shape[1]
    every = sample.is_whole and len(search.found.rows) == search.sources
    seen = f"by the exact neighbours of {len(search.found.rows):,} random nodes"
    if every:
        seen = "counted"
    elif not sample.is_whole:
        seen += f" among {len(sample.nodes.ids):,}"
    # Of 20 samples, about one tells less well than that.
    if not every and 0.05 < 2 * search.found.error < 1:  # noqa: PLR2004
        seen += f", give or take {2 * search.found.error:.0%}"
    facts = [
        EstimateFact("nodes", sample.total, about=not sample.is_exact),
        EstimateFact("dimension", sample.shape[1]),
        EstimateFact("edges", search.edges, about=not every, why=seen),
        EstimateFact("search", search.kind, "text", why=search.why),
        EstimateFact("products", products, about=True, why="multiply-adds"),
        EstimateFact("threads", of.sizes.threads),
        EstimateFact("engine", of.asked.options.engine, "text"),
    ]
    if of.asked.seeds.paths:
        facts.insert(2, EstimateFact("seeds", search.sources, about=not sample.is_whole))
    return facts


def _space_facts(of: _Measured) -> list[EstimateFact]:
    sizes, limit = of.sizes, memory_of(of.asked.options).limit
    where = "in scratch files" if sizes.spills_vectors else "in memory"
    why = f"vectors {where}, {shown_size(sizes.vector_bytes)}; --memory-limit {shown_size(limit)}"
    held = EstimateFact("memory", sizes.memory(), "bytes", about=True, why=why)
    libraries = EstimateFact("libraries", of.libraries, "bytes", about=True, why="memory beside it")
    spilled = [
        name
        for name, is_spilled in (
            ("vectors", sizes.spills_vectors),
            ("pairs", sizes.spills_pairs),
            ("the graph", sizes.set_aside > 0),
        )
        if is_spilled
    ]
    names = " and ".join(spilled)
    scratch = EstimateFact("scratch", sizes.scratch(), "bytes", about=bool(spilled), why=names)
    output = EstimateFact("output", of.size.bytes, "bytes", about=True)
    return [held, libraries, scratch, output]
