"""The labeled and the unlabeled input, read several times: records are kept, or read again."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nsl_tools.formats.example_batch import ExampleBatch
from nsl_tools.formats.example_batch import read_examples as read_again

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nsl_tools.files.streams import Source
    from nsl_tools.formats.skipped_records import SkippedRecords


@dataclass
class RecordMemory:
    """Memory for what is kept between readings.

    Attributes:
        bytes: that are left.
        plain: whether all inputs are plain files, which can be read again at little cost.
    """

    bytes: float
    plain: bool = False


class Input:
    """The files of one input, and which of their records are left out."""

    def __init__(
        self, sources: Sequence[Source], skipped: SkippedRecords, memory: RecordMemory
    ) -> None:
        """Take files; keep what was read of them if all of it fits the memory."""
        self.sources = sources
        self.skipped = skipped
        self._memory = memory
        self._kept: deque[ExampleBatch] | None = deque()

    @property
    def is_kept(self) -> bool:
        """Whether what was read is kept, so that it is not read again."""
        return self._kept is not None

    def examples(self, *, again: bool = False) -> Iterable[ExampleBatch]:
        """Yield the examples once more: those kept, or read again.

        Args:
            again: whether they will be asked for again.
        """
        if self._kept is None:
            yield from read_again(self.sources, self.skipped)
        elif again:
            yield from self._kept
        else:
            while self._kept:
                yield self._kept.popleft()

    def keep(self, batch: ExampleBatch) -> None:
        """Keep what the first reading found next, if the memory holds it."""
        if self._kept is not None:
            self._kept.append(batch)
            self._memory.bytes -= batch.resident_bytes()
            if self._memory.bytes < 0 or (self._memory.plain and _is_soon_parsed(batch)):
                self.forget()

    @property
    def is_read_again(self) -> bool:
        """Whether the examples are not kept."""
        return self._kept is None

    def forget(self) -> None:
        """Read the input again when it is needed again."""
        self._memory.bytes += sum(batch.resident_bytes() for batch in self._kept or [])
        self._kept = None


def _is_soon_parsed(batch: ExampleBatch) -> bool:
    """Tell whether to parse a batch again takes no longer than memory to keep it in does."""
    parsed = batch.parsed
    as_long = 400  # bytes: to read them takes as long as to parse a feature
    return parsed.alike or len(batch.records.data) > as_long * len(parsed.names)
