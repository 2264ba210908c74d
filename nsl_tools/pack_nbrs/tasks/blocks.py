"""The blocks of the neighbours in some records: a task each, for all ranges of seeds at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.arrays.byte_spans import offsets_of
from nsl_tools.engines.work_folder import WorkFile, write_work
from nsl_tools.pack_nbrs.join import blocks_of, unknown_among
from nsl_tools.pack_nbrs.neighbor_store import META, Pool, block_sizes, copies, pool_of, rows_of
from nsl_tools.pack_nbrs.plan import NEED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    import numpy.typing as npt

    from nsl_tools.arrays.byte_spans import Bytes, Places
    from nsl_tools.options import PackOptions
    from nsl_tools.pack_nbrs.tasks.records import Part
    from nsl_tools.spill.partitions import Records


@dataclass(frozen=True)
class BlocksTask:
    """Some records, and which ranges of seeds need which of them.

    Attributes:
        folder: for what is made.
        part: the records.
        needs: a file of `NEED`, sorted by key.
        first: place there of the first need of these records.
        stop: place after the last.
        options: which features are packed.
    """

    folder: str
    part: Part
    needs: WorkFile
    first: int
    stop: int
    options: PackOptions


@dataclass(frozen=True)
class BlocksOfRange:
    """The blocks that one range of seeds needs of some records.

    Attributes:
        file: holds what is known of each, then their bytes.
        place: byte where that starts.
        count: how many there are.
        size: bytes of all of them.
    """

    file: WorkFile
    place: int
    count: int
    size: int


@dataclass(frozen=True)
class MadeBlocks:
    """Blocks that a task made.

    Attributes:
        ranges: those of each range that needs some.
        unknown: records among them with fields that are not packed.
        names: which of the features that were asked for by name they have.
    """

    ranges: dict[int, BlocksOfRange]
    unknown: int
    names: frozenset[bytes]


def make_blocks_of(task: BlocksTask) -> MadeBlocks:
    """Return the blocks that ranges need of some records, in a file.

    Raises:
        DataError: a neighbour has a feature called `weight`, or is too long.
    """
    needs = np.empty(task.stop - task.first, NEED)
    task.needs.fill(needs, [(task.first, len(needs))])
    found = _Found()
    for row, batch in task.part.examples(task.part.row, task.part.row + task.part.rows):
        rows = rows_of(needs["key"])
        own = needs[np.searchsorted(rows, row) : np.searchsorted(rows, row + len(batch))]
        if len(own):
            keys, places = np.unique(own["key"], return_inverse=True)
            found.add(*blocks_of(batch, keys, rows_of(keys) - row, task.options), places, own)
            found.unknown += unknown_among(batch, rows_of(keys) - row)
            found.names |= set(task.options.copied_features or ()) & set(batch.parsed.known)
    return found.written(task.folder)


class _Found:
    """The blocks that were made so far, and which ranges need them."""

    def __init__(self) -> None:
        self._meta = [np.empty(0, META)]
        self._data: list[Bytes] = [np.empty(0, np.uint8)]
        self._blocks: list[Places] = [np.empty(0, np.int64)]
        self._ranges: list[Places] = [np.empty(0, np.int64)]
        self._count = 0
        self.unknown = 0
        self.names: set[bytes] = set()

    def add(self, meta: Records, data: Bytes, places: Places, needs: Records) -> None:
        """Add blocks, of which each need wants the one at a place."""
        self._meta.append(meta)
        self._data.append(data)
        self._blocks.append(places + self._count)
        self._ranges.append(needs["range"].astype(np.int64))
        self._count += len(meta)

    def written(self, folder: str) -> MadeBlocks:
        """Write a copy of each block for each range that needs it."""
        meta, data = np.concatenate(self._meta), np.concatenate(self._data)
        starts = offsets_of(block_sizes(meta))[:-1]
        blocks, ranges = np.concatenate(self._blocks), np.concatenate(self._ranges)
        order = np.argsort(ranges, kind="stable")
        blocks, ranges = blocks[order], ranges[order]
        numbers, firsts = np.unique(ranges, return_index=True)
        parts = np.split(blocks, firsts[1:])

        def written() -> Iterator[npt.NDArray[Any]]:
            for some in parts if len(numbers) else ():
                yield meta[some]
                yield from copies(data, starts[some], offsets_of(block_sizes(meta[some])))

        file = write_work(folder, "blocks", written())
        found, place = {}, 0
        for number, some in zip(numbers.tolist(), parts, strict=False):
            size = int(block_sizes(meta[some]).sum())
            found[number] = BlocksOfRange(file, place, len(some), size)
            place += META.itemsize * len(some) + size
        return MadeBlocks(found, self.unknown, frozenset(self.names))


def pool_for(made: Sequence[BlocksOfRange]) -> Pool:
    """Return the blocks that a range of seeds needs, which several tasks made."""
    metas, datas = [np.empty(0, META)], [np.empty(0, np.uint8)]
    for each in made:
        both = np.empty(META.itemsize * each.count + each.size, np.uint8)
        each.file.fill(both, [(each.place, len(both))])
        metas.append(both[: META.itemsize * each.count].view(META))
        datas.append(both[META.itemsize * each.count :])
    return pool_of(np.concatenate(metas), np.concatenate(datas))
