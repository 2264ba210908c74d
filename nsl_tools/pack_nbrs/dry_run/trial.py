"""Some seeds packed, by the code of the run, and written nowhere: bytes and seconds of a seed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.files.compression import compressor_of
from nsl_tools.formats.tables.example_table import ExampleTable
from nsl_tools.formats.tfrecord.writer import RecordFile
from nsl_tools.pack_nbrs.packed_table import packed_types
from nsl_tools.pack_nbrs.plan import JoinPlan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nsl_tools.files.compression import ByteSink
    from nsl_tools.formats.tfrecord.writer import RecordSink
    from nsl_tools.pack_nbrs.inputs import Input
    from nsl_tools.pack_nbrs.marks.soft_labels import SoftLabels
    from nsl_tools.pack_nbrs.nodes import NodeRows
    from nsl_tools.pack_nbrs.pipeline import Job
    from nsl_tools.spill.partitions import Records

    Rows = np.ndarray


@dataclass(frozen=True)
class Trial:
    """What packing some seeds took.

    Attributes:
        seeds: how many they were.
        edges: neighbours that they have.
        bytes: that were written of them.
        plain: bytes of their records.
        needed: distinct examples among these.
        reading: seconds to read all examples once more.
        encoding: seconds to make the blocks of these neighbours, beside that.
        splicing: seconds to make and write the records, beside reading the seeds.
    """

    seeds: int
    edges: int
    bytes: float
    plain: float
    needed: int
    reading: float
    encoding: float
    splicing: float


class Nowhere:
    """Counts what is written to it."""

    def __init__(self) -> None:
        self.bytes = 0

    def write(self, data: bytes | memoryview, /) -> None:
        """Count the bytes of `data`."""
        self.bytes += len(data)


def chosen_seeds(nodes: NodeRows, neighbors: float) -> Rows:
    """Return random seeds, ascending, that make some MiB with so many neighbours each."""
    seeds = np.flatnonzero(nodes.is_seed)
    record = float(nodes.mean_sizes(seeds[:1]).mean()) if len(seeds) else 1.0
    enough, most, least = 1 << 24, 4096, 64  # bytes; seeds
    count = int(np.clip(enough / (record * (1 + neighbors)), least, most))
    return np.sort(np.random.default_rng(0).permutation(seeds)[:count])


def trial(
    job: Job,
    inputs: Sequence[Input],
    nodes: NodeRows,
    seeds: Rows,
    edges: Records,
    soft: SoftLabels | None,
    output: str,
) -> Trial:
    """Pack some seeds of a run.

    Args:
        job: the run.
        inputs: the labeled and the unlabeled examples.
        nodes: all of them; from now on, no other one is a seed.
        seeds: rows, ascending.
        edges: that leave them, by seed and rank.
        soft: what they get beside neighbours, if anything.
        output: what the run would write to.
    """
    start = time.perf_counter()
    for part in inputs:
        for _ in part.examples(again=True):
            pass
    reading = time.perf_counter() - start
    nodes.is_seed[:] = False
    nodes.is_seed[seeds] = True
    start = time.perf_counter()
    plan = JoinPlan([edges], nodes, job.memory, job.stack)
    out = Nowhere()
    compressor = None if job.types else compressor_of(output, job.options.compression)
    file: ByteSink = compressor(out) if compressor else out
    sink = _sink(job, file)
    plain, share = 0, 1.0
    if not job.options.seed_unlabeled:
        share = nodes.labeled / max(1, nodes.count)
    packed = job.packed(inputs, nodes, plan, soft)
    encoding, start = time.perf_counter() - start, time.perf_counter()
    for records in packed:
        plain += len(records.data)
        sink.add(records)
    sink.finish()
    if compressor:
        file.finish()  # type: ignore[attr-defined]
    splicing = time.perf_counter() - start
    needed = len(np.unique(edges["target"]))
    # All examples were read once more, then those that may be seeds.
    encoding, splicing = (
        max(0.1 * seconds, seconds - part * reading)
        for seconds, part in ((encoding, 1.0), (splicing, share))
    )
    return Trial(len(seeds), len(edges), out.bytes, plain, needed, reading, encoding, splicing)


def _sink(job: Job, file: ByteSink) -> RecordSink:
    if job.types:
        return partial(ExampleTable, types=packed_types(job.types, job.options))(file)
    return RecordFile(file)
