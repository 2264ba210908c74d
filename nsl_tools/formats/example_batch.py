"""Examples as nodes: batches of parsed records, and their ids.

What is left out of an input is decided while ids are read (`skipped_records`); every later
reading leaves out the same records.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.fingerprints import certainly_distinct
from nsl_tools.arrays.groups import one_of_each
from nsl_tools.arrays.ids import certainly_valid, first_bad_id, id_problem, shown, texts_at
from nsl_tools.background import in_background
from nsl_tools.errors import DataError
from nsl_tools.formats.protobuf import example
from nsl_tools.formats.protobuf.example_columns import ExampleError, ExampleParser, Parsed
from nsl_tools.formats.protobuf.lockstep import sole_contents
from nsl_tools.formats.tfrecord.reader import RecordBatch, read_batches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa

    from nsl_tools.files.streams import Source
    from nsl_tools.formats.protobuf.lockstep import Spans
    from nsl_tools.formats.skipped_records import SkippedRecords
    from nsl_tools.options import RunOptions

T = TypeVar("T")

_FEW = 32  # records to go on with after a wrong one


@dataclass(frozen=True)
class ExampleBatch:
    """Consecutive examples of one file.

    Attributes:
        records: the records they were parsed from.
        parsed: their features.
    """

    records: RecordBatch
    parsed: Parsed

    def __len__(self) -> int:
        return len(self.records)

    def resident_bytes(self) -> int:
        """Return about how much memory it takes."""
        anew = 0 if len(self.parsed.data) == len(self.records.data) else self.parsed.data.nbytes
        places = 24 * len(self)  # two of a record, and its number
        return places + len(self.records.data) + anew + self.parsed.nbytes

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turn an ExampleError of this batch into a DataError that says where."""
        with _located(self.records):
            yield

    def column(self, name: str) -> Spans:
        """Return where in `parsed.data` the encoded feature `name` of each example is.

        Raises:
            ExampleError: an example lacks it; its index is the first one's.
        """
        spans = self.parsed.column(name.encode())
        lacking = spans.starts == spans.ends
        if lacking.any():
            raise self._lacks(name, int(lacking.argmax()))
        return spans

    def feature(self, index: int, name: str, spans: Spans) -> bytes:
        """Return the encoded feature `name` of an example, which is in `spans` of its column."""
        plain = self.parsed.plain.get((index, name.encode()))
        return self.parsed.bytes_at(spans, index) if plain is None else plain

    def _lacks(self, name: str, index: int) -> ExampleError:
        features = self.parsed.features(index)
        known = ", ".join(sorted(map(shown, features))[:8]) or "none"
        return ExampleError(index, f"no feature {name!r}, expected one; it has {known}")


@contextlib.contextmanager
def _located(records: RecordBatch) -> Iterator[None]:
    try:
        yield
    except ExampleError as err:
        raise records.error(err.index, str(err)) from err


def read_examples(
    sources: Sequence[Source], skipped: SkippedRecords | None = None
) -> Iterator[ExampleBatch]:
    """Yield the examples of all files in order, but for those that are left out.

    Raises:
        DataError: a file or a record is not what it should be.
    """
    parser = ExampleParser()
    for source in sources:
        for records in read_batches(source):
            kept = skipped.applied(records) if skipped else records
            with _located(kept):
                yield parsed_batch(parser, kept)


def parsed_batch(parser: ExampleParser, records: RecordBatch) -> ExampleBatch:
    """Return records as examples.

    Raises:
        ExampleError: one is none.
    """
    return ExampleBatch(records, parser.parse(records.data, records.starts, records.ends))


def read_decoded(
    sources: Sequence[Source], skipped: SkippedRecords, decode: Callable[[ExampleBatch], T]
) -> Iterator[tuple[ExampleBatch, T]]:
    """Yield the examples of all files in order, and what `decode` makes of each batch.

    A record that is not an example, or for which `decode` raises an
    ExampleError, is skipped, as far as that is allowed.

    Raises:
        DataError: a file or a record is not what it should be.
    """
    parser = ExampleParser()
    for source in sources:
        empty = True
        for records in in_background(read_batches(source)):
            empty = False
            yield from sifted(parser, records, skipped, decode)
        if empty:
            skipped.statistics.counts["empty files"] += 1


def sifted(
    parser: ExampleParser,
    records: RecordBatch,
    skipped: SkippedRecords,
    decode: Callable[[ExampleBatch], T],
) -> Iterator[tuple[ExampleBatch, T]]:
    """Yield a batch as examples, without the records that are wrong, in parts if there are any.

    As `read_decoded` does.

    Raises:
        DataError: a record is not what it should be, and no more may be skipped.
    """
    size = len(records)
    while len(records):
        found = _decoded(parser, records[:size], decode)
        if not isinstance(found, ExampleError):
            yield found
            records = records[size:]
            size *= 2
        elif found.index:
            size = found.index  # those before it first, of which another may be wrong as well
        else:
            # Few at first, for others may follow: all that were decoded with it are again.
            records, size = skipped.skip(records, found), _FEW


def _decoded(
    parser: ExampleParser, records: RecordBatch, decode: Callable[[ExampleBatch], T]
) -> tuple[ExampleBatch, T] | ExampleError:
    try:
        batch = parsed_batch(parser, records)
        return batch, decode(batch)
    except ExampleError as err:
        return err


def ids_of(batch: ExampleBatch, id_feature: str) -> pa.Array:
    """Return the ids of a batch as a binary array.

    Raises:
        ExampleError: an id is missing, or is not one non-empty UTF-8 text.
    """
    with because("id not usable"):
        spans = batch.column(id_feature)
        kinds, texts = sole_contents(batch.parsed.data, spans)
        for row in np.flatnonzero(kinds != example.Kind.BYTES).tolist():
            feature = batch.feature(row, id_feature, spans)
            _check_id(row, feature, id_feature)
            if feature == batch.parsed.bytes_at(spans, row):  # else encoded anew, in shortest form
                texts.ends[row] = spans.ends[row]
                texts.starts[row] = spans.ends[row] - len(example.decode_bytes(feature)[0])
        ids = texts_at(batch.parsed.data, texts.starts, texts.ends - texts.starts)
        bad = None if certainly_valid(ids) else first_bad_id(ids.to_pylist())
        if bad is not None:
            raise ExampleError(bad, f"feature {id_feature!r}: {id_problem(ids[bad].as_py())}")
    return ids


@contextlib.contextmanager
def because(reason: str) -> Iterator[None]:
    """Give an ExampleError the reason under which it is counted."""
    try:
        yield
    except ExampleError as err:
        err.reason = reason
        raise


def _check_id(index: int, feature: bytes, name: str) -> None:
    kind = example.kind_name(feature)
    if kind != "bytes":
        raise ExampleError(index, f"feature {name!r} is {kind}, expected one bytes value")
    values = example.decode_bytes(feature)
    if len(values) != 1:
        raise ExampleError(index, f"feature {name!r} has {len(values)} values, expected one")


def refuse_empty(count: int, sources: Sequence[Source], options: RunOptions) -> None:
    """Raise DataError if an input that is given has no example, unless that is allowed."""
    if sources and not count and not options.allow_empty:
        raise DataError(sources[0].name, "", "no record: give --allow-empty if that is right")


class Places:
    """Where the nodes of an input came from, by row; a `noun` is what their files consist of."""

    def __init__(self, noun: str = "record") -> None:
        self._noun = noun
        self._starts: list[int] = []
        self._origins: list[tuple[str, Sequence[int], str]] = []
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def add(self, records: RecordBatch) -> None:
        """Add the next rows."""
        self.add_numbers(records.source, records.numbers)

    def add_numbers(self, source: str, numbers: Sequence[int], noun: str = "") -> None:
        """Add the next rows: those of these numbers in the file `source`, which has such nouns."""
        self._starts.append(self._rows)
        self._origins.append((source, numbers, noun or self._noun))
        self._rows += len(numbers)

    def of(self, row: int) -> tuple[str, int]:
        """Return the file and the record number of a row."""
        source, number, _ = self._found(row)
        return source, number

    def place_of(self, row: int) -> str:
        """Return where in its file a row is, in words."""
        _, number, noun = self._found(row)
        return f"{noun} {number}"

    def _found(self, row: int) -> tuple[str, int, str]:
        index = bisect_right(self._starts, row) - 1
        source, numbers, noun = self._origins[index]
        return source, numbers[row - self._starts[index]], noun


def unrepeated(
    ids: pa.Array, skipped: SkippedRecords, places: Places
) -> npt.NDArray[np.int64] | slice:
    """Return the rows to keep so that each of `ids` occurs once, and leave out the others.

    Raises:
        DataError: an id occurs twice, and neither the first nor the last is asked for.
    """
    if certainly_distinct(ids):
        return slice(None)
    import pyarrow.compute as pc

    codes = pc.dictionary_encode(ids).indices.to_numpy()
    kept = one_of_each(codes, last=skipped.on_duplicate == "last")
    if len(kept) == len(ids):
        return slice(None)
    dropped = np.setdiff1d(np.arange(len(codes)), kept, assume_unique=True)
    leave_out(dropped, ids[int(dropped[0])].as_py(), skipped, places)
    return kept


def leave_out(
    dropped: npt.NDArray[np.int64], node: bytes, skipped: SkippedRecords, places: Places
) -> None:
    """Leave out the rows whose id is repeated; `node` is the id of the first of them.

    Raises:
        DataError: neither the first nor the last record of an id is asked for.
    """
    if skipped.on_duplicate == "error":
        row = int(dropped[0])
        raise _repeated_id(node, len(dropped), places.of(row)[0], places.place_of(row))
    for row in dropped.tolist():
        skipped.add(*places.of(row))
    reason = f"examples dropped: their id is repeated, the {skipped.on_duplicate} one is taken"
    skipped.statistics.drop(reason, len(dropped))


def _repeated_id(node: bytes, count: int, source: str, place: str) -> DataError:
    more = f" (and {count - 1:,} more)" if count > 1 else ""
    problem = (
        f"the id {shown(node)} has occurred before{more}: expected each id once, "
        "or give --on-duplicate"
    )
    return DataError(source, place, problem)
