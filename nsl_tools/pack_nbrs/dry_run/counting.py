"""The inputs that an estimate is made by, and what is counted in them: of all, or of a sample.

Inputs of some ten megabytes are read whole, by the code of the run, so that all is counted but
what is written; of larger ones a sample is read (`edges`). Some seeds are packed either way
(`trial`): with their neighbours, or, of a sample, with others of those that were read.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.errors import UsageError
from nsl_tools.files.streams import source
from nsl_tools.formats.example_sample import ExampleSample, sample_examples
from nsl_tools.formats.graphs.node_names import node_names
from nsl_tools.formats.graphs.reading import GraphFiles
from nsl_tools.formats.graphs.sample import sample_edges
from nsl_tools.formats.skipped_records import SkippedRecords
from nsl_tools.memory_budget import MemoryBudget
from nsl_tools.options import memory_of
from nsl_tools.pack_nbrs.dry_run.edges import Shares, kept_neighbors, resolved
from nsl_tools.pack_nbrs.dry_run.trial import chosen_seeds, trial
from nsl_tools.pack_nbrs.graph_edges import GraphEdges
from nsl_tools.pack_nbrs.inputs import Input
from nsl_tools.pack_nbrs.pipeline import Job, record_memory
from nsl_tools.pack_nbrs.plan import refuse_many
from nsl_tools.pack_nbrs.top_edges import EDGE
from nsl_tools.progress import Progress

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Sequence

    import numpy.typing as npt

    from nsl_tools.options import PackOptions
    from nsl_tools.pack_nbrs.dry_run.trial import Trial
    from nsl_tools.pack_nbrs.nodes import NodeRows
    from nsl_tools.pack_nbrs.request import Request
    from nsl_tools.spill.partitions import Records
    from nsl_tools.statistics import Statistics


@dataclass(frozen=True)
class SampledInputs:
    """The inputs of a run, all of them or samples.

    Attributes:
        asked: what is read and written.
        options: how to pack.
        statistics: of what is read.
        samples: of the files of each kind of examples.
        job: packs them.
        inputs: the examples.
        graphs: the edges.
        most: bytes that are read of each kind.
    """

    asked: Request
    options: PackOptions
    statistics: Statistics
    samples: Sequence[Sequence[ExampleSample]]
    job: Job
    inputs: Sequence[Input]
    graphs: GraphFiles
    most: int

    @property
    def are_whole(self) -> bool:
        """Whether all examples were read, and all edges can be."""
        stored = sum(source(path).size() or 0 for path in self.asked.inputs)
        shares = [each.share for part in self.samples for each in part]
        return stored <= self.most and all(share == 1 for share in shares)

    @property
    def shares(self) -> Shares:
        """Which parts of the examples were read."""
        return Shares(*(_mean_share(part) for part in self.samples))


@dataclass(frozen=True)
class Counted:
    """What was found out of the inputs, of a whole run.

    Attributes:
        labeled: examples.
        unlabeled: examples.
        seeds: examples that are packed.
        is_exact: whether these are known exactly.
        edges: of the graph.
        neighbors: that are packed.
        needed: distinct examples among them.
        exact_edges: whether all edges were read.
        reading: seconds until it is known which are packed.
        trial: what packing some seeds takes.
        nodes: those that were read.
        problems: what is said where the neighbours of one seed do not fit the memory.
    """

    labeled: float
    unlabeled: float
    seeds: float
    is_exact: bool
    edges: float
    neighbors: float
    needed: float
    exact_edges: bool
    reading: float
    trial: Trial
    nodes: NodeRows
    problems: Sequence[str] = ()


def most_bytes(limit: int) -> int:
    """Return how many bytes of examples, or of edges, are read, with a limit of memory."""
    enough = 100_000_000  # which takes about a second
    return min(enough, limit)


def sampled_inputs(
    asked: Request, options: PackOptions, statistics: Statistics, stack: contextlib.ExitStack
) -> SampledInputs:
    """Return the inputs of a run, or samples of them if they are large.

    Args:
        asked: what is read and written.
        options: how to pack.
        statistics: counts what is odd.
        stack: ends threads.

    Raises:
        DataError: a file is not what it should be, as far as it is read.
    """
    limit = memory_of(options).limit
    most = most_bytes(limit)
    sizes = [sum(source(path).size() or 0 for path in part) for part in asked.paths[:2]]
    samples = [
        [
            sample_examples(path, options, most * (source(path).size() or 0) // max(1, sum(sizes)))
            for path in part
        ]
        for part in asked.paths[:2]
    ]
    # What is read is little: so nothing of it goes to scratch files.
    memory = MemoryBudget(max(limit, 1 << 30))
    job = Job(options, statistics, Progress(), memory, stack, asked.said_types(options))
    kept = record_memory(asked.paths[:2], memory_of(options))
    duplicates = options.on_duplicate
    inputs = [
        Input([each.source for each in part], SkippedRecords(statistics, duplicates), kept)
        for part in samples
    ]
    names = node_names(options.graph_ids, memory, statistics)
    graphs = GraphFiles(asked.paths[2], options, names)
    return SampledInputs(asked, options, statistics, samples, job, inputs, graphs, most)


def _mean_share(samples: Sequence[ExampleSample]) -> float:
    sizes = [max(1, each.source.size() or 0) for each in samples]
    return float(np.average([each.share for each in samples], weights=sizes)) if samples else 1.0


def counted_all(of: SampledInputs, stack: contextlib.ExitStack) -> Counted:
    """Read all inputs, and pack some seeds with their neighbours."""
    job = of.job
    start = time.perf_counter()
    edges = GraphEdges(of.graphs, of.statistics, job.memory, stack)
    nodes = job.read_nodes(*of.inputs)
    soft = job.read_soft_labels(of.asked.paths[3], nodes)
    best = np.concatenate([np.empty(0, EDGE), *job.best_edges(edges, nodes)])
    reading = time.perf_counter() - start
    count = int(nodes.is_seed.sum())
    seeds = chosen_seeds(nodes, len(best) / max(1, count))
    own = best[np.isin(best["source"], seeds)]
    needed = len(np.unique(best["target"]))
    problems = _problems_of_largest(best, nodes, memory_of(of.options))
    found = trial(job, of.inputs, nodes, seeds, own, soft, of.asked.outputs[0])
    unlabeled, every = nodes.count - nodes.labeled, of.statistics.counts["edges"]
    return Counted(
        nodes.labeled, unlabeled, count, True, every, len(best), needed, True, reading, found,
        nodes, problems,
    )  # fmt: skip


def _problems_of_largest(best: Records, nodes: NodeRows, memory: MemoryBudget) -> list[str]:
    """Return what is said if the neighbours of the seed with the most of them do not fit."""
    if not len(best):
        return []
    sources, counts = np.unique(best["source"], return_counts=True)
    largest = best[best["source"] == sources[np.argmax(counts)]]
    try:
        refuse_many(largest, nodes, memory.limit)
    except UsageError as err:
        return [str(err)]
    return []


def counted_some(of: SampledInputs) -> Counted:
    """Read some of the inputs, and pack some seeds with any neighbours."""
    job, options, shares = of.job, of.options, of.shares
    start = time.perf_counter()
    nodes = job.read_nodes(*of.inputs)
    ids = (time.perf_counter() - start) / max(1e-9, shares.of(nodes))
    start = time.perf_counter()
    edges = sample_edges(of.graphs, of.most)
    parsing = time.perf_counter() - start
    start = time.perf_counter()
    ends = resolved(edges, nodes)
    joining = time.perf_counter() - start
    kept = kept_neighbors(edges, ends, nodes, shares, options)
    scale = edges.expected / max(1, edges.count)
    # The graph is parsed while ids are read; ranking edges takes as long as looking them up.
    reading = max(ids, parsing * scale) + 2 * joining * scale
    seeds = chosen_seeds(nodes, float(kept.mean()) if len(kept) else 0.0)
    own = _any_edges(seeds, kept, nodes)
    found = trial(job, of.inputs, nodes, seeds, own, None, of.asked.outputs[0])
    found = replace(found, reading=found.reading / max(1e-9, shares.of(nodes)))
    labeled, unlabeled, is_exact = _totals(of, nodes)
    total = labeled + (unlabeled if options.seed_unlabeled else 0)
    neighbors = float(kept.mean()) * total if len(kept) else 0.0
    every = labeled + unlabeled
    needed = every * (1 - np.exp(-neighbors / max(1.0, every)))
    all_edges = edges.is_exact and edges.count >= edges.expected
    return Counted(
        labeled, unlabeled, total, is_exact, edges.expected, neighbors, needed, all_edges, reading,
        found, nodes,
    )  # fmt: skip


def _totals(of: SampledInputs, nodes: NodeRows) -> tuple[float, float, bool]:
    """Return how many labeled and unlabeled examples there are, and whether that is exactly so."""
    found, exact = [], True
    counts = (nodes.labeled, nodes.count - nodes.labeled)
    for part, count in zip(of.samples, counts, strict=True):
        rows = [each.rows for each in part]
        if all(each.share == 1 for each in part):
            found.append(float(count))
        elif None not in rows:
            found.append(float(sum(row or 0 for row in rows)))
        else:
            exact = False
            found.append(count / max(1e-9, _mean_share(part)))
    return found[0], found[1], exact


def _any_edges(
    seeds: npt.NDArray[np.int64], kept: npt.NDArray[np.float64], nodes: NodeRows
) -> Records:
    """Return edges from seeds to any nodes, as many as seeds keep."""
    random = np.random.default_rng(0)
    counts = np.floor(random.choice(kept, len(seeds)) + random.random(len(seeds))).astype(np.int64)
    edges = np.zeros(int(counts.sum()), EDGE)
    edges["source"] = np.repeat(seeds, counts)
    edges["target"] = random.integers(0, nodes.count, len(edges))
    edges["weight"] = random.random(len(edges))
    return edges
