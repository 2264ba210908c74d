"""From serialized packed examples to tensors of TensorFlow: lists padded, bytes decoded."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from nsl_tools.data.features import BYTES, FixedFeature, ListFeature, padded, zero_of
from nsl_tools.data.request import LABEL_WEIGHT, WEIGHT, request_of
from nsl_tools.errors import UsageError
from nsl_tools.feature_names import neighbor_weight

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Mapping, Sequence

    from nsl_tools.data.features import Feature, Value
    from nsl_tools.data.request import Request

    Decode = Callable[[tf.Tensor], tf.Tensor]


def make_parse_fn(
    spec: Mapping[str, Any],
    *,
    max_neighbors: int = 0,
    label: str | None = "label",
    label_weight: str | None = None,
    features: Sequence[str] | None = None,
    pad: Mapping[str, int] | None = None,
    pad_values: Mapping[str, Value] | None = None,
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
    return parse_fn(
        request_of(
            spec,
            label=label,
            label_weight=label_weight,
            features=features,
            max_neighbors=max_neighbors,
            pad=pad,
            pad_values=pad_values,
            ragged=ragged,
            decode=decode,
            cut=cut,
        )
    )


def parse_fn(request: Request) -> Callable[[tf.Tensor], Any]:
    """Return a function from serialized examples, shape (batch,), to what is asked for.

    Raises:
        UsageError: what decodes a feature gives tensors of different shapes.
    """
    wanted: dict[str, Feature] = dict(request.features)
    for rank in range(request.max_neighbors):
        wanted |= {request.alike(n)[1 + rank]: padded(f) for n, f in request.features.items()}
        wanted[neighbor_weight(rank)] = WEIGHT
    targets = {**wanted, **request.labels}
    if request.label_weight is not None:
        targets[request.label_weight] = LABEL_WEIGHT
    known = {name: _of_tensorflow(feature) for name, feature in targets.items()}
    decoders = {name: _decoder(name, function) for name, function in request.decode.items()}

    def parse(serialized: tf.Tensor) -> Any:
        parsed = _densified(request, tf.io.parse_example(serialized, known))
        for name, decoder in decoders.items():
            for each in request.alike(name):
                parsed[each] = decoder(parsed[each])
        inputs = {name: parsed[name] for name in wanted}
        if not request.labels:
            return inputs
        (label,) = request.labels
        if request.label_weight is None:
            return inputs, parsed[label]
        return inputs, parsed[label], parsed[request.label_weight]

    return parse


def _of_tensorflow(feature: Feature) -> tf.io.FixedLenFeature | tf.io.RaggedFeature:
    dtype = tf.string if feature.dtype == BYTES else tf.as_dtype(feature.dtype)
    if isinstance(feature, ListFeature):
        return tf.io.RaggedFeature(dtype)
    default = None if feature.default is None else feature.defaults()
    return tf.io.FixedLenFeature(feature.shape, dtype, default)


def _densified(request: Request, parsed: dict[str, Any]) -> dict[str, Any]:
    """Return parsed features with lists padded, those of a sample and its neighbours alike."""
    for name, feature in request.known.items():
        if isinstance(feature, FixedFeature) or name in request.ragged:
            continue
        group = request.alike(name)
        lengths = tf.concat([parsed[each].row_lengths() for each in group], axis=0)
        rows = _with_own_for_missing(parsed, group)
        value = request.pad_values.get(name, zero_of(feature.dtype))
        if name in request.pad:
            _count_longer(request, name, lengths)
            dense = rows.to_tensor(value, shape=[None, request.pad[name]])
        else:
            # One value more, so that lists are not empty where all are.
            length = tf.ones([1], rows.row_splits.dtype)
            one = tf.RaggedTensor.from_row_lengths(tf.constant([value], rows.dtype), length)
            dense = tf.concat([rows, one], axis=0).to_tensor(value)[:-1]
        parsed |= dict(zip(group, tf.split(dense, len(group)), strict=True))
    return parsed


def _with_own_for_missing(parsed: dict[str, Any], group: list[str]) -> tf.RaggedTensor:
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


def _count_longer(request: Request, name: str, lengths: tf.Tensor) -> None:
    """Count lists that are longer than they may be."""

    def count(lengths: Any) -> None:
        request.count_cut(name, int((lengths > request.pad[name]).sum()), int(lengths.max()))

    tf.numpy_function(count, [lengths], [])


def _decoder(name: str, function: Decode) -> Decode:
    """Return what decodes the values of a feature, shape (batch, 1) or (batch,)."""
    signature = tf.function(function).get_concrete_function(tf.TensorSpec([], tf.string))
    result = tf.TensorSpec.from_tensor(signature.structured_outputs)
    if not result.shape.is_fully_defined():
        raise UsageError(
            f"decode: the function for {name!r} returns tensors of shape {result.shape}, "
            "expected one shape for all: resize them in it"
        )
    return partial(_decoded, function=function, result=result)


def _decoded(values: tf.Tensor, function: Decode, result: tf.TensorSpec) -> tf.Tensor:
    """Return what a function makes of each value, shape (batch, ...); zeros of empty ones."""

    def decoded(value: tf.Tensor) -> tf.Tensor:
        zeros = tf.zeros(result.shape, result.dtype)
        return tf.cond(tf.equal(value, b""), lambda: zeros, lambda: function(value))

    return tf.map_fn(decoded, tf.reshape(values, [-1]), fn_output_signature=result)
