"""The two readings of records that make the join: neighbours to blocks, seeds to packed records."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from nsl_tools.arrays.byte_spans import Bytes, Places, offsets_of
from nsl_tools.arrays.ids import shown
from nsl_tools.formats.protobuf.wire import MAX_LENGTH
from nsl_tools.memory import memory_problem, shown_size
from nsl_tools.pack_nbrs.neighbor_blocks import make_blocks
from nsl_tools.pack_nbrs.neighbor_store import META, Pool, digits_of, rows_of
from nsl_tools.pack_nbrs.plan import edge_keys
from nsl_tools.pack_nbrs.splice import Neighbors, Seeds, added_names, refused_seed, splice
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from nsl_tools.formats.example_batch import ExampleBatch
    from nsl_tools.formats.tfrecord.frames import Framed
    from nsl_tools.options import PackOptions
    from nsl_tools.pack_nbrs.inputs import Input
    from nsl_tools.pack_nbrs.marks.seed_marks import Marks
    from nsl_tools.pack_nbrs.plan import JoinPlan
    from nsl_tools.progress import Work
    from nsl_tools.spill.partitions import Records
    from nsl_tools.statistics import Statistics


def needed_blocks(
    inputs: Iterable[tuple[Input, bool]],
    plan: JoinPlan,
    options: PackOptions,
    statistics: Statistics,
    work: Work | None = None,
) -> Iterator[tuple[Records, Bytes, Places, Places]]:
    """Yield the blocks that are needed of the examples, as `BlockStore.add` takes them.

    Args:
        inputs: the inputs, and whether each will be read again.
        plan: which are needed.
        options: which features are packed, and what one called `weight` becomes.
        statistics: counts what is not packed of neighbours.
        work: counts the records that were gone through.

    Raises:
        DataError: a neighbour has a feature called `weight`, or is too long.
    """
    row, unknown, lacking = 0, 0, set(options.copied_features or ())
    for batch in (batch for part, again in inputs for batch in part.examples(again=again)):
        keys, places, ranges = plan.needs_before(row + len(batch))
        if len(keys):
            rows = rows_of(keys) - row
            meta, data = blocks_of(batch, keys, rows, options)
            yield meta, data, places, ranges
            unknown += unknown_among(batch, rows)
            lacking -= set(batch.parsed.known)
        row += len(batch)
        if work:
            work.add(len(batch))
    tell_unknown(unknown, statistics)
    tell_lacking(lacking, statistics)


def unknown_among(batch: ExampleBatch, rows: Places) -> int:
    """Return how many neighbours hold more than features, which alone NSL copies, too."""
    more = [row for row, odd in batch.parsed.odd.items() if odd.is_counted]
    return int(np.isin(more, rows).sum())


def tell_unknown(count: int, statistics: Statistics) -> None:
    """Count neighbours that hold more than features."""
    if count:
        reason = "neighbours with fields that tf.train.Example does not have, which are not packed"
        statistics.drop(reason, count)


def tell_lacking(names: Iterable[bytes], statistics: Statistics) -> None:
    """Warn of features that were asked for and that no neighbour has."""
    for name in sorted(names):
        statistics.warnings[f"--nbr-features: no neighbour has a feature {shown(name)}"] = 1


def blocks_of(
    batch: ExampleBatch, keys: Records, rows: Places, options: PackOptions
) -> tuple[Records, Bytes]:
    """Return the blocks with these keys, and what the store wants to know of each."""
    copied = options.copied_features
    parsed = batch.parsed if copied is None else batch.parsed.only(copied)
    with batch.errors():
        blocks = make_blocks(parsed, rows, digits_of(keys), options.rename_weight)
    meta = np.empty(len(keys), META)
    meta["key"], meta["length"], meta["gaps"] = keys, blocks.lengths, blocks.gaps
    return meta, blocks.data


class SeedNodes(Protocol):
    """What packing asks of nodes.

    Attributes:
        is_seed: whether each row is packed, shape (n,), bool.
    """

    is_seed: npt.NDArray[np.bool_]

    def id_of(self, row: int) -> bytes:
        """Return the id of a row, for a message."""


class SeedRange(NamedTuple):
    """A range of seeds.

    Attributes:
        end: the row after its last one.
        edges: those that leave it, by seed and rank.
        pool: the blocks of its neighbours.
    """

    end: int
    edges: Records
    pool: Pool


def numbered(inputs: Iterable[Input]) -> Iterator[tuple[int, ExampleBatch]]:
    """Yield all examples of some inputs, and the row of the first of each batch."""
    row = 0
    for batch in (batch for part in inputs for batch in part.examples()):
        yield row, batch
        row += len(batch)


def ranges_of(plan: JoinPlan, pools: Iterable[Pool]) -> Iterator[SeedRange]:
    """Yield the ranges of a plan, of whose pools one is to be used at a time."""
    for index, (end, pool) in enumerate(zip(plan.ends, pools, strict=True)):
        yield SeedRange(end, plan.edges_of(index), pool)


def packed_batches(
    examples: Iterable[tuple[int, ExampleBatch]],
    nodes: SeedNodes,
    ranges: Iterable[SeedRange],
    marks: Marks,
    limit: int | None,
) -> Iterator[Framed]:
    """Yield the packed examples, in the order of the seeds.

    Args:
        examples: in order of their rows, with the row of the first of each batch.
        nodes: tell which rows are seeds.
        ranges: of the seeds, in order.
        marks: what seeds get beside neighbours.
        limit: bytes that the run may use, which bound a record too; None for any.

    Raises:
        DataError: a seed has features that packing would add, or is too long with its neighbours.
    """
    seeds = _SeedReader(examples, nodes, marks)
    for end, edges, pool in ranges:
        sources = edges["source"].copy()
        for rows, batch in seeds.before(end):
            if len(rows):
                work = _Work(batch, edges, pool, _bounds(sources, rows))
                work.refuse_long(rows, nodes, limit)
                yield from work.spliced()


def _bounds(sources: npt.NDArray[np.uint32], rows: Places) -> Places:
    """Return where each of n rows starts in ascending `sources`, and the last ends: (n + 1,)."""
    wanted = rows.astype(sources.dtype)  # of another type, all sources would be converted
    starts = np.searchsorted(sources, wanted)
    return np.append(starts, np.searchsorted(sources, wanted[-1], side="right"))


class _SeedReader:
    """Reads the seeds in order, up to any row."""

    def __init__(
        self, examples: Iterable[tuple[int, ExampleBatch]], nodes: SeedNodes, marks: Marks
    ) -> None:
        self._nodes = nodes
        self._marks = marks
        self._batches = self._read(examples)
        self._next: tuple[Places, Seeds] | None = None

    def _read(self, examples: Iterable[tuple[int, ExampleBatch]]) -> Iterator[tuple[Places, Seeds]]:
        for first, batch in examples:
            rows = np.arange(first, first + len(batch))
            seeds = np.flatnonzero(self._nodes.is_seed[rows])
            with batch.errors():
                yield rows[seeds], self._seeds(batch, rows[seeds], seeds)

    def _seeds(self, batch: ExampleBatch, rows: Places, seeds: Places) -> Seeds:
        parsed = batch.parsed
        self._check(batch, seeds)
        starts, ends = parsed.maps.at(seeds)
        marks = self._marks.of(rows)
        tails = np.zeros(len(batch), np.int64)
        for row, odd in parsed.odd.items():
            tails[row] = odd.outside
        behind = tails[seeds] if tails.any() else None
        return Seeds(parsed.data, starts, ends - starts, marks, behind, batch.records, seeds)

    def _check(self, batch: ExampleBatch, seeds: Places) -> None:
        """Raise ExampleError if a seed has features that packing would add."""
        parsed = batch.parsed
        if not (added := added_names(parsed.known)):
            return
        places = np.flatnonzero(np.isin(parsed.names, added))
        rows = np.searchsorted(parsed.bounds, places, side="right") - 1
        if len(found := np.flatnonzero(np.isin(rows, seeds))):
            first = int(found[0])
            raise refused_seed(int(rows[first]), parsed.known[parsed.names[places[first]]])

    def before(self, end: int) -> Iterator[tuple[Places, Seeds]]:
        """Yield the seeds before row `end` that were not asked for yet, and their rows."""
        while (batch := self._next or next(self._batches, None)) is not None:
            rows, seeds = batch
            count = int(np.searchsorted(rows, end))
            self._next = (rows[count:], seeds[count:]) if count < len(rows) else None
            yield rows[:count], seeds[:count]
            if self._next is not None:
                return


class _Work:
    """Some seeds to pack, n of them, and the edges from one range of seeds."""

    def __init__(self, seeds: Seeds, edges: Records, pool: Pool, bounds: Places) -> None:
        """Take edges of which those from `bounds[i]` to `bounds[i + 1]` leave seed `i`."""
        self._seeds, self._pool = seeds, pool
        own = edges[bounds[0] : bounds[-1]]
        self._bounds = bounds - bounds[0]
        self._weights = own["weight"]
        self._blocks = pool.places_of(edge_keys(own))
        blocks = np.diff(offsets_of(pool.lengths[self._blocks])[self._bounds])
        self._sizes: Places = seeds.lengths + blocks

    def refuse_long(self, rows: Places, nodes: SeedNodes, limit: int | None) -> None:
        """Raise DataError if a packed record, of the seeds in `rows`, is too long.

        No reader takes one of more than 2 GiB; making one takes a multiple of it, within `limit`.
        """
        seeds = self._seeds
        added = 100 + seeds.marks.shape[1]  # bytes beside the blocks of neighbours, or fewer
        sizes = self._sizes + added + (0 if seeds.tails is None else seeds.tails)
        index = int(np.argmax(sizes))
        size = int(sizes[index])
        problem = _size_problem(size, limit)
        if problem:
            count = int(self._bounds[index + 1] - self._bounds[index])
            node = shown(nodes.id_of(int(rows[index])))
            made = f"{node} with its {count:,} neighbours makes a record of {shown_size(size)}"
            raise seeds.records.error(int(seeds.indices[index]), f"{made}, {problem}")

    def spliced(self) -> Iterator[Framed]:
        """Yield packed records, some MiB at a time."""
        sizes, bounds = self._sizes, self._bounds
        part = (np.cumsum(sizes) - sizes) // TUNING.packed_bytes
        for a, b in pairwise([0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(sizes)]):
            start, end = int(bounds[a]), int(bounds[b])
            weights = self._weights[start:end].astype(np.float32)
            blocks = self._blocks[start:end]
            neighbors = Neighbors(bounds[a : b + 1] - start, blocks, weights)
            yield splice(self._seeds[a:b], neighbors, self._pool)


def _size_problem(size: int, limit: int | None) -> str:
    if size > MAX_LENGTH:
        return f"and readers take {shown_size(MAX_LENGTH)} at most: lower --max-nbrs"
    problem = memory_problem(size, limit)
    return problem and f"{problem}, or lower --max-nbrs"
