"""What both wrappers share: a base model and what it is called with, a multiplier, saving."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras
from keras import ops, tree

from nsl_tools.keras.arguments import check_type

if TYPE_CHECKING:
    from typing_extensions import Self

Nested = Any


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

    def build(self, input_shape: Any = None) -> None:
        """Mark the wrapper as built: the base model builds itself when it is called."""
        del input_shape
        self.built = True

    @property
    def metrics_names(self) -> list[str]:
        """Names of what `evaluate` returns, in its order."""
        return [inner.name for each in self.metrics for inner in getattr(each, "metrics", [each])]

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
