"""A sample's own features and its neighbours', apart.

Neighbour `i` of a feature `x` comes as `NL_nbr_<i>_x` and its weight as
`NL_nbr_<i>_weight`, shape (batch, 1). Unpacked, the neighbours of a sample stand
together: s0n0, s0n1, s1n0, ... Source: NSL 1.4, `lib/utils.py`.
"""

from collections.abc import Mapping
from typing import Any

from keras import ops

from nsl_tools.configs import GraphNeighborConfig
from nsl_tools.feature_names import neighbor_feature, neighbor_weight
from nsl_tools.keras.arguments import shapes_fit

Tensor = Any
Features = dict[str, Tensor]

_BATCHED_RANK = 2


def strip_neighbor_features(
    features: Mapping[str, Tensor], neighbor_config: GraphNeighborConfig
) -> Features:
    """Return the sample's own features."""
    prefix = neighbor_config.prefix
    return {name: value for name, value in features.items() if not name.startswith(prefix)}


def unpack_neighbor_features(
    features: Mapping[str, Tensor], neighbor_config: GraphNeighborConfig, keep_rank: bool = True
) -> tuple[Features, Features, Tensor | None]:
    """Split a batch of B samples with N = `max_neighbors` neighbours each.

    Args:
        features: tensors, dense or sparse, (B, ...), of rank 2 or more.
        neighbor_config: names and number of the neighbours; further ones are ignored.
        keep_rank: whether samples and neighbours share the first axis.

    Returns:
        The own features; those of the neighbours by the same names, (B * N, ...), or
        (B, N, ...) without `keep_rank`; the weights, (B * N, 1) or (B, N, 1). Without
        neighbours the second is empty and the third None.

    Raises:
        KeyError: a feature or a weight of a neighbour is missing.
        ValueError: a shape is not what it should be.
    """
    count, prefix = neighbor_config.max_neighbors, neighbor_config.prefix
    own = strip_neighbor_features(features, neighbor_config)
    for name, value in own.items():
        _check_rank(name, value)
    if not count:
        return own, {}, None
    neighbors = {
        name: _interleave(
            [_like(features, neighbor_feature(rank, name, prefix), value) for rank in range(count)],
            keep_rank=keep_rank,
        )
        for name, value in own.items()
    }
    names = [neighbor_weight(r, prefix, neighbor_config.weight_suffix) for r in range(count)]
    weights = [_weight(features, name) for name in names]
    return own, neighbors, _interleave(weights, keep_rank=keep_rank)


def _interleave(tensors: list[Tensor], *, keep_rank: bool) -> Tensor:
    # Concatenation, unlike stacking, has a sparse counterpart in Keras.
    stacked = ops.concatenate([ops.expand_dims(tensor, axis=1) for tensor in tensors], axis=1)
    if not keep_rank:
        return stacked
    return ops.reshape(stacked, (-1, *ops.shape(stacked)[2:]))


def _check_rank(name: str, value: Tensor) -> None:
    if len(value.shape) < _BATCHED_RANK:
        raise _misshapen(name, "(batch, ...) of rank 2 or more", value)


def _like(features: Mapping[str, Tensor], name: str, own: Tensor) -> Tensor:
    """Return feature `name`, which must have the shape of the sample's own."""
    value = _required(features, name)
    if not shapes_fit(value.shape, own.shape):
        raise _misshapen(name, f"{tuple(own.shape)}, as the sample's own", value)
    return value


def _weight(features: Mapping[str, Tensor], name: str) -> Tensor:
    value = _required(features, name)
    if not shapes_fit(value.shape, (None, 1)):
        raise _misshapen(name, "(batch, 1)", value)
    return value


def _required(features: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in features:
        raise KeyError(
            f"Invalid value for argument `features`. Expected {name!r}, of a neighbour "
            "(`nsl_tools.keras.make_dataset` fills in those that a sample lacks). "
            f"Received: {sorted(features)}"
        )
    return features[name]


def _misshapen(name: str, expected: str, value: Tensor) -> ValueError:
    return ValueError(
        f"Invalid value for argument `features`. Expected {name!r} of shape {expected}. "
        f"Received: shape {tuple(value.shape)}"
    )
