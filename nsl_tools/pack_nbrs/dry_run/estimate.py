"""What packing would do and take, without doing it: `pack-nbrs --dry-run`.

request -> examples, edges -> neighbours of each seed -> some seeds packed -> bytes, time
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.estimates.inputs import refuse_engine, refuse_streams
from nsl_tools.estimates.run_estimate import EstimateFact, RunEstimate, time_facts
from nsl_tools.estimates.space import disk_seconds, space_problems
from nsl_tools.files.streams import source
from nsl_tools.formats.tfrecord.writer import refuse_zstd
from nsl_tools.memory import peak_memory, shown_size
from nsl_tools.options import memory_of
from nsl_tools.pack_nbrs.dry_run.counting import counted_all, counted_some, sampled_inputs
from nsl_tools.pack_nbrs.dry_run.memory import Sizes
from nsl_tools.pack_nbrs.request import requested

if TYPE_CHECKING:
    from nsl_tools.options import PackOptions
    from nsl_tools.pack_nbrs.dry_run.counting import Counted, SampledInputs
    from nsl_tools.statistics import Statistics


def estimate_pack_nbrs(
    labeled: str,
    unlabeled: str,
    graph: str,
    output: str,
    options: PackOptions,
    statistics: Statistics,
) -> RunEstimate:
    """Return what `pack_nbrs` would do and take with the same arguments; nothing is written.

    Raises:
        DataError: an input is wrong, as far as it is read. UsageError: the paths do not make sense.
        OutputError: the output cannot be written.
    """
    refuse_engine(options)
    # Of this process, which has loaded what the run loads.
    started, libraries = time.process_time(), peak_memory()
    refuse_zstd(output)
    asked = requested(labeled, unlabeled, graph, output, options)
    refuse_streams(asked.inputs)
    stored = sum(source(path).size() or 0 for path in asked.inputs)
    with contextlib.ExitStack() as stack:
        inputs = sampled_inputs(asked, options, statistics, stack)
        counted = counted_all(inputs, stack) if inputs.are_whole else counted_some(inputs)
        return _told(inputs, counted, started, libraries, stored)


def _told(
    of: SampledInputs, counted: Counted, started: float, libraries: int, stored: int
) -> RunEstimate:
    """Return what was counted, for people."""
    packed, seeds = counted.trial, counted.seeds
    share = seeds / max(1, packed.seeds)
    size = packed.bytes * share
    blocks = counted.needed / max(1, packed.needed)
    sizes = _sizes(of, counted)
    estimate = RunEstimate("pack-nbrs")
    estimate.add(*_count_facts(of, counted), *_space_facts(of, sizes, size, libraries))
    again = 1 + seeds / max(1.0, counted.labeled + counted.unlabeled)
    packing = packed.splicing * share + packed.encoding * blocks
    estimate.add(*time_facts({
        "start": started,
        "reading": counted.reading,
        "reading again": packed.reading * again,
        "packing": packing,
        "writing": disk_seconds(size, packing),
    }))  # fmt: skip
    estimate.problems += [*sizes.problems(), *counted.problems]
    estimate.problems += space_problems(of.asked.outputs, size, sizes.claimed(stored))
    return estimate


def _sizes(of: SampledInputs, counted: Counted) -> Sizes:
    nodes, packed = counted.nodes, counted.trial
    total = counted.labeled + counted.unlabeled
    record = float(nodes.mean_sizes(np.arange(nodes.count)).mean()) if nodes.count else 0.0
    own = record * packed.seeds
    block = max(32.0, (packed.plain - own) / packed.edges) if packed.edges else record
    spooled = sum(each.spooled / each.share for part in of.samples for each in part)
    return Sizes(
        of.options, total, nodes.mean_id_bytes, record * total, spooled, counted.edges,
        counted.neighbors, counted.needed, block, of.inputs[0].is_read_again,
    )  # fmt: skip


def _count_facts(of: SampledInputs, counted: Counted) -> list[EstimateFact]:
    about = not counted.is_exact
    edges = not counted.exact_edges
    every = not edges and counted.is_exact
    return [
        EstimateFact("labeled_examples", counted.labeled, about=about),
        EstimateFact("unlabeled_examples", counted.unlabeled, about=about),
        EstimateFact("edges", counted.edges, about=edges),
        EstimateFact("neighbours_packed", counted.neighbors, about=not every),
        EstimateFact("engine", of.options.engine, "text"),
    ]


def _space_facts(
    of: SampledInputs, sizes: Sizes, size: float, libraries: int
) -> list[EstimateFact]:
    limit = memory_of(of.options).limit
    where = "in ranges that fit it" if sizes.ranges else "all in memory"
    why = f"neighbours {where}; --memory-limit {shown_size(limit)}"
    scratch = sizes.scratch()
    return [
        EstimateFact("memory", sizes.memory(), "bytes", about=True, why=why),
        EstimateFact("libraries", libraries, "bytes", about=True, why="memory beside it"),
        EstimateFact("scratch", scratch, "bytes", about=scratch > 0),
        EstimateFact("output", size, "bytes", about=True),
    ]
