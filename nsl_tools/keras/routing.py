"""Hand named features to a base model in the shape that it declares.

A base model with declared inputs (functional, or Sequential with an `Input`) takes its
features by name, whatever the order of the dictionary. One without takes the whole
dictionary (subclassed), or the features by position (Sequential).
"""

from collections.abc import Mapping
from typing import Any

import keras
from keras import tree

Nested = Any


def route(model: keras.Model, features: Nested, extras: Mapping[str, Any] | None = None) -> Nested:
    """Return the argument to call `model` with.

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
