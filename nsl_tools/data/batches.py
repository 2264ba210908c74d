"""From packed examples to numpy arrays: lists padded or ragged, bytes decoded.

The same as `parsing` makes with TensorFlow, and as fast: a feature of a sample and those of
its neighbours are taken from all records of a batch together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nsl_tools.data.features import (
    BYTES,
    FLOATS,
    INTEGERS,
    NAMES,
    FixedFeature,
    ListFeature,
    zero_of,
)
from nsl_tools.data.request import LABEL_WEIGHT, WEIGHT
from nsl_tools.errors import UsageError
from nsl_tools.formats.protobuf import example
from nsl_tools.formats.protobuf.example_columns import ExampleError, ExampleParser, Parsed
from nsl_tools.formats.protobuf.example_values import Values, kinds_of, values_of
from nsl_tools.formats.protobuf.lockstep import Flags, Spans

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nsl_tools.arrays.byte_spans import Bytes, Places
    from nsl_tools.data.request import Request
    from nsl_tools.formats.record_index import PickedRecords

Array = npt.NDArray[Any]
_KINDS = {BYTES: example.Kind.BYTES, FLOATS: example.Kind.FLOAT, INTEGERS: example.Kind.INT64}


class Ragged(NamedTuple):
    """Lists of varying length.

    Attributes:
        values: of all lists, one behind the other, shape (m,).
        row_splits: where each starts, and where the last ends, shape (batch + 1,), int64.
    """

    values: Array
    row_splits: Places


Arrays = dict[str, Array | Ragged]


class BatchMaker:
    """Makes batches of arrays of records."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._decoded_as: dict[str, Array | None] = {}  # by name, the first of what is decoded
        self._parser = ExampleParser()

    def batch(self, records: PickedRecords) -> Any:
        """Return `(features, label)` of records, with a sample weight if that is asked for.

        Raises:
            DataError: a record is not what was asked for.
        """
        try:
            return self._batch(self._parser.parse(records.data, records.starts, records.ends))
        except ExampleError as err:
            raise records.error(err.index, str(err)) from err

    def _batch(self, parsed: Parsed) -> Any:
        request, columns = self._request, _Columns(parsed)
        weights = columns.fixed(request.weights, WEIGHT, WEIGHT)
        features: Arrays = dict(zip(request.weights, weights, strict=True))
        is_missing = weights[..., 0] == 0
        for name in request.features:
            features |= self._group(columns, name, is_missing)
        if not request.labels:
            return features
        (label,) = request.labels
        target = self._group(columns, label, is_missing)[label]
        if request.label_weight is None:
            return features, target
        return (
            features,
            target,
            columns.fixed([request.label_weight], LABEL_WEIGHT, LABEL_WEIGHT)[0],
        )

    def _group(self, columns: _Columns, name: str, is_missing: Flags) -> Arrays:
        """Return a feature of samples, and that of their neighbours."""
        feature, names = self._request.known[name], self._request.alike(name)
        if isinstance(feature, ListFeature):
            values = columns.values(names, feature.dtype)
            if name in self._request.ragged:
                made: Iterable[Array | Ragged] = _ragged(values, len(names))
            else:
                made = self._dense(name, values, is_missing[: len(names) - 1])
        else:
            made = columns.fixed(names, feature, feature.with_zeros())
            if name in self._request.decode:
                made = self._decoded(name, made)
        return dict(zip(names, made, strict=True))

    def _dense(self, name: str, values: Values, is_missing: Flags) -> Array:
        """Return padded lists of samples and of their neighbours, shape (1 + k, batch, length).

        A missing neighbour has the list of its sample, as `parsing` says.

        Args:
            name: of the feature.
            values: of its lists, those of samples first, then by rank.
            is_missing: whether there is no neighbour, shape (k, batch).
        """
        count = len(is_missing) + 1
        starts, lengths = values.offsets[:-1].reshape(count, -1).copy(), values.lengths
        longest = int(lengths.max(initial=1))
        size = self._request.pad.get(name, longest)
        if longest > size:
            self._request.count_cut(name, int((lengths > size).sum()), longest)
        lengths = np.minimum(lengths, size).reshape(count, -1)
        starts[1:] = np.where(is_missing, starts[0], starts[1:])
        lengths[1:] = np.where(is_missing, lengths[0], lengths[1:])
        is_value = np.arange(size) < lengths[..., np.newaxis]
        value = self._request.pad_values.get(name, zero_of(values.flat.dtype))
        dense = np.full(is_value.shape, value, values.flat.dtype)
        dense[is_value] = values.flat[(starts[..., np.newaxis] + np.arange(size))[is_value]]
        return dense

    def _decoded(self, name: str, values: Array) -> Array:
        """Return what is made of each of `values`, shape (1 + k, batch, ...); zeros of empty ones.

        Raises:
            UsageError: results differ in shape, or there is none to take the shape of.
        """
        function = self._request.decode[name]
        decoded = {
            place: np.asarray(function(value))
            for place, value in enumerate(values.reshape(-1))
            if value != b""
        }
        one = self._decoded_as.setdefault(name, next(iter(decoded.values()), None))
        if one is None:
            raise UsageError(f"decode: no value of {name!r} in the first batch, expected one")
        out = np.zeros((values.size, *one.shape), one.dtype)
        for place, array in decoded.items():
            if array.shape != one.shape:
                raise UsageError(
                    f"decode: the function for {name!r} returns arrays of shapes {one.shape} and "
                    f"{array.shape}, expected one shape for all: resize them in it"
                )
            out[place] = array
        return out.reshape(*values.shape[:2], *one.shape)


class _Columns:
    """The features of a batch of n examples, by name."""

    def __init__(self, parsed: Parsed) -> None:
        self._parsed = parsed

    def values(self, names: Sequence[str], dtype: np.dtype[Any]) -> Values:
        """Return the values of each name's feature of all records: those of a name together.

        Raises:
            ExampleError: a feature is of another type.
        """
        return self._values(names, dtype)[0]

    def _values(self, names: Sequence[str], dtype: np.dtype[Any]) -> tuple[Values, Bytes]:
        data, spans = self._spans(names)
        kinds, expected = kinds_of(data, spans), _KINDS[dtype]
        wrong = np.flatnonzero((kinds != expected) & (kinds != 0))
        if len(wrong):
            found = example.Kind.NAMES[int(kinds[wrong[0]])]
            raise self._error(names, wrong[0], f"is {found}, expected {NAMES[dtype]}")
        return values_of(data, spans, expected), kinds

    def _spans(self, names: Sequence[str]) -> tuple[Bytes, Spans]:
        """Return where features are, those of a name together, shapes (names * n,), and in what."""
        parsed = self._parsed
        spans = Spans(*np.zeros((2, len(names), len(parsed)), np.int64))
        for place, name in enumerate(names):
            spans.starts[place], spans.ends[place] = parsed.column(name.encode())
        parts, size = [parsed.data], len(parsed.data)
        for (row, key), feature in parsed.plain.items():
            for place in (p for p, name in enumerate(names) if name.encode() == key):
                spans.starts[place, row], spans.ends[place, row] = size, size + len(feature)
                parts.append(np.frombuffer(feature, np.uint8))
                size += len(feature)
        data = np.concatenate(parts) if len(parts) > 1 else parsed.data
        return data, Spans(*(span.reshape(-1) for span in spans))

    def fixed(self, names: Sequence[str], feature: FixedFeature, others: FixedFeature) -> Array:
        """Return features of one shape, shape (names, n, ...).

        Args:
            names: of the features.
            feature: what the first of them is.
            others: what the others are; they differ in their defaults alone.

        Raises:
            ExampleError: one is of another type or shape, or is missing and has no default.
        """
        values, kinds = self._values(names, feature.dtype)
        lengths, size, is_there = values.lengths, feature.size, kinds != 0
        wrong = np.flatnonzero(is_there & (lengths != size))
        if len(wrong):
            problem = f"has {lengths[wrong[0]]} values, expected {size}"
            raise self._error(names, wrong[0], problem)
        shape = (len(names), len(self._parsed))
        if is_there.all():
            return values.flat.reshape(*shape, *feature.shape)
        out = np.empty((*shape, *feature.shape), feature.dtype)
        for place, each in enumerate((feature, *(others for _ in names[1:]))):
            lacking = np.flatnonzero(~is_there.reshape(shape)[place])
            if each.default is None and len(lacking):
                raise self._error(names, place * shape[1] + lacking[0], "is missing")
            out[place, lacking] = each.defaults()
        out.reshape(-1, *feature.shape)[is_there] = values.flat.reshape(-1, *feature.shape)
        return out

    def _error(self, names: Sequence[str], index: int, problem: str) -> ExampleError:
        place, row = divmod(int(index), len(self._parsed))
        return ExampleError(row, f"feature {names[place]!r} {problem}")


def _ragged(values: Values, count: int) -> Iterator[Ragged]:
    """Yield the lists of samples, and those of neighbours of each rank, `count` together."""
    rows = (len(values.offsets) - 1) // count
    for first in range(0, rows * count, rows):
        splits = values.offsets[first : first + rows + 1]
        yield Ragged(values.flat[splits[0] : splits[-1]], splits - splits[0])
