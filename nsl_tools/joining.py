"""The two readings of records that make the join: neighbours to blocks, seeds to packed records."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools import example
from nsl_tools.block_store import DIGITS_BITS, META, Pool
from nsl_tools.ids import shown
from nsl_tools.join_plan import distinct, edge_keys
from nsl_tools.memory import memory_problem, shown_size
from nsl_tools.spans import Bytes, Places, offsets_of
from nsl_tools.splice import Neighbors, Seeds, check_seed, splice

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy.typing as npt

    from nsl_tools.blocks import Gaps, Shapes
    from nsl_tools.join_plan import JoinPlan
    from nsl_tools.layout import Parsed
    from nsl_tools.node_rows import Input, NodeRows
    from nsl_tools.nodes import ExampleBatch
    from nsl_tools.runs import Records
    from nsl_tools.statistics import Statistics
    from nsl_tools.tfrecord import Framed

_MOST_CHECKED, _MOST_NAMES = 256, 256
"""Sets of names that are known to be right, and names in one: others are checked again."""
_MOST_BYTES = 1 << 21
"""Packed records to make at once, unless one is longer."""
_LONGEST_RECORD = (1 << 31) - 1
"""That protobuf, and so every reader of examples, takes."""
_ADDED_BYTES = 100
"""No less than what packing adds to a record beside the blocks of neighbours."""


def needed_blocks(
    inputs: Iterable[tuple[Input, bool]], plan: JoinPlan, shapes: Shapes, statistics: Statistics
) -> Iterator[tuple[Records, Bytes, Places, Places]]:
    """Yield the blocks that are needed of the examples, as `BlockStore.add` takes them.

    Args:
        inputs: the inputs, and whether each will be read again.
        plan: which are needed.
        shapes: gets the shapes of the blocks.
        statistics: counts what is not packed of neighbours.

    Raises:
        DataError: a neighbour has a feature called `weight`.
    """
    row = 0
    for batch in (batch for part, again in inputs for batch in part.examples(again=again)):
        keys, places, ranges = plan.needs_before(row + len(batch))
        if len(keys):
            yield _blocks_of(batch, row, (keys, places, ranges), shapes)
            _count_unknown(batch, row, keys, statistics)
        row += len(batch)


def _count_unknown(batch: ExampleBatch, first: int, keys: Records, statistics: Statistics) -> None:
    """Count the neighbours that hold more than features, of which alone NSL makes copies, too."""
    unknown = batch.parsed.unknown
    more = [row for row, found in unknown.items() if found.outside or found.among]
    if not more:
        return
    rows = (keys >> np.uint64(DIGITS_BITS)).astype(np.int64) - first
    if count := int(np.isin(more, rows).sum()):
        reason = "neighbours with fields that tf.train.Example does not have, which are not packed"
        statistics.drop(reason, count)


def _blocks_of(
    batch: ExampleBatch, first: int, needs: tuple[Records, Places, Places], shapes: Shapes
) -> tuple[Records, Bytes, Places, Places]:
    """Return the blocks of a batch, whose first record is row `first`."""
    keys, places, ranges = needs
    rows = (keys >> np.uint64(DIGITS_BITS)).astype(np.int64) - first
    digits = (keys & np.uint64((1 << DIGITS_BITS) - 1)).astype(np.int64)
    meta = np.empty(len(keys), META)
    meta["key"] = keys
    order, parts = [], []
    with batch.errors():
        for found, shape, data in _blocks(batch, rows, digits, shapes):
            meta["shape"][found], meta["length"][found] = shape, data.size // len(found)
            order.append(found)
            parts.append(data)
    added = np.concatenate(order)
    place_of = np.empty(len(keys), np.int64)
    place_of[added] = np.arange(len(added))
    data = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return meta[added], data, place_of[places], ranges


def _blocks(
    batch: ExampleBatch, rows: Places, digits: Places, shapes: Shapes
) -> Iterator[tuple[Places, int, Bytes]]:
    """Yield which of `rows` a part of the blocks is for, their shape, and their bytes."""
    for group in batch.parsed.groups:
        place = np.searchsorted(group.rows, rows)
        place[place == len(group.rows)] = 0
        members = group.rows[place] == rows
        lengths = [end - start for start, end in group.layout.spans.values()]
        for count in distinct(digits[members]).tolist():
            found = np.flatnonzero(members & (digits == count))
            index = int(rows[found[0]])
            shape, form = shapes.of(index, list(group.layout.spans), lengths, count)
            yield found, shape, form.fill_all(group, place[found]).ravel()
    walked = batch.parsed.walked
    for i, row in enumerate(rows.tolist() if walked else []):
        if row in walked:
            features = batch.parsed.whole(row)
            lengths = list(map(len, features.values()))
            shape, form = shapes.of(row, list(features), lengths, int(digits[i]))
            block = form.fill(list(features.values()))
            yield np.array([i]), shape, np.frombuffer(block, np.uint8)


def packed_batches(
    inputs: Sequence[Input],
    nodes: NodeRows,
    plan: JoinPlan,
    pools: Iterable[Pool],
    shapes: Sequence[Gaps],
) -> Iterator[Framed]:
    """Yield the packed examples, in the order of the seeds.

    Raises:
        DataError: a seed has features that packing would add, or is too long with its neighbours.
    """
    seeds = _SeedReader(inputs, nodes)
    limit = next((source.memory_limit for part in inputs for source in part.sources), None)
    for index, (end, pool) in enumerate(zip(plan.ends, pools, strict=True)):
        edges = plan.edges_of(index)
        sources = edges["source"].copy()
        for rows, batch in seeds.before(end):
            if len(rows):
                work = _Work(batch, edges, pool, shapes, _bounds(sources, rows))
                work.refuse_long(rows, nodes, limit)
                yield from work.spliced()


def _bounds(sources: npt.NDArray[np.uint32], rows: Places) -> Places:
    """Return where each of n rows starts in ascending `sources`, and the last ends: (n + 1,)."""
    wanted = rows.astype(sources.dtype)  # of another type, all sources would be converted
    starts = np.searchsorted(sources, wanted)
    return np.append(starts, np.searchsorted(sources, wanted[-1], side="right"))


class _SeedReader:
    """Reads the seeds in order, up to any row."""

    def __init__(self, inputs: Sequence[Input], nodes: NodeRows) -> None:
        self._nodes = nodes
        self._checked: set[tuple[bytes, ...]] = set()
        self._batches = self._read(inputs)
        self._next: tuple[Places, Seeds] | None = None

    def _read(self, inputs: Sequence[Input]) -> Iterator[tuple[Places, Seeds]]:
        first = 0
        for batch in (batch for part in inputs for batch in part.examples()):
            rows = np.arange(first, first + len(batch))
            seeds = np.flatnonzero(self._nodes.is_seed[rows])
            with batch.errors():
                yield rows[seeds], self._seeds(batch, rows[seeds], seeds)
            first += len(batch)

    def _seeds(self, batch: ExampleBatch, rows: Places, seeds: Places) -> Seeds:
        starts, ends = batch.records.starts.copy(), batch.records.ends.copy()
        is_seed = np.zeros(len(batch), np.bool_)
        is_seed[seeds] = True
        for group in batch.parsed.groups:
            starts[group.rows] += group.layout.head
            if is_seed[group.rows].any():
                first = int(group.rows[is_seed[group.rows]][0])
                self._check(first, tuple(group.layout.spans))
        aside = []
        tails = np.zeros(len(batch), np.int64)
        end = len(batch.records.data)
        for row in batch.parsed.walked:
            if is_seed[row]:
                self._check(row, tuple(batch.parsed.walked[row]))
                entries, tail = _walked_seed(batch.parsed, row)
                aside += [entries, tail]
                starts[row], ends[row] = end, end + len(entries)
                tails[row] = len(tail)
                end += len(entries) + len(tail)
        data = np.frombuffer(b"".join([batch.records.data, *aside]), np.uint8)
        labeled = rows < self._nodes.labeled if self._nodes.seed_unlabeled else None
        behind = tails[seeds] if tails.any() else None
        lengths = (ends - starts)[seeds]
        return Seeds(data, starts[seeds], lengths, labeled, behind, batch.records, seeds)

    def _check(self, index: int, names: tuple[bytes, ...]) -> None:
        if names not in self._checked:
            check_seed(index, names)
            if len(self._checked) == _MOST_CHECKED:
                self._checked.clear()
            if len(names) <= _MOST_NAMES:
                self._checked.add(names)

    def before(self, end: int) -> Iterator[tuple[Places, Seeds]]:
        """Yield the seeds before row `end` that were not asked for yet, and their rows."""
        while (batch := self._next or next(self._batches, None)) is not None:
            rows, seeds = batch
            count = int(np.searchsorted(rows, end))
            self._next = (rows[count:], seeds[count:]) if count < len(rows) else None
            yield rows[:count], seeds[:count]
            if self._next is not None:
                return


def _walked_seed(parsed: Parsed, row: int) -> tuple[bytes, bytes]:
    """Return the encoded feature map of a walked record, and what comes after it in the record."""
    entries = example.encode_entries(parsed.whole(row))
    if row not in parsed.unknown:
        return entries, b""
    unknown = parsed.unknown[row]
    return entries + bytes(unknown.among), bytes(unknown.outside)


class _Work:
    """Some seeds to pack, n of them, and the edges from one range of seeds."""

    def __init__(
        self, seeds: Seeds, edges: Records, pool: Pool, shapes: Sequence[Gaps], bounds: Places
    ) -> None:
        """Take edges of which those from `bounds[i]` to `bounds[i + 1]` leave seed `i`."""
        self._seeds, self._pool, self._shapes = seeds, pool, shapes
        own = edges[bounds[0] : bounds[-1]]
        self._bounds = bounds - bounds[0]
        self._weights = own["weight"]
        self._blocks = pool.places_of(edge_keys(own))
        blocks = np.diff(offsets_of(pool.lengths[self._blocks])[self._bounds])
        self._sizes: Places = seeds.lengths + blocks

    def refuse_long(self, rows: Places, nodes: NodeRows, limit: int | None) -> None:
        """Raise DataError if a packed record, of the seeds in `rows`, is too long.

        No reader takes one of more than 2 GiB; making one takes a multiple of it, within `limit`.
        """
        seeds = self._seeds
        sizes = self._sizes + _ADDED_BYTES + (0 if seeds.tails is None else seeds.tails)
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
        part = (np.cumsum(sizes) - sizes) // _MOST_BYTES
        for a, b in pairwise([0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(sizes)]):
            start, end = int(bounds[a]), int(bounds[b])
            weights = self._weights[start:end].astype(np.float32)
            blocks = self._blocks[start:end]
            neighbors = Neighbors(bounds[a : b + 1] - start, blocks, weights)
            yield splice(self._seeds[a:b], neighbors, self._pool, self._shapes)


def _size_problem(size: int, limit: int | None) -> str:
    if size > _LONGEST_RECORD:
        return f"and readers take {shown_size(_LONGEST_RECORD)} at most: lower --max-nbrs"
    problem = memory_problem(size, limit)
    return problem and f"{problem}, or lower --max-nbrs"
