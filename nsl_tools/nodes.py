"""Examples as nodes: batches of parsed records, and their ids.

A record that is not usable ends the run, unless the run may skip some; of
records with one id, the run may be told to keep the first or the last. What is
left out is decided while ids are read, and remembered (`Omissions`), so that
every later reading of the same input leaves out the same records.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from nsl_tools import example
from nsl_tools.errors import DataError
from nsl_tools.ids import first_bad_id, id_problem, shown
from nsl_tools.layout import ExampleError, ExampleParser
from nsl_tools.tfrecord import RecordBatch, read_batches
from nsl_tools.wire import read_varint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nsl_tools.options import RunOptions
    from nsl_tools.statistics import Statistics
    from nsl_tools.streams import Source

T = TypeVar("T")

_SHORT_ID = 128


@dataclass(frozen=True)
class ExampleBatch:
    """Consecutive examples of one file.

    Attributes:
        records: the records they were parsed from.
        features: of each example.
        walked: indices of the examples that may not be in canonical form.
    """

    records: RecordBatch
    features: list[example.Features]
    walked: frozenset[int]

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turn an ExampleError of this batch into a DataError that says where."""
        with _located(self.records):
            yield

    def entries(self, index: int) -> bytes:
        """Return the encoded feature map of the example at `index`, canonical."""
        if index in self.walked:
            return example.encode_entries(self.features[index])
        payload = self.records.payloads[index]
        return payload[read_varint(payload, 1, len(payload))[1] :]

    def features_named(self, name: str) -> list[bytes]:
        """Return feature `name` of each example.

        Raises:
            ExampleError: an example lacks it.
        """
        key = name.encode()
        found = [features.get(key, b"") for features in self.features]
        if not all(found):
            index = found.index(b"")
            known = ", ".join(sorted(shown(k) for k in self.features[index])[:8]) or "none"
            raise ExampleError(index, f"no feature {name!r}, expected one; it has {known}")
        return found


@contextlib.contextmanager
def _located(records: RecordBatch) -> Iterator[None]:
    try:
        yield
    except ExampleError as err:
        raise records.error(err.index, str(err)) from err


class Omissions:
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
        return records.select([i for i, n in enumerate(records.numbers()) if n not in numbers])

    def skip(self, records: RecordBatch, err: ExampleError) -> RecordBatch:
        """Return the batch without the record that is wrong.

        Raises:
            DataError: no more may be skipped.
        """
        self.statistics.skip(err.reason, records.error(err.index, str(err)))
        self.add(records.source, records.numbers()[err.index])
        return records.select([i for i in range(len(records.payloads)) if i != err.index])

    def add(self, source: str, number: int) -> None:
        """Leave out record `number` of the file `source`."""
        self._numbers[source].add(number)


def read_examples(
    sources: Sequence[Source], omissions: Omissions | None = None
) -> Iterator[ExampleBatch]:
    """Yield the examples of all files in order, but for those that are left out.

    Raises:
        DataError: a file or a record is not what it should be.
    """
    parser = ExampleParser()
    for source in sources:
        for records in read_batches(source):
            kept = omissions.applied(records) if omissions else records
            with _located(kept):
                yield _parsed(parser, kept)


def _parsed(parser: ExampleParser, records: RecordBatch) -> ExampleBatch:
    return ExampleBatch(records, *parser.parse(records.payloads))


def read_decoded(
    sources: Sequence[Source], omissions: Omissions, decode: Callable[[ExampleBatch], T]
) -> Iterator[tuple[ExampleBatch, T]]:
    """Yield the examples of all files in order, and what `decode` makes of each batch.

    A record that is not an example, or for which `decode` raises an
    ExampleError, is skipped if the omissions allow it.

    Raises:
        DataError: a file or a record is not what it should be.
    """
    parser = ExampleParser()
    for source in sources:
        empty = True
        for records in read_batches(source):
            empty = False
            yield from _sifted(parser, records, omissions, decode)
        if empty:
            omissions.statistics.counts["empty files"] += 1


def _sifted(
    parser: ExampleParser,
    records: RecordBatch,
    omissions: Omissions,
    decode: Callable[[ExampleBatch], T],
) -> Iterator[tuple[ExampleBatch, T]]:
    """Yield the batch without the records that are wrong, if any are left."""
    while records.payloads:
        found = _decoded(parser, records, decode)
        if not isinstance(found, ExampleError):
            yield found
            return
        records = omissions.skip(records, found)


def _decoded(
    parser: ExampleParser, records: RecordBatch, decode: Callable[[ExampleBatch], T]
) -> tuple[ExampleBatch, T] | ExampleError:
    try:
        batch = _parsed(parser, records)
        return batch, decode(batch)
    except ExampleError as err:
        return err


def ids_of(batch: ExampleBatch, id_feature: str) -> pa.Array:
    """Return the ids of a batch as a binary array.

    Raises:
        ExampleError: an id is missing, or is not one non-empty UTF-8 text.
    """
    with because("id not usable"):
        encoded = batch.features_named(id_feature)
        ids = [_decode_id(i, feature, id_feature) for i, feature in enumerate(encoded)]
        bad = first_bad_id(ids)
        if bad is not None:
            raise ExampleError(bad, f"feature {id_feature!r}: {id_problem(ids[bad])}")
    return pa.array(ids, pa.binary())


@contextlib.contextmanager
def because(reason: str) -> Iterator[None]:
    """Give an ExampleError the reason under which it is counted."""
    try:
        yield
    except ExampleError as err:
        err.reason = reason
        raise


def read_ids(sources: Sequence[Source], id_feature: str, omissions: Omissions) -> pa.Array:
    """Return the ids of all examples, in order, as a binary array; each occurs once.

    Raises:
        DataError: a file, a record or an id is not what it should be.
    """
    batches = read_decoded(sources, omissions, lambda batch: ids_of(batch, id_feature))
    parts, places = [], Places()
    for batch, ids in batches:
        parts.append(ids)
        places.add(batch.records)
    ids = pa.concat_arrays([pa.array([], pa.binary()), *parts])
    kept = unrepeated(ids, omissions, places)
    return ids if isinstance(kept, slice) else ids.take(pa.array(kept))


def _decode_id(index: int, feature: bytes, name: str) -> bytes:
    # By far the commonest form: BytesList { one short value }.
    size = len(feature) - 4
    if 0 <= size < _SHORT_ID - 2 and feature[0] == example.BYTES_LIST and feature[3] == size:
        return feature[4:]
    kind = example.kind_name(feature)
    if kind != "bytes":
        raise ExampleError(index, f"feature {name!r} is {kind}, expected one bytes value")
    values = example.decode_bytes(feature)
    if len(values) != 1:
        raise ExampleError(index, f"feature {name!r} has {len(values)} values, expected one")
    return values[0]


def refuse_empty(ids: pa.Array, sources: Sequence[Source], options: RunOptions) -> None:
    """Raise DataError if an input that is given has no example, unless that is allowed."""
    if sources and not len(ids) and not options.allow_empty:
        raise DataError(sources[0].name, "", "no record: give --allow-empty if that is right")


class Places:
    """Where the nodes of an input came from, by row."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._origins: list[tuple[str, Sequence[int]]] = []
        self._rows = 0

    def add(self, records: RecordBatch) -> None:
        """Add the next rows."""
        self._starts.append(self._rows)
        self._origins.append((records.source, records.numbers()))
        self._rows += len(records.payloads)

    def of(self, row: int) -> tuple[str, int]:
        """Return the file and the record number of a row."""
        index = bisect_right(self._starts, row) - 1
        source, numbers = self._origins[index]
        return source, numbers[row - self._starts[index]]


def unrepeated(
    ids: pa.Array, omissions: Omissions, places: Places
) -> npt.NDArray[np.int64] | slice:
    """Return the rows to keep so that each of `ids` occurs once, and leave out the others.

    Raises:
        DataError: an id occurs twice, and neither the first nor the last is asked for.
    """
    if pc.count_distinct(ids).as_py() == len(ids):
        return slice(None)
    codes = pc.dictionary_encode(ids).indices.to_numpy()
    if omissions.on_duplicate == "last":
        kept = np.sort(len(codes) - 1 - np.unique(codes[::-1], return_index=True)[1])
    else:
        kept = np.sort(np.unique(codes, return_index=True)[1])
    dropped = np.setdiff1d(np.arange(len(codes)), kept, assume_unique=True)
    if omissions.on_duplicate == "error":
        raise _repeated_id(ids[int(dropped[0])].as_py(), len(dropped), *places.of(int(dropped[0])))
    for row in dropped.tolist():
        omissions.add(*places.of(row))
    reason = f"examples dropped: their id is repeated, the {omissions.on_duplicate} one is taken"
    omissions.statistics.warnings[reason] += len(dropped)
    return kept


def _repeated_id(node: bytes, count: int, source: str, number: int) -> DataError:
    more = f" (and {count - 1:,} more such records)" if count > 1 else ""
    problem = (
        f"the id {shown(node)} has occurred before{more}: expected each id once, "
        "or give --on-duplicate"
    )
    return DataError(source, f"record {number}", problem)
