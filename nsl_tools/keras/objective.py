"""Losses and metrics of each output, under NSL's names.

NSL reports the loss on the labels and each metric by the function's name
(`mean_squared_error`), with the label's name behind it when there are several outputs
(`mean_absolute_error_label1`) and a number when a name repeats (`..._2`). `"accuracy"`
and `"ce"` stand for the binary, categorical or sparse categorical metric that goes with
the loss of their output. Source: NSL 1.4, `keras/adversarial_regularization.py`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops, tree

Tensor = Any

_BINARY = (
    keras.losses.BinaryCrossentropy,
    keras.losses.BinaryFocalCrossentropy,
    keras.losses.Hinge,
    keras.losses.SquaredHinge,
)
_AMBIGUOUS = {
    "accuracy": "accuracy",
    "acc": "accuracy",
    "crossentropy": "crossentropy",
    "ce": "crossentropy",
}


@dataclass(frozen=True)
class OutputLoss:
    """The loss of one output: `weight * loss`, reported as `name` without the weight."""

    loss: keras.losses.Loss
    weight: float
    name: str


@dataclass
class Objective:
    """The losses and metrics of a compiled model, one entry per output.

    Attributes:
        losses: loss of each output, in the order of the flattened outputs.
        metrics: metrics of each output.
        weighted_metrics: metrics of each output that sample weights apply to.
        trackers: running mean of each loss, and of the additional term.
    """

    losses: list[OutputLoss]
    metrics: list[list[keras.metrics.Metric]]
    weighted_metrics: list[list[keras.metrics.Metric]]
    trackers: list[keras.metrics.Mean]

    def values(
        self, labels: Sequence[Tensor], outputs: Sequence[Tensor], weights: Sequence[Tensor]
    ) -> list[Tensor]:
        """Return the loss of each output, before its weight.

        Raises:
            ValueError: if labels, outputs and losses are not equally many.
        """
        if not len(labels) == len(outputs) == len(self.losses):
            raise ValueError(
                "Invalid value for argument `label_keys`. Expected one label for each output of "
                f"the base model, which has {len(outputs)}. Received: {len(labels)} labels and "
                f"{len(self.losses)} losses."
            )
        return [
            entry.loss(label, output, weight)
            for entry, label, output, weight in zip(
                self.losses, labels, outputs, weights, strict=True
            )
        ]

    def total(self, values: Sequence[Tensor]) -> Tensor:
        """Return the weighted sum of the losses of all outputs."""
        return sum(entry.weight * value for entry, value in zip(self.losses, values, strict=True))

    def track(self, values: Sequence[Tensor], batch_size: Tensor) -> None:
        """Add the losses of a batch, and the additional term, to their running means."""
        for tracker, value in zip(self.trackers, values, strict=True):
            tracker.update_state(unscaled(ops.mean(value)), sample_weight=batch_size)


def unscaled(loss: Tensor) -> Tensor:
    """Undo the division by the number of replicas that every Keras `Loss` makes."""
    if keras.backend.backend() != "tensorflow":
        return loss
    import tensorflow as tf

    return loss * tf.distribute.get_strategy().num_replicas_in_sync


def make_objective(
    loss: Any,
    loss_weights: Any,
    metrics: Any,
    weighted_metrics: Any,
    output_names: Sequence[str],
    tags: Sequence[str],
    term: str,
) -> Objective:
    """Resolve what was given to `compile`.

    Args:
        loss: a loss, a list with one per output, or a dictionary by output name.
        loss_weights: nothing, a list, or a dictionary by output name.
        metrics: nothing; a list for every output; one list per output; or a dictionary.
        weighted_metrics: as `metrics`.
        output_names: names of the outputs, keys of the dictionaries.
        tags: what tells the outputs apart in reported names: their labels.
        term: name of the additional term, the last of the trackers.
    """
    names = _Names(tags)
    functions = [_resolved_loss(entry) for entry in _per_output(loss, "loss", output_names)]
    weights = [1.0 if w is None else float(w) for w in _weights(loss_weights, output_names)]
    losses = [
        OutputLoss(_as_loss(function), weight, names.take(_name_of(function), output))
        for output, (function, weight) in enumerate(zip(functions, weights, strict=True))
    ]
    trackers = [keras.metrics.Mean(name=name) for name in (*(e.name for e in losses), term)]
    return Objective(
        losses=losses,
        metrics=_metrics_of_outputs(metrics, output_names, functions, names),
        weighted_metrics=_metrics_of_outputs(weighted_metrics, output_names, functions, names),
        trackers=trackers,
    )


def in_output_order(labels: Any, predictions: Any, names: Sequence[str]) -> list[Tensor]:
    """Flatten `labels` to the order of the flattened `predictions`.

    A dictionary is matched by key, with the predictions' own keys or the names of the
    outputs; other structures by position.
    """
    if isinstance(labels, Mapping):
        keys = sorted(predictions) if isinstance(predictions, Mapping) else list(names)
        if set(keys) == set(labels):
            return [labels[key] for key in keys]
    return list(tree.flatten(labels))


class _Names:
    """Makes each reported name unique."""

    def __init__(self, tags: Sequence[str]) -> None:
        self._tags = tags
        self._seen: Counter[str] = Counter()

    def take(self, name: str, output: int) -> str:
        full = f"{name}_{self._tags[output]}" if len(self._tags) > 1 else name
        self._seen[full] += 1
        count = self._seen[full]
        return full if count == 1 else f"{full}_{count}"


class _FunctionLoss(keras.losses.Loss):
    """A loss function with the reduction and the weighting of a `Loss`."""

    def __init__(self, function: Any) -> None:
        super().__init__(name=_name_of(function))
        self._function = function

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if len(y_true.shape) + 1 == len(y_pred.shape) and y_pred.shape[-1] == 1:
            y_true = ops.expand_dims(y_true, axis=-1)
        return self._function(y_true, y_pred)


def _resolved_loss(identifier: Any) -> Any:
    resolved = keras.losses.get(identifier)
    if resolved is None:
        raise ValueError(
            "Invalid value for argument `loss`. Expected a loss for each output. Received: None."
        )
    return resolved


def _as_loss(function: Any) -> keras.losses.Loss:
    return function if isinstance(function, keras.losses.Loss) else _FunctionLoss(function)


def _name_of(function: Any) -> str:
    name = getattr(function, "__name__", None) or getattr(function, "name", None)
    return str(name or type(function).__name__)


def _per_output(value: Any, argument: str, names: Sequence[str]) -> list[Any]:
    """Return the entry of each output in a list, a dictionary, or one value for all."""
    if isinstance(value, Mapping):
        missing = [name for name in names if name not in value]
        if missing:
            raise ValueError(
                f"Invalid value for argument `{argument}`. Expected an entry for each of the "
                f"outputs {list(names)}. Received: {list(value)}."
            )
        return [value[name] for name in names]
    if isinstance(value, list | tuple):
        if len(value) != len(names):
            raise ValueError(
                f"Invalid value for argument `{argument}`. Expected {len(names)} entries, one "
                f"for each output. Received: {len(value)}."
            )
        return list(value)
    return [value for _ in names]


def _weights(loss_weights: Any, names: Sequence[str]) -> list[Any]:
    if loss_weights is not None and not isinstance(loss_weights, Mapping | list | tuple):
        raise TypeError(
            "Invalid value for argument `loss_weights`. Expected a list or a dictionary. "
            f"Received: {loss_weights!r}."
        )
    return _per_output(loss_weights, "loss_weights", names)


def _metrics_of_outputs(
    metrics: Any, output_names: Sequence[str], losses: Sequence[Any], names: _Names
) -> list[list[keras.metrics.Metric]]:
    found: list[list[keras.metrics.Metric]] = []
    for output, entries in enumerate(_metric_lists(metrics, output_names)):
        resolved = [_resolved_metric(entry, losses[output]) for entry in entries]
        found.append([_renamed(m, names.take(m.name, output), shared=output > 0) for m in resolved])
    return found


def _metric_lists(metrics: Any, names: Sequence[str]) -> list[list[Any]]:
    """Return a list of metrics for each output; a plain list is for every output."""
    if metrics is None:
        return [[] for _ in names]
    if isinstance(metrics, Mapping):
        return [_as_list(metrics.get(name, [])) for name in names]
    if not isinstance(metrics, list | tuple):
        raise TypeError(
            "Invalid value for argument `metrics`. Expected a list or a dictionary. "
            f"Received: {metrics!r}."
        )
    if not any(isinstance(entry, list | tuple) for entry in metrics):
        return [list(metrics) for _ in names]
    return [_as_list(entry) for entry in _per_output(metrics, "metrics", names)]


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _resolved_metric(metric: Any, loss: Any) -> keras.metrics.Metric:
    if isinstance(metric, str) and metric.lower() in _AMBIGUOUS:
        metric = _kind_of(loss) + _AMBIGUOUS[metric.lower()]
    resolved = keras.metrics.get(metric)
    if isinstance(resolved, keras.metrics.Metric):
        return resolved
    return keras.metrics.MeanMetricWrapper(resolved, name=_name_of(resolved))


def _kind_of(loss: Any) -> str:
    """Return the prefix of the metrics that go with `loss`."""
    names = {_snake_case(kind.__name__) for kind in _BINARY}
    if isinstance(loss, _BINARY) or _name_of(loss) in names:
        return "binary_"
    if isinstance(loss, keras.losses.SparseCategoricalCrossentropy) or (
        _name_of(loss) == "sparse_categorical_crossentropy"
    ):
        return "sparse_categorical_"
    return "categorical_"


def _snake_case(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def _renamed(metric: keras.metrics.Metric, name: str, shared: bool) -> keras.metrics.Metric:
    """Return `metric` under `name`: a copy, unless it is the caller's own and fits as it is."""
    if metric.name == name and not shared:
        return metric
    copy = type(metric).from_config(metric.get_config())
    copy.name = name
    return copy


def shared_between_replicas(loss: Tensor) -> Tensor:
    """Divide `loss` by the number of replicas, as every Keras `Loss` does itself.

    `tf.distribute` sums gradients over the replicas.
    """
    if keras.backend.backend() != "tensorflow":
        return loss
    import tensorflow as tf

    return loss / ops.cast(tf.distribute.get_strategy().num_replicas_in_sync, loss.dtype)
