"""The features of a batch of parsed examples, by name: arrays, and lists of values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nsl_tools.arrays.byte_spans import offsets_of
from nsl_tools.data.features import BYTES, FLOATS, INTEGERS, NAMES, FixedFeature
from nsl_tools.formats.protobuf import example
from nsl_tools.formats.protobuf.example_columns import ExampleError, Parsed
from nsl_tools.formats.protobuf.example_values import Values, kinds_of, values_of
from nsl_tools.formats.protobuf.lockstep import Flags, Spans

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = npt.NDArray[Any]
_KINDS = {BYTES: example.Kind.BYTES, FLOATS: example.Kind.FLOAT, INTEGERS: example.Kind.INT64}


class Columns:
    """The features of a batch of n examples, by name."""

    def __init__(self, parsed: Parsed) -> None:
        self._count = len(parsed)
        self._numbers = {name: number for number, name in enumerate(parsed.known)}
        values, plain = parsed.values, list(parsed.plain.items())
        rows = np.repeat(np.arange(self._count), np.diff(parsed.bounds))
        # Where the feature of each name and record is, or -1; names that nobody has come last.
        self._places = np.full((len(parsed.known) + 1, self._count), -1)
        self._places[parsed.names, rows] = np.arange(len(rows))
        lengths = np.array([len(feature) for _, feature in plain], np.int64)
        bounds = len(parsed.data) + offsets_of(lengths)
        for place, ((row, name), _) in enumerate(plain, len(rows)):
            self._places[self._numbers[name], row] = place
        texts = [np.frombuffer(feature, np.uint8) for _, feature in plain]
        self._data = np.concatenate([parsed.data, *texts]) if plain else parsed.data
        # One more, which is empty, for what is missing.
        self._spans = Spans(
            np.concatenate([values.starts, bounds[:-1], [0]]),
            np.concatenate([values.ends, bounds[1:], [0]]),
        )

    def lists(self, names: Sequence[str], dtype: np.dtype[Any]) -> Values:
        """Return the values of features of all records, those of a name together.

        Raises:
            ExampleError: a feature is of another type.
        """
        is_there, spans = self._found(names, dtype)
        values = values_of(self._data, spans, _KINDS[dtype])
        lengths = np.zeros(is_there.size, np.int64)
        lengths[is_there] = values.lengths
        return Values(values.flat, offsets_of(lengths))

    def fixed(self, names: Sequence[str], feature: FixedFeature, others: FixedFeature) -> Array:
        """Return features of one shape, shape (names, n, ...).

        Args:
            names: of the features.
            feature: what the first of them is.
            others: what the others are; they differ in their defaults alone.

        Raises:
            ExampleError: one is of another type or shape, or is missing and has no default.
        """
        is_there, spans = self._found(names, feature.dtype)
        values = values_of(self._data, spans, _KINDS[feature.dtype])
        wrong = np.flatnonzero(values.lengths != feature.size)
        if len(wrong):
            problem = f"has {values.lengths[wrong[0]]} values, expected {feature.size}"
            raise self._error(names, np.flatnonzero(is_there)[wrong[0]], problem)
        rows = values.flat.reshape(-1, *feature.shape)
        if not is_there.all():
            whole = np.empty((is_there.size, *feature.shape), feature.dtype)
            whole[is_there] = rows
            for place, each in enumerate((feature, *(others for _ in names[1:]))):
                part = slice(place * self._count, (place + 1) * self._count)
                lacking = part.start + np.flatnonzero(~is_there[part])
                if each.default is None and len(lacking):
                    problem = (
                        "is missing: give `label_weight` for a label, or a spec with a default"
                    )
                    raise self._error(names, lacking[0], problem)
                whole[lacking] = each.defaults()
            rows = whole
        return rows.reshape(len(names), self._count, *feature.shape)

    def _found(self, names: Sequence[str], dtype: np.dtype[Any]) -> tuple[Flags, Spans]:
        """Return which features are there, those of a name together, and where those are.

        Raises:
            ExampleError: one is of another type.
        """
        nobody_has = len(self._numbers)
        numbers = np.array(
            [self._numbers.get(name.encode(), nobody_has) for name in names], np.int64
        )
        spans = self._spans.at(self._places[numbers].reshape(-1))
        kinds, expected = kinds_of(self._data, spans), _KINDS[dtype]
        is_there = kinds == expected
        wrong = np.flatnonzero(~is_there & (kinds != 0))
        if len(wrong):
            found = example.Kind.NAMES[int(kinds[wrong[0]])]
            raise self._error(names, wrong[0], f"is {found}, expected {NAMES[dtype]}")
        return is_there, spans.at(is_there)

    def _error(self, names: Sequence[str], index: int, problem: str) -> ExampleError:
        place, row = divmod(int(index), self._count)
        return ExampleError(row, f"feature {names[place]!r} {problem}")
