"""Packing cut into tasks: blocks of the neighbours of some records, then seeds of some range.

    records, needs: files
    some records     -> blocks of the neighbours among them, for each range of seeds   a task each
    a range of seeds -> packed records, of their own and of those blocks                a task each

The same kernels as where one machine does it all: a packed record is made of the seed's bytes
and its neighbours' blocks alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from nsl_tools.engines.work_folder import WorkFile, write_work
from nsl_tools.formats.protobuf import example
from nsl_tools.formats.tfrecord.frames import Framed, seal
from nsl_tools.pack_nbrs.join import SeedRange, packed_batches, tell_lacking, tell_unknown
from nsl_tools.pack_nbrs.marks.seed_marks import Marks
from nsl_tools.pack_nbrs.marks.soft_labels import SoftLabels
from nsl_tools.pack_nbrs.plan import NEED
from nsl_tools.pack_nbrs.tasks.blocks import BlocksOfRange, BlocksTask, make_blocks_of, pool_for
from nsl_tools.pack_nbrs.top_edges import EDGE
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from nsl_tools.engines.engine import Engine
    from nsl_tools.formats.example_batch import ExampleBatch
    from nsl_tools.options import PackOptions
    from nsl_tools.pack_nbrs.nodes import NodeRows
    from nsl_tools.pack_nbrs.plan import JoinPlan
    from nsl_tools.pack_nbrs.tasks.blocks import MadeBlocks
    from nsl_tools.pack_nbrs.tasks.records import Part, RecordPlaces
    from nsl_tools.statistics import Statistics


def task_bytes(limit: int) -> int:
    """Return how many bytes of records, and of blocks, a task has that may take `limit` bytes."""
    return min(
        TUNING.task_bytes, limit // 8
    )  # records, as read and as parsed; blocks; what is made


@dataclass(frozen=True)
class SeedFiles:
    """What tasks know of all nodes.

    Attributes:
        folder: for what they make.
        edges: a file of `EDGE`, by seed and rank.
        is_seed: whether each row is packed, a byte each.
        soft: class probabilities and confidence of each row, float32, or None.
        soft_width: how many numbers a row has there.
        labeled: rows that are labeled; they come first.
        seed_unlabeled: whether unlabeled rows are packed, and seeds are marked.
        options: of the run.
        limit: bytes that a task may take.
    """

    folder: str
    edges: WorkFile
    is_seed: WorkFile
    soft: WorkFile | None
    soft_width: int
    labeled: int
    seed_unlabeled: bool
    options: PackOptions
    limit: int


@dataclass(frozen=True)
class PackTask:
    """Some seeds, whose records lie together.

    Attributes:
        seeds: what is known of all nodes.
        part: the records of their rows, and perhaps of others.
        first: row.
        stop: row after the last one.
        first_edge: place of the first edge that leaves them.
        stop_edge: place after the last one.
        blocks: those of their neighbours, and of others.
    """

    seeds: SeedFiles
    part: Part
    first: int
    stop: int
    first_edge: int
    stop_edge: int
    blocks: tuple[BlocksOfRange, ...]


@dataclass(frozen=True)
class PackedFile:
    """Packed records in files, n of them.

    Attributes:
        records: the records.
        ends: where each ends, int64.
        count: n.
    """

    records: WorkFile
    ends: WorkFile
    count: int

    def batches(self) -> Iterator[Framed]:
        """Yield them, some MiB at a time."""
        ends = np.zeros(self.count + 1, np.int64)
        self.ends.fill(ends[1:], [(0, self.count)])
        cuts = np.flatnonzero(np.diff(ends[1:] // TUNING.packed_bytes)) + 1
        for a, b in pairwise([0, *cuts.tolist(), self.count]):
            data = np.empty(ends[b] - ends[a], np.uint8)
            self.records.fill(data, [(int(ends[a]), len(data))])
            yield Framed(data, ends[a : b + 1] - ends[a])


class _SomeNodes:
    """The rows of a range, numbered from 0, as packing asks for them."""

    def __init__(self, task: PackTask) -> None:
        seeds, count = task.seeds, task.stop - task.first
        self._task = task
        marks = np.empty(count, np.uint8)
        seeds.is_seed.fill(marks, [(task.first, count)])
        self.is_seed = marks.astype(np.bool_)
        self.labeled = seeds.labeled - task.first
        self.seed_unlabeled = seeds.seed_unlabeled

    def soft(self) -> SoftLabels | None:
        """Return their soft labels, if there are any."""
        seeds, count = self._task.seeds, self._task.stop - self._task.first
        if seeds.soft is None:
            return None
        values = np.empty((count, seeds.soft_width), np.float32)
        seeds.soft.fill(values, [(self._task.first, count)])
        return SoftLabels(np.arange(count), values)

    def examples(self) -> Iterator[tuple[int, ExampleBatch]]:
        """Yield their examples, and the row of the first of each batch."""
        first, stop = self._task.first, self._task.stop
        for row, batch in self._task.part.examples(first, stop):
            yield row - first, batch

    def id_of(self, row: int) -> bytes:
        """Return the id of a row, for a message."""
        name = self._task.seeds.options.id_feature.encode()
        for first, batch in self.examples():
            if row < first + len(batch):
                payload = batch.records.payloads[row - first]
                return bytes(example.decode_bytes(example.parse(payload)[name])[0])
        raise IndexError(row)


def pack_range(task: PackTask) -> PackedFile:
    """Return the packed records of a range of seeds, in files.

    Raises:
        DataError: a seed has features that packing would add, or is too long with its neighbours.
    """
    nodes = _SomeNodes(task)
    edges = np.empty(task.stop_edge - task.first_edge, EDGE)
    task.seeds.edges.fill(edges, [(task.first_edge, len(edges))])
    edges["source"] -= task.first
    pool = pool_for(task.blocks)
    seeds = SeedRange(task.stop - task.first, edges, pool)
    marks = Marks(nodes, nodes.soft())
    sizes: list[npt.NDArray[np.int64]] = []

    def written() -> Iterator[npt.NDArray[Any]]:
        for framed in packed_batches(nodes.examples(), nodes, [seeds], marks, task.seeds.limit):
            sizes.append(np.diff(framed.ends))
            yield seal(framed).data

    records = write_work(task.seeds.folder, "packed", written())
    ends = np.cumsum(np.concatenate([np.empty(0, np.int64), *sizes]))
    return PackedFile(records, write_work(task.seeds.folder, "ends", [ends]), len(ends))


def packed_by(
    engine: Engine,
    folder: str,
    places: RecordPlaces,
    plan: JoinPlan,
    nodes: NodeRows,
    soft: SoftLabels | None,
    options: PackOptions,
    limit: int,
    statistics: Statistics,
) -> Iterator[Framed]:
    """Yield the packed records of all seeds, in order, as an engine makes them.

    Args:
        engine: runs the tasks.
        folder: for what they leave for each other.
        places: where records are.
        plan: which edges are packed, by ranges of seeds.
        nodes: all nodes.
        soft: labels of the seeds, if there are any.
        options: of the run.
        limit: bytes that a task may take.
        statistics: counts what is not packed of neighbours.

    Raises:
        EngineError: a task failed again and again. WorkError: the folder cannot be used.
    """
    tasks = _block_tasks(folder, places, plan, nodes, options, task_bytes(limit))
    made = tuple(engine.run(make_blocks_of, tasks, "copying neighbours"))
    tell_unknown(sum(each.unknown for each in made), statistics)
    if plan.edges:
        found = frozenset[bytes]().union(*(each.names for each in made))
        tell_lacking(set(options.copied_features or ()) - found, statistics)
    packs = _pack_tasks(folder, places, plan, nodes, soft, options, limit, made)
    for packed in engine.run(pack_range, packs, "packing seeds"):
        yield from packed.batches()


def _block_tasks(
    folder: str,
    places: RecordPlaces,
    plan: JoinPlan,
    nodes: NodeRows,
    options: PackOptions,
    most: int,
) -> list[BlocksTask]:
    """Return tasks for all records that some range needs; what each needs is in a file."""
    parts = places.parts(0, nodes.count, most)
    bounds = [0]

    def needs() -> Iterator[npt.NDArray[Any]]:
        for part in parts:
            keys, which, ranges = plan.needs_before(part.row + part.rows)
            found = np.empty(len(which), NEED)
            found["key"], found["range"] = keys[which], ranges
            bounds.append(bounds[-1] + len(found))
            yield found

    file = write_work(folder, "needs", needs())
    return [
        BlocksTask(folder, part, file, first, stop, options)
        for part, (first, stop) in zip(parts, pairwise(bounds), strict=True)
        if first < stop
    ]


@dataclass(frozen=True)
class _Seeds:
    """Some seeds of a range of the plan, as of `PackTask`, before all that tasks need is there."""

    number: int
    part: Part
    first: int
    stop: int
    first_edge: int
    stop_edge: int


def _pack_tasks(
    folder: str,
    places: RecordPlaces,
    plan: JoinPlan,
    nodes: NodeRows,
    soft: SoftLabels | None,
    options: PackOptions,
    limit: int,
    made: Sequence[MadeBlocks],
) -> list[PackTask]:
    """Return tasks for all seeds, and write what they know of all nodes."""
    end = int(np.flatnonzero(nodes.is_seed).max(initial=-1)) + 1
    found: list[_Seeds] = []

    def edges() -> Iterator[npt.NDArray[Any]]:
        first = place = 0
        for number in range(len(plan.ends)):
            own = plan.edges_of(number)
            # A range without edges ends nowhere; the last one has the seeds that are left.
            stop = max(first, min(plan.ends[number], end))
            for part in places.parts(first, stop, task_bytes(limit)):
                rows = max(first, part.row), min(stop, part.row + part.rows)
                between = (place + np.searchsorted(own["source"], rows)).tolist()
                found.append(_Seeds(number, part, *rows, *between))
            first, place = stop, place + len(own)
            yield own

    def soft_labels(known: SoftLabels) -> Iterator[npt.NDArray[Any]]:
        for first in range(0, nodes.count, TUNING.weighed_rows):
            yield known.of(np.arange(first, min(nodes.count, first + TUNING.weighed_rows)))

    seeds = SeedFiles(
        folder,
        write_work(folder, "chosen", edges()),
        write_work(folder, "seeds", [nodes.is_seed.astype(np.uint8)]),
        write_work(folder, "soft", soft_labels(soft)) if soft else None,
        soft.values.shape[1] if soft else 0,
        nodes.labeled,
        nodes.seed_unlabeled,
        options,
        limit,
    )
    blocks: dict[int, list[BlocksOfRange]] = {some.number: [] for some in found}
    for each in made:
        for number, of_range in each.ranges.items():
            blocks[number].append(of_range)
    return [
        PackTask(
            seeds, some.part, some.first, some.stop, some.first_edge, some.stop_edge,
            tuple(blocks[some.number]),
        )
        for some in found
    ]  # fmt: skip
