"""From packed examples to numpy arrays: lists padded or ragged, bytes decoded.

The same as `parsing` makes with TensorFlow, and as fast: a feature of a sample and those of
its neighbours are taken from all records of a batch together.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nsl_tools.arrays.byte_spans import offsets_of
from nsl_tools.data.columns import Array, Columns
from nsl_tools.data.features import ListFeature, zero_of
from nsl_tools.data.request import LABEL_WEIGHT, WEIGHT
from nsl_tools.errors import UsageError
from nsl_tools.formats.protobuf.example_columns import ExampleError, ExampleParser
from nsl_tools.formats.protobuf.example_values import Values
from nsl_tools.formats.tfrecord.index import joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nsl_tools.arrays.byte_spans import Places
    from nsl_tools.data.request import Request
    from nsl_tools.formats.protobuf.lockstep import Flags
    from nsl_tools.formats.tfrecord.index import PickedRecords


class Ragged(NamedTuple):
    """Lists of varying length.

    Attributes:
        values: of all lists, one behind the other, shape (m,).
        row_splits: where each starts, and where the last ends, shape (batch + 1,), int64.
    """

    values: Array
    row_splits: Places


Arrays = dict[str, Array | Ragged]


class _Made(NamedTuple):
    """What is asked for of n records.

    Attributes:
        known: by name, features of one shape as an array, shape (1 + k, n, ...), samples
            first, then neighbours by rank; others as the values of lists, in that order.
        weights: of neighbours, shape (k, n, 1).
        label_weights: what labels count for, shape (1, n), or (0, n) if nobody asks.
    """

    known: dict[str, Array | Values]
    weights: Array
    label_weights: Array


class BatchMaker:
    """Makes batches of arrays of records, several at once: each numpy call has its price."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._decoded_as: dict[str, Array] = {}  # by name, the first of what is decoded
        self._parser = ExampleParser()

    def batches(self, parts: Sequence[PickedRecords]) -> list[Any]:
        """Return `(features, label)` of each part, with a sample weight if that is asked for.

        Raises:
            DataError: a record is not what was asked for.
        """
        bounds = offsets_of(np.array([len(part) for part in parts], np.int64))
        records = joined(parts)
        try:
            made = self._made(Columns(self._parser.parse(*records)))
        except ExampleError as err:
            place = int(np.searchsorted(bounds, err.index, side="right")) - 1
            raise parts[place].error(err.index - int(bounds[place]), str(err)) from err
        return [self._batch(made, slice(*part)) for part in pairwise(bounds.tolist())]

    def _made(self, columns: Columns) -> _Made:
        """Take what is asked for from all records: arrays, or the values of lists."""
        request = self._request
        known: dict[str, Array | Values] = {}
        for name, feature in request.known.items():
            names = request.alike(name)
            if isinstance(feature, ListFeature):
                known[name] = columns.lists(names, feature.dtype)
            else:
                values = columns.fixed(names, feature, feature.with_zeros())
                known[name] = self._decoded(name, values) if name in request.decode else values
        label_weights = [] if request.label_weight is None else [request.label_weight]
        return _Made(
            known,
            columns.fixed(request.weights, WEIGHT, WEIGHT),
            columns.fixed(label_weights, LABEL_WEIGHT, LABEL_WEIGHT),
        )

    def _batch(self, made: _Made, rows: slice) -> Any:
        """Return the batch of some rows."""
        request, weights = self._request, made.weights[:, rows]
        features: Arrays = dict(zip(request.weights, weights, strict=True))
        is_missing = weights[..., 0] == 0
        groups = {name: self._group(made, name, rows, is_missing) for name in request.known}
        for name in request.features:
            features |= groups[name]
        if not request.labels:
            return features
        (label,) = request.labels
        return (features, groups[label][label], *made.label_weights[:, rows])

    def _group(self, made: _Made, name: str, rows: slice, is_missing: Flags) -> Arrays:
        """Return a feature of samples, and that of their neighbours."""
        names, found = self._request.alike(name), made.known[name]
        arrays: Iterable[Array | Ragged]
        if not isinstance(found, Values):
            arrays = found[:, rows]
        else:
            values = found.of_groups(len(names), rows)
            if name in self._request.ragged:
                arrays = _ragged(values, len(names))
            else:
                arrays = self._dense(name, values, is_missing[: len(names) - 1])
        return dict(zip(names, arrays, strict=True))

    def _dense(self, name: str, values: Values, is_missing: Flags) -> Array:
        """Return padded lists of samples and of their neighbours, shape (1 + k, batch, length).

        A missing neighbour has the list of its sample, as `parsing` says.

        Args:
            name: of the feature.
            values: of its lists, those of samples first, then by rank.
            is_missing: whether there is no neighbour, shape (k, batch).
        """
        lengths, flat = values.lengths, values.flat
        kept = lengths.reshape(len(is_missing) + 1, -1).copy()
        kept[1:][is_missing] = 0
        size = self._request.pad.get(name, int(kept.max(initial=1)))
        longest = int(lengths.max(initial=0))
        if longest > size:
            if name in self._request.pad:
                self._request.count_cut(name, int((lengths > size).sum()), longest)
            flat = flat[np.arange(len(flat)) - np.repeat(values.offsets[:-1], lengths) < size]
        value = self._request.pad_values.get(name, zero_of(flat.dtype))
        dense = np.full((len(lengths), size), value, flat.dtype)
        dense[np.arange(size) < lengths[:, np.newaxis]] = flat
        dense = dense.reshape(len(is_missing) + 1, -1, size)
        for rank, rows in enumerate(is_missing):
            dense[1 + rank, rows] = dense[0, rows]
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
        for array in decoded.values():
            self._decoded_as.setdefault(name, array)
        if name not in self._decoded_as:
            raise UsageError(f"decode: no value of {name!r} in the first batch, expected one")
        one = self._decoded_as[name]
        out = np.zeros((values.size, *one.shape), one.dtype)
        for place, array in decoded.items():
            if array.shape != one.shape:
                raise UsageError(
                    f"decode: the function for {name!r} returns arrays of shapes {one.shape} and "
                    f"{array.shape}, expected one shape for all: resize them in it"
                )
            out[place] = array
        return out.reshape(*values.shape[:2], *one.shape)


def _ragged(values: Values, count: int) -> Iterator[Ragged]:
    """Yield the lists of samples, and those of neighbours of each rank, `count` together."""
    rows = (len(values.offsets) - 1) // count
    for first in range(0, rows * count, rows):
        splits = values.offsets[first : first + rows + 1]
        yield Ragged(values.flat[splits[0] : splits[-1]], splits - splits[0])
