"""The arguments of the wrappers: checked, in NSL's older spellings too, and as plain values.

The plain values are for `get_config` and `from_config`.
"""

from collections.abc import Sequence
from dataclasses import fields
from enum import Enum
from typing import Any

import keras

from nsl_tools.configs import (
    AdvNeighborConfig,
    AdvRegConfig,
    DistanceConfig,
    GraphNeighborConfig,
    GraphRegConfig,
)


def check_type(name: str, value: Any, expected: Any) -> None:
    """Raise a `TypeError` unless `value` is an instance of `expected`."""
    if not isinstance(value, expected):
        raise TypeError(
            f"Invalid value for argument `{name}`. Expected {expected}. "
            f"Received: {value!r} of type {type(value).__name__}."
        )


def shapes_fit(shape: Sequence[int | None], other: Sequence[int | None]) -> bool:
    """Whether the shapes may be the same, where a size that is not known yet is None."""
    return len(shape) == len(other) and all(
        None in (a, b) or a == b for a, b in zip(shape, other, strict=True)
    )


def keys_and_config(
    label_keys: Sequence[str] | str | AdvRegConfig, adv_config: AdvRegConfig | None
) -> tuple[tuple[str, ...], AdvRegConfig]:
    """Return label keys and configuration, whichever of them came in the second place.

    NSL 1.4 takes `label_keys` there; its announcement writes the configuration.
    """
    if isinstance(label_keys, AdvRegConfig):
        return ("label",), label_keys
    if isinstance(label_keys, str):
        label_keys = (label_keys,)
    check_type("label_keys", label_keys, Sequence)
    check_type("adv_config", adv_config, AdvRegConfig | None)
    return tuple(label_keys), adv_config or AdvRegConfig()


def adv_config_to_dict(config: AdvRegConfig) -> dict[str, Any]:
    """Return `config` with enums as their values and arrays in Keras's serialised form."""
    return {
        "multiplier": config.multiplier,
        "adv_neighbor_config": config_to_dict(config.adv_neighbor_config),
    }


def adv_config_from_dict(values: dict[str, Any]) -> AdvRegConfig:
    """Return the configuration that `adv_config_to_dict` was given."""
    neighbor = {
        key: keras.saving.deserialize_keras_object(value)
        for key, value in values["adv_neighbor_config"].items()
    }
    return AdvRegConfig(
        multiplier=values["multiplier"], adv_neighbor_config=AdvNeighborConfig(**neighbor)
    )


def graph_config_to_dict(config: GraphRegConfig) -> dict[str, Any]:
    """Return `config` with enums as their values."""
    return {
        "neighbor_config": config_to_dict(config.neighbor_config),
        "multiplier": config.multiplier,
        "distance_config": config_to_dict(config.distance_config),
    }


def graph_config_from_dict(values: dict[str, Any]) -> GraphRegConfig:
    """Return the configuration that `graph_config_to_dict` was given."""
    return GraphRegConfig(
        neighbor_config=GraphNeighborConfig(**values["neighbor_config"]),
        multiplier=values["multiplier"],
        distance_config=DistanceConfig(**values["distance_config"]),
    )


def config_to_dict(config: Any) -> dict[str, Any]:
    """Return a configuration without parts: enums as values, arrays in Keras's serialised form."""
    return {field.name: _plain(getattr(config, field.name)) for field in fields(config)}


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else keras.saving.serialize_keras_object(value)
