"""Configurations as dictionaries of plain values, for `get_config` and `from_config`."""

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
