"""Examples as nodes: batches of parsed records, and their ids."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from nsl_tools import example
from nsl_tools.errors import DataError
from nsl_tools.ids import first_bad_id, id_problem, shown
from nsl_tools.layout import ExampleError, ExampleParser
from nsl_tools.tfrecord import RecordBatch, read_batches
from nsl_tools.wire import read_varint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nsl_tools.streams import Source

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


def read_examples(sources: Sequence[Source]) -> Iterator[ExampleBatch]:
    """Yield the examples of all files in order.

    Raises:
        DataError: a file or a record is not what it should be.
    """
    parser = ExampleParser()
    for source in sources:
        for records in read_batches(source):
            with _located(records):
                features, walked = parser.parse(records.payloads)
            yield ExampleBatch(records, features, walked)


def ids_of(batch: ExampleBatch, id_feature: str) -> pa.Array:
    """Return the ids of a batch as a binary array.

    Raises:
        DataError: an id is missing, or is not one non-empty UTF-8 text.
    """
    with batch.errors():
        encoded = batch.features_named(id_feature)
        ids = [_decode_id(i, feature, id_feature) for i, feature in enumerate(encoded)]
        bad = first_bad_id(ids)
        if bad is not None:
            raise ExampleError(bad, f"feature {id_feature!r}: {id_problem(ids[bad])}")
    return pa.array(ids, pa.binary())


def read_ids(sources: Sequence[Source], id_feature: str) -> pa.Array:
    """Return the ids of all examples, in order, as a binary array; each occurs once.

    Raises:
        DataError: a file, a record or an id is not what it should be.
    """
    parts = [ids_of(batch, id_feature) for batch in read_examples(sources)]
    ids = pa.concat_arrays([pa.array([], pa.binary()), *parts])
    refuse_duplicates(ids, sources)
    return ids


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


def refuse_duplicates(ids: pa.Array, sources: Sequence[Source]) -> None:
    """Raise DataError if an id occurs twice in one input."""
    if pc.count_distinct(ids).as_py() == len(ids):
        return
    counts = pc.value_counts(ids)
    repeated = counts.filter(pc.greater(counts.field("counts"), 1))
    first = repeated[0].as_py()
    name = (
        sources[0].name if len(sources) == 1 else f"{sources[0].name} and {len(sources) - 1} more"
    )
    problem = (
        f"{len(repeated):,} ids occur more than once, {shown(first['values'])} "
        f"{first['counts']} times: expected each id once"
    )
    raise DataError(name, "", problem)
