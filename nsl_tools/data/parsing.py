"""From serialized packed examples to tensors: lists padded or ragged, bytes decoded."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from nsl_tools.data.packed_spec import padded, zero_of
from nsl_tools.errors import UsageError
from nsl_tools.feature_names import neighbor_feature, neighbor_weight

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nsl_tools.data.packed_spec import Feature, Spec

    Decode = Callable[[tf.Tensor], tf.Tensor]


def make_parse_fn(
    spec: Mapping[str, Feature],
    *,
    max_neighbors: int = 0,
    label: str | None = "label",
    label_weight: str | None = None,
    features: Sequence[str] | None = None,
    pad: Mapping[str, int] | None = None,
    pad_values: Mapping[str, float | bytes] | None = None,
    ragged: Sequence[str] = (),
    decode: Mapping[str, Decode] | None = None,
    cut: Counter[str] | None = None,
) -> Callable[[tf.Tensor], Any]:
    """Return a function from serialized examples, shape (batch,), to what `fit` takes.

    For those with a pipeline of their own; the arguments are `make_dataset`'s.

    Raises:
        UsageError: `label` or one of `features` is not in `spec`, or an option is for
            another kind of feature.
    """
    names = own_features(spec, label, label_weight) if features is None else list(features)
    known = {name: _known(spec, name) for name in names}
    wanted = dict(known)
    for rank in range(max_neighbors):
        wanted |= {neighbor_feature(rank, name): padded(known[name]) for name in names}
        wanted[neighbor_weight(rank)] = tf.io.FixedLenFeature([1], tf.float32, [0.0])
    targets = dict(wanted)
    if label is not None:
        known[label] = targets[label] = _scalar(_known(spec, label))
        if label_weight is not None:
            targets[label] = padded(targets[label])
            targets[label_weight] = tf.io.FixedLenFeature([], tf.float32, 1.0)
    lists = _Lists(known, dict(pad or {}), dict(pad_values or {}), tuple(ragged), max_neighbors)
    decoders = _decoders(known, decode or {})
    counts = cut if cut is not None else Counter()

    def parse(serialized: tf.Tensor) -> Any:
        parsed = lists.densified(tf.io.parse_example(serialized, targets), counts)
        for name, decoder in decoders.items():
            for each in lists.alike(name):
                parsed[each] = decoder(parsed[each])
        inputs = {name: parsed[name] for name in wanted}
        if label is None:
            return inputs
        if label_weight is None:
            return inputs, parsed[label]
        return inputs, parsed[label], parsed[label_weight]

    return parse


@dataclass(frozen=True)
class _Lists:
    """The features whose number of values varies, and how they become tensors.

    Attributes:
        known: all features, the label too.
        pad: number of values by name.
        pad_values: what to pad with, by name.
        ragged: names of those that stay ragged.
        max_neighbors: neighbours that each sample has.
    """

    known: Spec
    pad: dict[str, int]
    pad_values: dict[str, float | bytes]
    ragged: tuple[str, ...]
    max_neighbors: int
    varying: list[str] = field(init=False)

    def __post_init__(self) -> None:
        """Find what varies; refuse options for what does not, and lengths below 1."""
        varying = [n for n, f in self.known.items() if isinstance(f, tf.io.RaggedFeature)]
        object.__setattr__(self, "varying", varying)
        for option in ("pad", "pad_values", "ragged"):
            for name in getattr(self, option):
                if name not in varying:
                    raise UsageError(
                        f"{option}: {name!r} is no feature of varying length, expected one of "
                        f"{sorted(varying)}"
                    )

        for name, size in self.pad.items():
            if size < 1:
                raise UsageError(f"pad: expected at least 1 value for {name!r}, received {size}")

    def alike(self, name: str) -> list[str]:
        """Return the names of a feature, its own and the neighbours'."""
        return [name, *(neighbor_feature(rank, name) for rank in range(self.max_neighbors))]

    def densified(self, parsed: dict[str, Any], counts: Counter[str]) -> dict[str, Any]:
        """Return parsed features with lists padded, those of a sample and its neighbours alike."""
        for name in self.varying:
            if name in self.ragged:
                continue
            group = [each for each in self.alike(name) if each in parsed]
            lengths = tf.concat([parsed[each].row_lengths() for each in group], axis=0)
            rows = self._with_own_for_missing(parsed, group)
            value = self.pad_values.get(name, zero_of(rows.dtype))
            if (size := self.pad.get(name)) is not None:
                _count_longer(name, lengths, size, counts)
                dense = rows.to_tensor(value, shape=[None, size])
            else:
                # One value more, so that lists are not empty where all are.
                length = tf.ones([1], rows.row_splits.dtype)
                one = tf.RaggedTensor.from_row_lengths(tf.constant([value], rows.dtype), length)
                dense = tf.concat([rows, one], axis=0).to_tensor(value)[:-1]
            parsed |= dict(zip(group, tf.split(dense, len(group)), strict=True))
        return parsed

    def _with_own_for_missing(self, parsed: dict[str, Any], group: list[str]) -> tf.RaggedTensor:
        """Return the lists of samples, then of neighbours of each rank.

        A missing neighbour, of weight 0, has the list of its sample: a model that takes the
        mean over a mask has no answer to a list of padding alone, and not-a-number times 0
        would spoil the loss.
        """
        count = parsed[group[0]].nrows()
        places = [tf.range(count)]
        for rank in range(len(group) - 1):
            is_missing = parsed[neighbor_weight(rank)][:, 0] == 0
            places.append(tf.where(is_missing, places[0], places[0] + (rank + 1) * count))
        rows = tf.concat([parsed[each] for each in group], axis=0)
        return tf.gather(rows, tf.concat(places, axis=0))


def _count_longer(name: str, lengths: tf.Tensor, size: int, counts: Counter[str]) -> None:
    """Count lists that are longer than `size`; say so at the first."""

    def count(lengths: Any) -> None:
        longer = int((lengths > size).sum())
        if longer and not counts[name]:
            logging.getLogger("nsl_tools").warning(
                "feature %r: lists of more than %d values are cut, here one of %d",
                name, size, lengths.max(),
            )  # fmt: skip
        counts[name] += longer

    tf.numpy_function(count, [lengths], [])


def _decoders(known: Spec, decode: Mapping[str, Decode]) -> dict[str, Decode]:
    """Return by name what decodes the values of a feature, shape (batch, 1) or (batch,)."""
    decoders: dict[str, Decode] = {}
    for name, function in decode.items():
        found = _known(known, name)
        is_value = isinstance(found, tf.io.FixedLenFeature) and list(found.shape) in ([], [1])
        if not is_value or found.dtype != tf.string:
            raise UsageError(f"decode: feature {name!r} is {found}, expected one bytes value")
        signature = tf.function(function).get_concrete_function(tf.TensorSpec([], tf.string))
        result = tf.TensorSpec.from_tensor(signature.structured_outputs)
        if not result.shape.is_fully_defined():
            raise UsageError(
                f"decode: the function for {name!r} returns tensors of shape {result.shape}, "
                "expected one shape for all: resize them in it"
            )
        decoders[name] = partial(_decoded, function=function, result=result)
    return decoders


def _decoded(values: tf.Tensor, function: Decode, result: tf.TensorSpec) -> tf.Tensor:
    """Return what a function makes of each value, shape (batch, ...); zeros of empty ones."""

    def decoded(value: tf.Tensor) -> tf.Tensor:
        zeros = tf.zeros(result.shape, result.dtype)
        return tf.cond(tf.equal(value, b""), lambda: zeros, lambda: function(value))

    return tf.map_fn(decoded, tf.reshape(values, [-1]), fn_output_signature=result)


def own_features(spec: Mapping[str, Feature], *others: str | None) -> list[str]:
    """Return the names of all features but some."""
    return [name for name in spec if name not in others]


def _known(spec: Mapping[str, Feature], name: str) -> Feature:
    if name not in spec:
        raise UsageError(f"no feature {name!r}, expected one of {sorted(spec)}")
    return spec[name]


def _scalar(feature: Feature) -> Feature:
    """Return a feature of one value with shape () instead of (1,)."""
    if not isinstance(feature, tf.io.FixedLenFeature) or list(feature.shape) != [1]:
        return feature
    return tf.io.FixedLenFeature([], feature.dtype, feature.default_value)
