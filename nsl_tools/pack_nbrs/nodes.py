"""The examples of both inputs as rows: labeled ones first, each id once in its input."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.fingerprints import fingerprints
from nsl_tools.arrays.groups import one_of_each
from nsl_tools.background import in_background
from nsl_tools.formats.example_batch import Places, ids_of, leave_out, read_decoded
from nsl_tools.formats.tfrecord.frames import FOOTER_BYTES, HEADER_BYTES
from nsl_tools.pack_nbrs.id_index import Entries
from nsl_tools.spill.id_texts import IdTexts

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Sequence

    from nsl_tools.formats.example_batch import ExampleBatch
    from nsl_tools.formats.tfrecord.reader import RecordBatch
    from nsl_tools.memory_budget import MemoryBudget
    from nsl_tools.pack_nbrs.inputs import Input

Rows = npt.NDArray[np.int64]


class BatchPlace(NamedTuple):
    """Where a batch of records is.

    Attributes:
        side: 0 for the labeled input, 1 for the unlabeled one.
        source: name of the file.
        start: byte where its first record starts, in the decompressed file.
        stop: byte where its last one ends.
        number: of its first one in the file.
    """

    side: int
    source: str
    start: int
    stop: int
    number: int


class NodeRows:
    """All examples of a run, n of them.

    Attributes:
        index: from fingerprint to row; of an id in both inputs, the labeled row.
        labeled: rows that are labeled; they come first.
        count: n.
        twice: unlabeled rows whose id is labeled too, ascending.
        is_seed: whether each row is packed, shape (n,), bool.
        seed_unlabeled: whether unlabeled rows are, and seeds are marked.
        batch_places: where the records are, batch by batch.
    """

    def __init__(
        self,
        inputs: Sequence[Input],
        id_feature: str,
        seed_unlabeled: bool,
        memory: MemoryBudget,
        stack: contextlib.ExitStack,
        observe: Callable[[ExampleBatch], None] | None = None,
    ) -> None:
        """Read the ids of the labeled and of the unlabeled input; `observe` sees all examples.

        Raises:
            DataError: a file, a record or an id is not what it should be.
            UsageError: the memory is too little.
        """
        self._texts = IdTexts(memory, stack)
        self._starts: list[int] = []
        self.batch_places: list[BatchPlace] = []
        self._means: list[float] = []
        self._original: Rows | None = None
        self._observe = observe
        entries = Entries(memory, stack)
        places = [self._read(side, part, id_feature, entries) for side, part in enumerate(inputs)]
        counts = [len(part) for part in places]
        self.index, shared, firsts = entries.index()
        self.labeled, self.count, self.twice = counts[0], sum(counts), np.empty(0, np.int64)
        if len(shared):
            self._settle(shared, firsts, inputs, places)
        self.seed_unlabeled = seed_unlabeled
        self.is_seed = np.full(self.count, seed_unlabeled)
        self.is_seed[: self.labeled] = True
        self.is_seed[self.twice] = False

    def _read(self, side: int, part: Input, id_feature: str, entries: Entries) -> Places:
        places = Places()
        longer = 16  # bytes of a feature in a block: for a longer name, and its place
        batches = read_decoded(part.sources, part.skipped, lambda b: ids_of(b, id_feature))
        for batch, ids in in_background(batches):
            records = batch.records
            self._starts.append(len(self._texts))
            self.batch_places.append(_place_of(side, records))
            size = (records.ends - records.starts).sum() + longer * len(batch.parsed.names)
            self._means.append(float(size / len(batch)))
            if self._observe:
                self._observe(batch)
            part.keep(batch)
            places.add(records)
            self._texts.add(ids)
            entries.add(*fingerprints(ids))
        return places

    def _settle(
        self, shared: Rows, firsts: Rows, inputs: Sequence[Input], places: Sequence[Places]
    ) -> None:
        """Choose among the rows that share an id, and close the gaps of those left out."""
        kept, dropped = [], []
        for part, own, first in zip(inputs, places, (0, self.labeled), strict=True):
            members = (shared >= first) & (shared < first + len(own))
            rows, ids = shared[members], firsts[members]
            chosen = one_of_each(ids, last=part.skipped.on_duplicate == "last")
            kept.append((ids[chosen], rows[chosen]))
            gone = np.delete(rows, chosen)
            if len(gone):
                node = self._texts.fetch(gone[:1])[0].as_py()
                leave_out(gone - first, node, part.skipped, own)
                part.forget()
            dropped.append(gone)
        (labeled_ids, labeled_rows), (ids, rows) = kept
        lost = np.concatenate(dropped)
        new = np.arange(self.count)
        new[ids], new[labeled_ids] = rows, labeled_rows
        new -= np.searchsorted(lost, new)
        self.index.renumber(new)
        twice = rows[np.isin(ids, labeled_ids)]
        self.twice = twice - np.searchsorted(lost, twice)
        self._original = np.delete(np.arange(self.count), lost)
        self.labeled -= len(dropped[0])
        self.count -= len(lost)

    def leave_out_seeds(self, ranges: Sequence[range]) -> None:
        """Take the seeds in these ranges, counted from the first seed, as any other nodes."""
        if not ranges:
            return
        seeds = np.flatnonzero(self.is_seed)
        for part in ranges:
            self.is_seed[seeds[part.start : part.stop]] = False

    def forget_ids(self) -> None:
        """Give the memory of the table back."""
        del self.index

    def order(self, rows: Rows) -> Rows:
        """Return numbers that order `rows`, shape (m,), as their ids are ordered, by bytes."""
        return self._texts.ranks(self._read_as(rows))

    @property
    def mean_id_bytes(self) -> float:
        """How long ids are on average."""
        return self._texts.mean_size

    def id_of(self, row: int) -> bytes:
        """Return the id of a row, for a message."""
        return bytes(self._texts.fetch(self._read_as(np.array([row])))[0].as_py())

    def _read_as(self, rows: Rows) -> Rows:
        """Return the places at which `rows` were read."""
        return rows if self._original is None else self._original[rows]

    def batch_rows(self) -> Rows:
        """Return the row of the first record that is kept of each batch, or of a later one."""
        starts = np.array(self._starts, np.int64)
        return starts if self._original is None else np.searchsorted(self._original, starts)

    def mean_sizes(self, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
        """Return for each of `rows` how long its features are in a block thereabouts, (m,)."""
        batches = np.searchsorted(self._starts, rows, side="right") - 1
        return np.array([*self._means, 0.0])[batches]


def _place_of(side: int, records: RecordBatch) -> BatchPlace:
    start = records.offset + int(records.starts[0]) - HEADER_BYTES
    stop = records.offset + int(records.ends[-1]) + FOOTER_BYTES
    return BatchPlace(side, records.source, start, stop, records.numbers[0])
