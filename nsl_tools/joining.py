"""The two readings of records that make the join: neighbours to blocks, seeds to packed records."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools import example
from nsl_tools.block_store import DIGITS_BITS, META, Pool
from nsl_tools.errors import DataError
from nsl_tools.join_plan import distinct, edge_keys
from nsl_tools.memory import memory_problem
from nsl_tools.nodes import Places as Origins
from nsl_tools.spans import Bytes, Places, offsets_of
from nsl_tools.splice import Neighbors, Seeds, check_seed, splice

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy.typing as npt

    from nsl_tools.blocks import Gaps, Shapes
    from nsl_tools.join_plan import JoinPlan
    from nsl_tools.node_rows import Input, NodeRows
    from nsl_tools.nodes import ExampleBatch
    from nsl_tools.runs import Records
    from nsl_tools.tfrecord import Framed

_MOST_CHECKED, _MOST_NAMES = 256, 256
"""Sets of names that are known to be right, and names in one: others are checked again."""
_MOST_BYTES = 1 << 21
"""Packed records to make at once, unless one is longer."""


def needed_blocks(
    inputs: Iterable[tuple[Input, bool]], plan: JoinPlan, shapes: Shapes
) -> Iterator[tuple[Records, Bytes, Places, Places]]:
    """Yield the blocks that are needed of the examples, as `BlockStore.add` takes them.

    Args:
        inputs: the inputs, and whether each will be read again.
        plan: which are needed.
        shapes: gets the shapes of the blocks.

    Raises:
        DataError: a neighbour has a feature called `weight`.
    """
    row = 0
    for batch in (batch for part, again in inputs for batch in part.examples(again=again)):
        keys, places, ranges = plan.needs_before(row + len(batch))
        if len(keys):
            yield _blocks_of(batch, row, (keys, places, ranges), shapes)
        row += len(batch)


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
        if (features := walked.get(row)) is not None:
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
    for index, (end, pool) in enumerate(zip(plan.ends, pools, strict=True)):
        edges = plan.edges_of(index)
        sources = edges["source"].copy()
        for rows, batch in seeds.before(end):
            if len(rows):
                bounds = _bounds(sources, rows)
                blocks = pool.places_of(edge_keys(edges[bounds[0] : bounds[-1]]))
                sizes = batch.lengths + _sums(pool.lengths[blocks], bounds - bounds[0])
                seeds.refuse_too_long(rows, sizes)
                yield from _spliced(bounds, batch, edges, blocks, sizes, pool, shapes)


def _bounds(sources: npt.NDArray[np.uint32], rows: Places) -> Places:
    """Return where each of n rows starts in ascending `sources`, and the last ends: (n + 1,)."""
    wanted = rows.astype(sources.dtype)  # of another type, all sources would be converted
    starts = np.searchsorted(sources, wanted)
    return np.append(starts, np.searchsorted(sources, wanted[-1], side="right"))


class _SeedReader:
    """Reads the seeds in order, up to any row."""

    def __init__(self, inputs: Sequence[Input], nodes: NodeRows) -> None:
        self._nodes = nodes
        self._limit = next((source.memory_limit for i in inputs for source in i.sources), None)
        self._origins = Origins()
        self._checked: set[tuple[bytes, ...]] = set()
        self._batches = self._read(inputs)
        self._next: tuple[Places, Seeds] | None = None

    def _read(self, inputs: Sequence[Input]) -> Iterator[tuple[Places, Seeds]]:
        first = 0
        for batch in (batch for part in inputs for batch in part.examples()):
            rows = np.arange(first, first + len(batch))
            seeds = np.flatnonzero(self._nodes.is_seed[rows])
            self._origins.add(batch.records)
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
        end = len(batch.records.data)
        for row, features in batch.parsed.walked.items():
            if is_seed[row]:
                self._check(row, tuple(features))
                aside.append(example.encode_entries(features))
                starts[row], end = end, end + len(aside[-1])
                ends[row] = end
        data = np.frombuffer(b"".join([batch.records.data, *aside]), np.uint8)
        labeled = rows < self._nodes.labeled if self._nodes.seed_unlabeled else None
        return Seeds(data, starts[seeds], (ends - starts)[seeds], labeled)

    def _check(self, index: int, names: tuple[bytes, ...]) -> None:
        if names not in self._checked:
            check_seed(index, names)
            if len(self._checked) == _MOST_CHECKED:
                self._checked.clear()
            if len(names) <= _MOST_NAMES:
                self._checked.add(names)

    def refuse_too_long(self, rows: Places, sizes: Places) -> None:
        """Refuse seeds, at `rows`, of which a packed one, of about `sizes` bytes, does not fit."""
        longest = int(np.argmax(sizes))
        if problem := memory_problem(int(sizes[longest]), self._limit):
            source, number = self._origins.of(int(rows[longest]))
            long = f"with its neighbours {sizes[longest]} bytes long"
            hint = f"{long}, {problem}, or give a smaller --max-nbrs"
            raise DataError(source, f"record {number}", hint, number)

    def before(self, end: int) -> Iterator[tuple[Places, Seeds]]:
        """Yield the seeds before row `end` that were not asked for yet, and their rows."""
        while (batch := self._next or next(self._batches, None)) is not None:
            rows, seeds = batch
            count = int(np.searchsorted(rows, end))
            self._next = (rows[count:], seeds[count:]) if count < len(rows) else None
            yield rows[:count], seeds[:count]
            if self._next is not None:
                return


def _sums(lengths: Places, bounds: Places) -> Places:
    """Return the sum of the `lengths` between each two of n + 1 `bounds`, shape (n,)."""
    return np.diff(offsets_of(lengths)[bounds])


def _spliced(
    bounds: Places,
    seeds: Seeds,
    edges: Records,
    blocks: Places,
    sizes: Places,
    pool: Pool,
    shapes: Sequence[Gaps],
) -> Iterator[Framed]:
    """Yield packed records of the seeds whose edges have these bounds, some MiB at a time."""
    own = edges[bounds[0] : bounds[-1]]
    bounds = bounds - bounds[0]
    part = (np.cumsum(sizes) - sizes) // _MOST_BYTES
    for a, b in pairwise([0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(sizes)]):
        start, end = int(bounds[a]), int(bounds[b])
        weights = own["weight"][start:end].astype(np.float32)
        neighbors = Neighbors(bounds[a : b + 1] - start, blocks[start:end], weights)
        yield splice(seeds[a:b], neighbors, pool, shapes)
