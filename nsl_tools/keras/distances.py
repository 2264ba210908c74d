"""Distances between two batches of vectors, weighted and reduced to one number.

With `d` the distance of each entry (L1, L2) or of each vector along an axis (cosine,
Kullback-Leibler, Jensen-Shannon), and `w` the weights broadcast to the shape of `d`:

    none                             w * d
    weighted_sum                     sum(w * d)
    weighted_mean                    sum(w * d) / sum(w)
    weighted_sum_over_batch_size     sum(w * d) / number of entries of d
    weighted_sum_by_nonzero_weights  sum(w * d) / number of entries where w is not 0

Division by zero gives zero. Sources of the definitions: NSL 1.4, `lib/distances.py`;
`tf.compat.v1.losses.compute_weighted_loss`.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from nsl_tools.configs import DistanceConfig, DistanceType, ReductionType, TransformType
from nsl_tools.keras.arguments import shapes_fit

Tensor = Any

_LOG_EPSILON = 1e-7
_NORM_EPSILON = 1e-12
_AVERAGES = (
    ReductionType.MEAN,
    ReductionType.SUM_OVER_BATCH_SIZE,
    ReductionType.SUM_BY_NONZERO_WEIGHTS,
)
_TOLERANCES = {"float16": 0.02, "bfloat16": 0.15}
"""How far the sum of a distribution may be from 1, by the dtype that it was computed in."""
_TOLERANCE = 1e-3


def pairwise_distance_wrapper(
    sources: Tensor,
    targets: Tensor,
    weights: Any = 1.0,
    distance_config: DistanceConfig | None = None,
) -> Tensor:
    """Return the weighted distance between `sources` and `targets`.

    L1 and L2 are `|s - t|` and `(s - t)**2` of each entry. With `sum_over_axis`, an
    averaging reduction is multiplied by the size of that axis, so that it averages over
    vectors; `none` and `weighted_sum` are not. The others need `sum_over_axis`: cosine
    is `1 - <s, t>` of the vectors divided by their L2 norms; the divergences are those
    of `kl_divergence` and `jensen_shannon_divergence`.

    ```python
    config = nsl.configs.DistanceConfig("l2", sum_over_axis=-1)
    nsl.lib.pairwise_distance_wrapper([[1.0, 1.0]], [[0.0, 3.0]], distance_config=config)  # 5.0
    ```

    Args:
        sources: tensor `[d1, ..., dn]`.
        targets: tensor of the shape of `sources`.
        weights: a number, or a tensor of the rank of `targets` whose dimensions are 1 or
            those of `targets`, and 1 along `sum_over_axis`.
        distance_config: distance, axis, transformation and reduction.

    Returns:
        A scalar of float32 (float64 where a side is), or, with the reduction `none`, a
        tensor of the shape of `targets`, with size 1 along the axis of a vector distance.

    Raises:
        ValueError: if shapes do not fit, the axis is missing or out of range, or the
            entries along the axis of a divergence are not a probability distribution.
            Inside a compiled function, which cannot raise, the distance is then NaN.
    """
    config = distance_config or DistanceConfig()
    kind, axis = DistanceType(config.distance_type), config.sum_over_axis
    tolerance = max(_tolerance(sources), _tolerance(targets))
    sources, targets = _as_floats(sources), _as_floats(targets)
    _check_pair(sources, targets)
    _check_axis(kind, axis, len(sources.shape))
    if TransformType(config.transform_fn) is TransformType.SOFTMAX:
        along = -1 if axis is None else axis
        sources, targets = ops.softmax(sources, along), ops.softmax(targets, along)
    if kind in _DIVERGENCES:
        targets = _checked_distributions(sources, targets, axis, tolerance)
    distances = _DISTANCES[kind](sources, targets, axis)
    distance = _reduced(distances, weights, config.reduction)
    if axis is None or kind in _OF_VECTORS or ReductionType(config.reduction) not in _AVERAGES:
        return distance
    _check_weights_along(weights, axis)
    return distance * ops.cast(ops.shape(sources)[axis], distance.dtype)


def kl_divergence(
    labels: Tensor,
    predictions: Tensor,
    axis: int | None = None,
    weights: Any = 1.0,
    scope: Any = None,
    loss_collection: Any = None,
    reduction: ReductionType | str = ReductionType.SUM_BY_NONZERO_WEIGHTS,
) -> Tensor:
    """Return the Kullback-Leibler divergence of `predictions` from `labels`.

    `KL(P || Q) = sum of P * log(P + e) - P * log(Q + e)` along `axis`, with `e = 1e-7`.

    Args:
        labels: probabilities `P`, `[d1, ..., dn]`, with sum 1 along `axis`.
        predictions: probabilities `Q`, of the same shape.
        axis: axis of the classes; required.
        weights: as in `pairwise_distance_wrapper`.
        scope: ignored; a name scope in NSL.
        loss_collection: ignored; a TensorFlow 1 collection in NSL.
        reduction: a `ReductionType` or its value.

    Returns:
        A scalar, or, with the reduction `none`, a tensor with size 1 along `axis`.

    Raises:
        ValueError: as `pairwise_distance_wrapper`.
    """
    del scope, loss_collection
    config = DistanceConfig(DistanceType.KL_DIVERGENCE, reduction, axis)
    return pairwise_distance_wrapper(labels, predictions, weights, config)


def jensen_shannon_divergence(
    labels: Tensor,
    predictions: Tensor,
    axis: int | None = None,
    weights: Any = 1.0,
    scope: Any = None,
    loss_collection: Any = None,
    reduction: ReductionType | str = ReductionType.SUM_BY_NONZERO_WEIGHTS,
) -> Tensor:
    """Return the Jensen-Shannon divergence between `labels` and `predictions`.

    `JS(P, Q) = KL(P || M) / 2 + KL(Q || M) / 2` with `M = (P + Q) / 2`. Arguments,
    result and errors are those of `kl_divergence`.
    """
    del scope, loss_collection
    config = DistanceConfig(DistanceType.JENSEN_SHANNON_DIVERGENCE, reduction, axis)
    return pairwise_distance_wrapper(labels, predictions, weights, config)


def _l1(sources: Tensor, targets: Tensor, _: int | None) -> Tensor:
    return ops.abs(sources - targets)


def _l2(sources: Tensor, targets: Tensor, _: int | None) -> Tensor:
    return ops.square(sources - targets)


def _cosine(sources: Tensor, targets: Tensor, axis: int | None) -> Tensor:
    product = _unit(sources, axis) * _unit(targets, axis)
    return 1.0 - ops.sum(product, axis=axis, keepdims=True)


def _unit(tensor: Tensor, axis: int | None) -> Tensor:
    squares = ops.sum(ops.square(tensor), axis=axis, keepdims=True)
    return tensor * ops.rsqrt(ops.maximum(squares, _NORM_EPSILON))


def _kl(true: Tensor, predicted: Tensor, axis: int | None) -> Tensor:
    difference = ops.log(true + _LOG_EPSILON) - ops.log(predicted + _LOG_EPSILON)
    return ops.sum(true * difference, axis=axis, keepdims=True)


def _jensen_shannon(sources: Tensor, targets: Tensor, axis: int | None) -> Tensor:
    means = 0.5 * (sources + targets)
    return 0.5 * (_kl(sources, means, axis) + _kl(targets, means, axis))


_DISTANCES: dict[DistanceType, Callable[[Tensor, Tensor, int | None], Tensor]] = {
    DistanceType.L1: _l1,
    DistanceType.L2: _l2,
    DistanceType.COSINE: _cosine,
    DistanceType.KL_DIVERGENCE: _kl,
    DistanceType.JENSEN_SHANNON_DIVERGENCE: _jensen_shannon,
}
_DIVERGENCES = (DistanceType.KL_DIVERGENCE, DistanceType.JENSEN_SHANNON_DIVERGENCE)
_OF_VECTORS = (DistanceType.COSINE, *_DIVERGENCES)


def _reduced(distances: Tensor, weights: Any, reduction: ReductionType | str) -> Tensor:
    kind = ReductionType(reduction)
    weights = ops.cast(ops.convert_to_tensor(weights), distances.dtype)
    _check_broadcastable(weights, distances)
    weighted = distances * weights
    if kind is ReductionType.NONE:
        return weighted
    total = ops.sum(weighted)
    if kind is ReductionType.SUM:
        return total
    return ops.divide_no_nan(total, _denominator(kind, distances, weights))


def _denominator(kind: ReductionType, distances: Tensor, weights: Tensor) -> Tensor:
    everywhere = ops.ones_like(distances)
    if kind is ReductionType.SUM_OVER_BATCH_SIZE:
        return ops.sum(everywhere)
    if kind is ReductionType.SUM_BY_NONZERO_WEIGHTS:
        weights = ops.cast(ops.not_equal(weights, 0), distances.dtype)
    return ops.sum(everywhere * weights)


def _as_floats(values: Any) -> Tensor:
    """Return at least float32: half precision is too coarse for a mean of squares."""
    tensor = ops.convert_to_tensor(values)
    wide = keras.backend.standardize_dtype(tensor.dtype) == "float64"
    return tensor if wide else ops.cast(tensor, "float32")


def _tolerance(values: Any) -> float:
    if not hasattr(values, "dtype"):
        return _TOLERANCE
    return _TOLERANCES.get(keras.backend.standardize_dtype(values.dtype), _TOLERANCE)


def _check_pair(sources: Tensor, targets: Tensor) -> None:
    if not shapes_fit(sources.shape, targets.shape):
        expected = f"the shape of `sources`, {tuple(sources.shape)}"
        raise _invalid("targets", expected, tuple(targets.shape))


def _check_axis(kind: DistanceType, axis: int | None, rank: int) -> None:
    if axis is None and kind in _OF_VECTORS:
        raise _invalid("sum_over_axis", f"an axis, for distance {kind.value!r}", axis)
    if axis is not None and not -rank <= axis < rank:
        raise _invalid("sum_over_axis", f"an axis of a tensor of rank {rank}", axis)


def _check_broadcastable(weights: Tensor, distances: Tensor) -> None:
    shape, wanted = tuple(weights.shape), tuple(distances.shape)
    widened = [b if a == 1 else a for a, b in zip(shape, wanted, strict=False)]
    if shape and not (len(shape) == len(wanted) and shapes_fit(widened, wanted)):
        expected = f"a number, or sizes that are 1 or those of the distances, {wanted}"
        raise _invalid("weights", expected, shape)


def _check_weights_along(weights: Any, axis: int) -> None:
    shape = tuple(ops.convert_to_tensor(weights).shape)
    if shape and shape[axis] != 1:
        raise _invalid("weights", f"size 1 along axis {axis}, which is summed over", shape)


def _checked_distributions(
    sources: Tensor, targets: Tensor, axis: int | None, tolerance: float
) -> Tensor:
    """Return `targets`; raise, or return NaN where nothing can be raised, if invalid."""
    valid = ops.logical_and(
        _is_distribution(sources, axis, tolerance), _is_distribution(targets, axis, tolerance)
    )
    try:
        if not ops.convert_to_numpy(valid):
            raise _not_distributions(axis)
    except (NotImplementedError, TypeError):
        return ops.where(valid, targets, float("nan"))
    return targets


def _is_distribution(tensor: Tensor, axis: int | None, tolerance: float) -> Tensor:
    near_one = ops.abs(ops.sum(tensor, axis=axis) - 1.0) <= tolerance
    return ops.logical_and(ops.all(tensor >= 0), ops.all(near_one))


def _not_distributions(axis: int | None) -> ValueError:
    return ValueError(
        "Invalid value for arguments `sources` and `targets`. Expected probabilities, not "
        f"negative and with sum 1 along axis {axis}; `transform_fn='softmax'` makes them of "
        "logits. Received: other values."
    )


def _invalid(name: str, expected: str, received: object) -> ValueError:
    return ValueError(
        f"Invalid value for argument `{name}`. Expected {expected}. Received: {received!r}"
    )
