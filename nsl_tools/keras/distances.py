"""Distances between two batches of tensors, weighted and reduced as NSL does.

Elementwise, before weights and reduction, for sources `p` and targets `q`:

- L1: `|p - q|`; L2: `(p - q)^2`
- cosine: `1 - sum(p q)` of the l2-normalised, along an axis
- KL: `sum(p log(p + e) - p log(q + e))`, `e = 1e-7`, along an axis
- Jensen-Shannon: `KL(p, m) / 2 + KL(q, m) / 2`, `m = (p + q) / 2`

Those along an axis keep it, with size 1. Source: NSL 1.4, `lib/distances.py`, and
the reductions of `tf.compat.v1.losses`.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from nsl_tools.configs import DistanceConfig, DistanceType, ReductionType, TransformType

Tensor = Any

_EPSILON = 1e-7
_NORM_EPSILON = 1e-12
_ALONG_AXIS = (
    DistanceType.COSINE,
    DistanceType.JENSEN_SHANNON_DIVERGENCE,
    DistanceType.KL_DIVERGENCE,
)
_AVERAGING = (
    ReductionType.MEAN,
    ReductionType.SUM_BY_NONZERO_WEIGHTS,
    ReductionType.SUM_OVER_BATCH_SIZE,
)


def pairwise_distance_wrapper(
    sources: Tensor,
    targets: Tensor,
    weights: Tensor = 1.0,
    distance_config: DistanceConfig | None = None,
) -> Tensor:
    """Return the weighted, reduced distance between `sources` and `targets`.

    Args:
        sources: float tensor.
        targets: float tensor of the same shape, or one that `sources` broadcasts to.
        weights: a number, or a tensor that broadcasts to `targets`; of size 1 along
            `sum_over_axis`.
        distance_config: distance, reduction, axis and transform; L2 by default.

    Returns:
        A float32 scalar; with reduction `none`, one weighted distance an element.

    Raises:
        ValueError: the axis is missing or out of range, or the weights do not fit it.
    """
    config = distance_config or DistanceConfig()
    kind, axis = DistanceType(config.distance_type), config.sum_over_axis
    reduction = ReductionType(config.reduction)
    sources, targets = (_as_float(tensor) for tensor in (sources, targets))
    weights = _as_float(weights)
    _check_axis(kind, axis, len(targets.shape))
    if TransformType(config.transform_fn) is TransformType.SOFTMAX:
        last = -1 if axis is None else axis
        sources, targets = (ops.softmax(tensor, axis=last) for tensor in (sources, targets))
    distances = _DISTANCES[kind](sources, targets, axis)
    reduced = reduce_weighted(distances, weights, reduction)
    if axis is None or kind in _ALONG_AXIS or reduction not in _AVERAGING:
        return reduced
    if len(weights.shape) and weights.shape[axis] != 1:
        raise _invalid("weights", f"size 1 along axis {axis}", tuple(weights.shape))
    return reduced * targets.shape[axis]


def reduce_weighted(distances: Tensor, weights: Tensor, reduction: ReductionType) -> Tensor:
    """Return `weights * distances` reduced; an average over nothing is 0.

    The default divides by the number of non-zero weights, broadcast to `distances`.
    """
    weighted = distances * weights
    if reduction is ReductionType.NONE:
        return weighted
    total = ops.sum(weighted)
    if reduction is ReductionType.SUM:
        return total
    if reduction is ReductionType.SUM_OVER_BATCH_SIZE:
        counted = ops.ones_like(distances)
    elif reduction is ReductionType.MEAN:
        counted = ops.broadcast_to(weights, ops.shape(distances))
    else:
        present = ops.cast(ops.not_equal(weights, 0.0), distances.dtype)
        counted = ops.broadcast_to(present, ops.shape(distances))
    return ops.divide_no_nan(total, ops.sum(counted))


def kl_divergence(
    labels: Tensor,
    predictions: Tensor,
    axis: int | None = None,
    weights: Tensor = 1.0,
    reduction: ReductionType | str = ReductionType.SUM_BY_NONZERO_WEIGHTS,
) -> Tensor:
    """Return the Kullback-Leibler divergence of `predictions` from `labels` along `axis`."""
    config = DistanceConfig(DistanceType.KL_DIVERGENCE, reduction, axis)
    return pairwise_distance_wrapper(labels, predictions, weights, config)


def jensen_shannon_divergence(
    labels: Tensor,
    predictions: Tensor,
    axis: int | None = None,
    weights: Tensor = 1.0,
    reduction: ReductionType | str = ReductionType.SUM_BY_NONZERO_WEIGHTS,
) -> Tensor:
    """Return the Jensen-Shannon divergence between `labels` and `predictions` along `axis`."""
    config = DistanceConfig(DistanceType.JENSEN_SHANNON_DIVERGENCE, reduction, axis)
    return pairwise_distance_wrapper(labels, predictions, weights, config)


def _l1(sources: Tensor, targets: Tensor, _: int | None) -> Tensor:
    return ops.abs(sources - targets)


def _l2(sources: Tensor, targets: Tensor, _: int | None) -> Tensor:
    return ops.square(sources - targets)


def _cosine(sources: Tensor, targets: Tensor, axis: int | None) -> Tensor:
    p, q = (_unit(tensor, axis) for tensor in (sources, targets))
    return 1.0 - ops.sum(p * q, axis=axis, keepdims=True)


def _unit(tensor: Tensor, axis: int | None) -> Tensor:
    square = ops.sum(ops.square(tensor), axis=axis, keepdims=True)
    return tensor * ops.rsqrt(ops.maximum(square, _NORM_EPSILON))


def _kl(sources: Tensor, targets: Tensor, axis: int | None) -> Tensor:
    _check_distributions(sources, targets, axis)
    return _kl_sum(sources, targets, axis)


def _kl_sum(p: Tensor, q: Tensor, axis: int | None) -> Tensor:
    difference = ops.log(p + _EPSILON) - ops.log(q + _EPSILON)
    return ops.sum(p * difference, axis=axis, keepdims=True)


def _jensen_shannon(sources: Tensor, targets: Tensor, axis: int | None) -> Tensor:
    _check_distributions(sources, targets, axis)
    middle = (sources + targets) / 2.0
    return (_kl_sum(sources, middle, axis) + _kl_sum(targets, middle, axis)) / 2.0


_DISTANCES: dict[DistanceType, Callable[[Tensor, Tensor, int | None], Tensor]] = {
    DistanceType.L1: _l1,
    DistanceType.L2: _l2,
    DistanceType.COSINE: _cosine,
    DistanceType.JENSEN_SHANNON_DIVERGENCE: _jensen_shannon,
    DistanceType.KL_DIVERGENCE: _kl,
}


def _check_axis(kind: DistanceType, axis: int | None, rank: int) -> None:
    if axis is None and kind in _ALONG_AXIS:
        raise _invalid("sum_over_axis", f"an axis, for distance {kind.value!r}", axis)
    if axis is not None and not -rank <= axis < rank:
        raise _invalid("sum_over_axis", f"an axis of a tensor of rank {rank}", axis)


def _check_distributions(sources: Tensor, targets: Tensor, axis: int | None) -> None:
    """Check concrete values; inside a compiled function there are none to look at."""
    for name, tensor in (("sources", sources), ("targets", targets)):
        try:
            values = ops.convert_to_numpy(tensor)
        except Exception:  # noqa: BLE001 - each backend has its own error for symbolic values
            return
        total = values.sum(axis=axis)
        if (values < 0).any() or (abs(total - 1.0) > _TOLERANCE).any():
            raise _invalid(name, f"probability distributions along axis {axis}", values)


_TOLERANCE = 1e-3


def _as_float(tensor: Any) -> Tensor:
    """Return at least float32: half precision is too coarse for a mean of squares."""
    tensor = ops.convert_to_tensor(tensor)
    wide = keras.backend.standardize_dtype(tensor.dtype) == "float64"
    return tensor if wide else ops.cast(tensor, "float32")


def _invalid(name: str, expected: str, received: object) -> ValueError:
    return ValueError(
        f"Invalid value for argument `{name}`. Expected {expected}. Received: {received!r}"
    )
