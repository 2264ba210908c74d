"""NSL's layers, for those who write the graph term into a model of their own.

Source of the behaviour: NSL 1.4, `keras/layers`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
from keras import ops

from nsl_tools.configs import DistanceConfig, GraphNeighborConfig
from nsl_tools.feature_names import neighbor_feature, neighbor_weight
from nsl_tools.keras.arguments import config_to_dict
from nsl_tools.keras.distances import pairwise_distance_wrapper
from nsl_tools.keras.neighbor_features import unpack_neighbor_features

Tensor = Any

__all__ = ["NeighborFeatures", "PairwiseDistance", "make_missing_neighbor_inputs"]


def make_missing_neighbor_inputs(
    neighbor_config: GraphNeighborConfig,
    inputs: Mapping[str, Tensor],
    weight_dtype: str = "float32",
) -> dict[str, Tensor]:
    """Return a `keras.Input` for each feature and weight of a neighbour not in `inputs`.

    Args:
        neighbor_config: names and number of the neighbours.
        inputs: the inputs there are, by name, at least the sample's own.
        weight_dtype: dtype of the weights.
    """
    prefix, suffix = neighbor_config.prefix, neighbor_config.weight_suffix
    made: dict[str, Tensor] = {}
    for rank in range(neighbor_config.max_neighbors):
        name = neighbor_weight(rank, prefix, suffix)
        made[name] = keras.Input((1,), dtype=weight_dtype, name=name)
        for own, tensor in inputs.items():
            if not own.startswith(prefix):
                name = neighbor_feature(rank, own, prefix)
                made[name] = _input_like(tensor, name)
    return {name: tensor for name, tensor in made.items() if name not in inputs}


@keras.saving.register_keras_serializable(package="nsl_tools")
class NeighborFeatures(keras.layers.Layer):
    """Takes a dictionary of features apart, as `nsl.lib.unpack_neighbor_features` does.

    In the functional API, called on the sample's own inputs, it makes those of the
    neighbours and adds them to the dictionary that it is called with:

    ```python
    inputs = {"x": keras.Input((4,), name="x")}
    layer = nsl.keras.layers.NeighborFeatures(nsl.configs.GraphNeighborConfig(max_neighbors=1))
    samples, neighbors, weights = layer(inputs)
    sorted(inputs)  # ['NL_nbr_0_weight', 'NL_nbr_0_x', 'x']
    ```

    Args:
        neighbor_config: names and number of the neighbours.
        feature_names: the features to take, with those of the neighbours; all by default.
        weight_dtype: dtype of the weights of inputs that are made.
        **kwargs: arguments of `keras.layers.Layer`.
    """

    def __init__(
        self,
        neighbor_config: GraphNeighborConfig | None = None,
        feature_names: Sequence[str] | None = None,
        weight_dtype: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"dtype": weight_dtype, **kwargs, "autocast": False})
        self._config = replace(neighbor_config or GraphNeighborConfig())
        self._feature_names = None if feature_names is None else sorted(set(feature_names))

    def __call__(self, inputs: dict[str, Tensor], *args: Any, **kwargs: Any) -> Any:
        """Add the inputs that are missing, where they can be made, then call the layer."""
        taken = {name: tensor for name, tensor in inputs.items() if self._takes(name)}
        if any(isinstance(tensor, keras.KerasTensor) for tensor in taken.values()):
            made = make_missing_neighbor_inputs(self._config, taken, self.variable_dtype)
            inputs.update(made)
            taken.update(made)
        return super().__call__(taken, *args, **kwargs)

    def call(
        self, inputs: dict[str, Tensor], keep_rank: bool = True
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor | None]:
        """Return the sample's own features, the neighbours' and their weights."""
        return unpack_neighbor_features(inputs, self._config, keep_rank=keep_rank)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` makes an equal layer of."""
        return {
            **super().get_config(),
            "neighbor_config": config_to_dict(self._config),
            "feature_names": self._feature_names,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "NeighborFeatures":
        """Make a layer of what `get_config` returned."""
        neighbor_config = GraphNeighborConfig(**config["neighbor_config"])
        return cls(**{**config, "neighbor_config": neighbor_config})

    def _takes(self, name: str) -> bool:
        names = self._feature_names
        return names is None or name in names or name.startswith(self._config.prefix)


@keras.saving.register_keras_serializable(package="nsl_tools")
class PairwiseDistance(keras.layers.Layer):
    """Computes the distance between sources and their neighbours.

    ```python
    layer = nsl.keras.layers.PairwiseDistance(nsl.configs.DistanceConfig(sum_over_axis=-1))
    graph_loss = layer(sources=outputs, targets=neighbor_outputs, weights=neighbor_weights)
    ```

    Args:
        distance_config: the distance, as for `nsl.lib.pairwise_distance_wrapper`.
        **kwargs: arguments of `keras.layers.Layer`.
    """

    def __init__(self, distance_config: DistanceConfig | None = None, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "autocast": False})
        self._config = replace(distance_config or DistanceConfig())

    def __call__(
        self, sources: Tensor, targets: Tensor = None, weights: Any = 1.0, **kwargs: Any
    ) -> Tensor:
        """Call the layer; Keras itself takes no number by position."""
        return super().__call__(sources, targets=targets, weights=weights, **kwargs)

    def call(self, sources: Tensor, targets: Tensor = None, weights: Any = 1.0) -> Tensor:
        """Return the weighted distance.

        Args:
            sources: `[..., d]`; or a tuple of sources, targets and, perhaps, weights.
            targets: the neighbours: `[..., n, d]`, with one more axis than `sources`, or
                `[batch * n, ...]`, each sample's neighbours together.
            weights: a number, or a tensor that broadcasts to `targets`.

        Raises:
            ValueError: if there are no targets, or shapes do not fit.
        """
        if targets is None and isinstance(sources, list | tuple):
            sources, targets, weights = (*sources, weights)[:3]
        elif targets is None:
            raise ValueError(
                "Invalid value for argument `targets`. Expected a tensor. Received: None"
            )
        sources, targets = ops.convert_to_tensor(sources), ops.convert_to_tensor(targets)
        return pairwise_distance_wrapper(
            _repeated(sources, targets), targets, weights, self._config
        )

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` makes an equal layer of."""
        return {**super().get_config(), "distance_config": config_to_dict(self._config)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "PairwiseDistance":
        """Make a layer of what `get_config` returned."""
        return cls(**{**config, "distance_config": DistanceConfig(**config["distance_config"])})


def _repeated(sources: Tensor, targets: Tensor) -> Tensor:
    """Return each source once for each of its neighbours, in the shape of `targets`."""
    if len(sources.shape) + 1 == len(targets.shape):
        return ops.broadcast_to(ops.expand_dims(sources, -2), ops.shape(targets))
    count = ops.shape(targets)[0] // ops.shape(sources)[0]
    return ops.repeat(sources, count, axis=0)


def _input_like(tensor: Tensor, name: str) -> Tensor:
    return keras.Input(
        batch_shape=tensor.shape,
        dtype=tensor.dtype,
        name=name,
        sparse=getattr(tensor, "sparse", None),
    )
