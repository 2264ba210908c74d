"""What both wrappers share: a base model, a term with a multiplier, compiling and saving.

A base model may be a wrapper itself. Then the loss has the terms of both, each reported under
its name: the outer one asks the inner one for its term, and for what the model within takes.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
from keras import ops, tree

from nsl_tools.keras.arguments import check_type

if TYPE_CHECKING:
    from typing_extensions import Self

Nested = Any
Tensor = Any


@dataclass(frozen=True)
class _CompileArguments:
    """The arguments of `compile`, as they were given. Hidden here from Keras's tracking."""

    values: dict[str, Any]


class RegularizedModel(keras.Model):
    """A model that trains another one, whose variables it shares, with one more loss term.

    A wrapper whose base model is built calls `build` at the end of its own constructor: after
    that Keras lets it have no more state.

    Args:
        base_model: the model to train.
        multiplier: the weight of the term.
        **kwargs: arguments of `keras.Model`.

    Attributes:
        base_model: as given.
        multiplier: variable, the weight of the term. A `nsl.keras.MultiplierSchedule`
            changes it between epochs.
        configured_multiplier: the multiplier as given, whatever a schedule has made of it.
    """

    def __init__(self, base_model: keras.Model, multiplier: float, **kwargs: Any) -> None:
        check_type("base_model", base_model, keras.Model)
        _refuse_own_loss(base_model)
        # The base model casts its inputs itself; labels and weights among them stay as they are.
        defaults = {"name": type(self).__name__, "autocast": False}
        super().__init__(**{**defaults, "dtype": base_model.dtype_policy, **kwargs})
        self.base_model = base_model
        self.configured_multiplier = float(multiplier)
        self.multiplier = self.add_weight(
            name="multiplier",
            shape=(),
            dtype="float32",
            initializer=keras.initializers.Constant(multiplier),
            trainable=False,
        )
        self._evaluating = False

    @property
    def inner(self) -> "RegularizedModel | None":
        """The base model, if it has a term of its own."""
        return self.base_model if isinstance(self.base_model, RegularizedModel) else None

    @property
    def within(self) -> "list[RegularizedModel]":
        """All wrappers that the base model consists of."""
        return [] if self.inner is None else [self.inner, *self.inner.within]

    @property
    def innermost(self) -> keras.Model:
        """The model within all wrappers."""
        return [self, *self.within][-1].base_model

    def base_features(self, x: Nested) -> Nested:
        """Return the features in `x` for the base model: without what the wrapper takes out."""
        raise NotImplementedError

    def own_features(self, x: Nested) -> Nested:
        """Return the features in `x` for the model within all wrappers."""
        features = self.base_features(x)
        return features if self.inner is None else self.inner.own_features(features)

    def _for_inner(self, x: Nested) -> Nested:
        """Return of `x` what the wrappers within need for their terms."""
        # Two of a kind take out the same features, and both need them.
        alike = any(isinstance(each, type(self)) for each in self.within)
        return x if alike else self.base_features(x)

    def labels_and_weights(
        self, x: Nested, y: Nested, y_pred: Nested, sample_weight: Nested
    ) -> tuple[Nested, Nested]:
        """Return labels, structured as the predictions, and sample weights, wherever they are."""
        if self.inner is None:
            return y, sample_weight
        return self.inner.labels_and_weights(self._for_inner(x), y, y_pred, sample_weight)

    def scaled_term(
        self, x: Nested, y: Nested, y_pred: Nested, sample_weight: Nested, training: bool
    ) -> Tensor | None:
        """Return the wrapper's own term times its multiplier, and track it; None without one."""
        raise NotImplementedError

    def inner_terms(
        self, x: Nested, y: Nested, y_pred: Nested, sample_weight: Nested, training: bool
    ) -> list[Tensor]:
        """Return the scaled terms of the wrappers within."""
        if self.inner is None:
            return []
        given = self._for_inner(x), y, y_pred, sample_weight, training
        own = self.inner.scaled_term(*given)
        return [*([] if own is None else [own]), *self.inner.inner_terms(*given)]

    @property
    def trackers(self) -> list[keras.metrics.Metric]:
        """The running mean of the wrapper's own term, if it has one now."""
        raise NotImplementedError

    @property
    def inner_trackers(self) -> list[keras.metrics.Metric]:
        """The running means of the terms of the wrappers within."""
        return [tracker for each in self.within for tracker in each.trackers]

    def term_name(self, name: str) -> str:
        """Return the name to report the own term by: with a number where one within has it."""
        number = 1 + sum(isinstance(each, type(self)) for each in self.within)
        return f"{name}_{number}" if number > 1 else name

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        **kwargs: Any,
    ) -> None:
        """Configure training as `keras.Model.compile` does.

        As in NSL, the base model is compiled as well, with the same optimizer and losses and
        with metrics of its own.

        Raises:
            ValueError: if losses or metrics do not fit the outputs.
        """
        given = {"loss": loss, "loss_weights": loss_weights}
        given |= {"metrics": metrics, "weighted_metrics": weighted_metrics}
        self.configure(optimizer, given, kwargs)
        own = {"metrics": _copied(metrics), "weighted_metrics": _copied(weighted_metrics)}
        # Only what was given: a base model may have a `compile` of fewer arguments.
        arguments = {name: value for name, value in {**given, **own}.items() if value is not None}
        self.base_model.compile(self.optimizer, **arguments, **kwargs)
        self._compile_arguments = _CompileArguments({**given, **kwargs})

    def configure(self, optimizer: Any, given: dict[str, Any], kwargs: dict[str, Any]) -> None:
        """Compile the wrapper alone, with losses and metrics as given to `compile`."""
        super().compile(optimizer, **given, **kwargs)

    def get_compile_config(self) -> dict[str, Any]:
        """Return the arguments of `compile`, serialised."""
        if not self.compiled:
            return {}
        arguments = {"optimizer": self.optimizer, **self._compile_arguments.values}
        return dict(keras.saving.serialize_keras_object(arguments))

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile with the arguments that `get_compile_config` returned."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None and self.base_model.built:
            self.optimizer.build(self.trainable_variables)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate as `keras.Model.evaluate` does, without terms that are of training alone."""
        with self.evaluation():
            return super().evaluate(*args, **kwargs)

    def test_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate a batch as `keras.Model.test_on_batch` does, without such terms."""
        with self.evaluation():
            return super().test_on_batch(*args, **kwargs)

    @contextmanager
    def evaluation(self) -> Iterator[None]:
        """Leave out, here and in the wrappers within, what is of training alone."""
        before, self._evaluating = self._evaluating, True
        with ExitStack() as stack:
            stack.callback(setattr, self, "_evaluating", before)
            if self.inner is not None:
                stack.enter_context(self.inner.evaluation())
            yield

    def build(self, input_shape: Any = None) -> None:
        """Mark the wrapper as built: the base model builds itself when it is called."""
        del input_shape
        self.built = True

    @property
    def metrics_names(self) -> list[str]:
        """Names of what `evaluate` returns, in its order."""
        with self.evaluation():
            found = [getattr(each, "metrics", [each]) for each in self.metrics]
        return [metric.name for metrics in found for metric in metrics]

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` makes an equal wrapper of."""
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.saving.serialize_keras_object(self.dtype_policy),
            "base_model": keras.saving.serialize_keras_object(self.base_model),
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> "Self":
        """Make a wrapper of what `get_config` returned."""
        models = {
            key: keras.saving.deserialize_keras_object(config[key], custom_objects=custom_objects)
            for key in ("base_model", "dtype")
        }
        return cls(**{**config, **models})

    def save_own_variables(self, store: Any) -> None:
        """Save the variables that are the wrapper's own, which Keras would not."""
        for name, variable in self._own_variables().items():
            store[name] = ops.convert_to_numpy(variable)

    def load_own_variables(self, store: Any) -> None:
        """Load what `save_own_variables` saved."""
        for name, variable in self._own_variables().items():
            variable.assign(store[name][...])

    def _own_variables(self) -> dict[str, keras.Variable]:
        return {"multiplier": self.multiplier}

    def export(self, filepath: Any, *args: Any, **kwargs: Any) -> Any:
        """Export the base model: serving needs neither labels nor neighbours."""
        return self.base_model.export(filepath, *args, **kwargs)


def _refuse_own_loss(model: keras.Model) -> None:
    """Refuse a base model that trains or reports in a way that a wrapper would leave out."""
    known: type = keras.Model
    for each in type(model).__mro__:
        if each.__module__.startswith("nsl_tools."):
            known = each
            break
    methods = ("compute_loss", "compute_metrics", "train_step", "test_step")
    own = [name for name in methods if getattr(type(model), name) is not getattr(known, name)]
    if own:
        raise ValueError(
            "Invalid value for argument `base_model`. Expected a model whose whole loss is that of "
            "`compile` and of `add_loss`, since the wrapper's training takes the place of its own: "
            "call `self.add_loss(...)` in its `call`. "
            f"Received: a {type(model).__name__}, which overrides {', '.join(own)}."
        )


def _copied(metrics: Nested) -> Nested:
    """Return metrics with a state of their own."""
    return tree.map_structure(
        lambda metric: (
            type(metric).from_config(metric.get_config())
            if isinstance(metric, keras.metrics.Metric)
            else metric
        ),
        metrics,
    )


def route(model: keras.Model, features: Nested, extras: Mapping[str, Any] | None = None) -> Nested:
    """Return the argument to call `model` with, in the shape that it declares.

    A model with declared inputs (functional, or Sequential with an `Input`) takes its
    features by name, whatever the order of the dictionary. One without takes the whole
    dictionary (subclassed), or the features by position (Sequential).

    Args:
        model: the base model.
        features: a dictionary of named features. Anything else is returned as it is, under
            its name if the model declares just one.
        extras: more named tensors that the model may ask for by name.

    Raises:
        ValueError: if the model declares an input that `features` does not have.
    """
    declared = _declared_inputs(model)
    if not isinstance(features, Mapping):
        if isinstance(declared, Mapping) and len(declared) == 1:
            return dict.fromkeys(declared, features)
        return features
    if declared is None:
        return _by_position(features) if isinstance(model, keras.Sequential) else features
    named = {**(extras or {}), **features}
    missing = [name for name in _names(declared) if name not in named]
    if not missing:
        return _by_name(declared, named)
    if len(missing) == len(features) == len(tree.flatten(declared)) == 1:
        return _by_position(features)  # one input, one feature: no doubt which is meant
    if isinstance(model, keras.Sequential):
        return _by_position(features)
    raise ValueError(
        f"Invalid value for argument `features`. Expected the inputs {_names(declared)} of the "
        f"base model. Received: {sorted(map(str, features))}, without {missing}."
    )


def _declared_inputs(model: keras.Model) -> Nested | None:
    inputs = getattr(model, "inputs", None)
    if not inputs:
        return None
    return inputs[0] if isinstance(model, keras.Sequential) else model.input


def _names(declared: Nested) -> list[str]:
    if isinstance(declared, Mapping):
        return list(declared)
    return [tensor.name for tensor in tree.flatten(declared)]


def _by_name(declared: Nested, named: Mapping[str, Any]) -> Nested:
    if isinstance(declared, Mapping):
        return {name: named[name] for name in declared}
    return tree.map_structure(lambda tensor: named[tensor.name], declared)


def _by_position(features: Mapping[str, Any]) -> Nested:
    flat = tree.flatten(dict(features))
    return flat[0] if len(flat) == 1 else flat
