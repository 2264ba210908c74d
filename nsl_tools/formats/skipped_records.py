"""Which records of an input a run leaves out.

A record that is not usable ends the run, unless the run may skip some; of records with one id,
the run may be told to keep the first or the last.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nsl_tools.formats.protobuf.example_columns import ExampleError
    from nsl_tools.formats.tfrecord.reader import RecordBatch
    from nsl_tools.statistics import Statistics


class SkippedRecords:
    """The records of one input that a run leaves out."""

    def __init__(self, statistics: Statistics, on_duplicate: str = "error") -> None:
        """Skip as many records as `statistics` allows; keep the `first` or `last` of an id."""
        self.statistics = statistics
        self.on_duplicate = on_duplicate
        self._numbers: defaultdict[str, set[int]] = defaultdict(set)

    def applied(self, records: RecordBatch) -> RecordBatch:
        """Return the batch without the records that are left out."""
        numbers = self._numbers.get(records.source)
        if not numbers:
            return records
        return records.select([i for i, n in enumerate(records.numbers) if n not in numbers])

    def numbers_in(self, source: str) -> set[int]:
        """Return the numbers of the records of the file `source` that are left out."""
        return self._numbers.get(source, set())

    def skip(self, records: RecordBatch, err: ExampleError) -> RecordBatch:
        """Return the batch without its first record, which is wrong.

        Raises:
            DataError: no more may be skipped.
        """
        self.statistics.skip(err.reason, records.error(err.index, str(err)))
        self.add(records.source, records.numbers[err.index])
        return records[1:]

    def add(self, source: str, number: int) -> None:
        """Leave out record `number` of the file `source`."""
        self._numbers[source].add(number)
