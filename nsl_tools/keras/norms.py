"""Norms over all features of an example: directions, projections and samples.

Every function takes a tensor or a nested structure of tensors that share their
first axis, the batch. The norm of an example is taken over everything else: all
other axes of all tensors together, as if they had been flattened into one
vector. Structure, shapes and dtypes of the input are kept.

Source of the definitions: NSL 1.4, `lib/utils.py`.
"""

import math
from typing import Any, TypeAlias

import keras
import numpy as np
from keras import ops, tree

from nsl_tools.configs import NormType

Tensor = Any
Nested = Any
Seed: TypeAlias = "int | keras.random.SeedGenerator | None"

EPSILON = 1e-6
"""Lower bound of a norm that is divided by, so that zero stays zero."""


def normalize(tensor: Tensor, norm_type: NormType | str, epsilon: float = EPSILON) -> Tensor:
    """Divide each example of `tensor` by its norm.

    `tensor / max(norm(tensor), epsilon)`, so a zero example stays zero.

    Args:
        tensor: float tensor, `[batch, ...]`.
        norm_type: a `NormType` or its value, such as `"l2"`.
        epsilon: lower bound of the norm.

    Returns:
        A tensor of the shape and dtype of `tensor`.
    """
    return _scaled(tensor, 1.0 / ops.maximum(global_norm(tensor, norm_type), epsilon))


def global_norm(tensors: Nested, norm_type: NormType | str) -> Tensor:
    """Return the norm of each example over all `tensors`: `[batch]`, float32 or wider."""
    flat = [_wide(tensor) for tensor in tree.flatten(tensors)]
    kind = NormType(norm_type)
    if kind is NormType.INFINITY:
        return _reduce(ops.max, [ops.abs(tensor) for tensor in flat])
    if kind is NormType.L1:
        return _reduce(ops.sum, [ops.abs(tensor) for tensor in flat])
    return ops.sqrt(_reduce(ops.sum, [ops.square(tensor) for tensor in flat]))


def maximize_within_unit_norm(
    weights: Nested, norm_type: NormType | str, epsilon: float = EPSILON
) -> Nested:
    """Return the `x` of unit norm that maximises the inner product with `weights`.

    Infinity: `sign(weights)`. L2: `weights / norm(weights)`. L1: all of the norm on
    the entry of largest magnitude, split evenly when several tie. Zero weights give
    zero.

    Args:
        weights: float tensors `[batch, ...]`, usually gradients.
        norm_type: a `NormType` or its value.
        epsilon: lower bound of the L2 norm.

    Returns:
        Tensors like `weights`.
    """
    kind = NormType(norm_type)
    if kind is NormType.INFINITY:
        return tree.map_structure(ops.sign, weights)
    if not tree.flatten(weights):
        return weights
    if kind is NormType.L1:
        return _split_over_maxima(weights)
    return _scaled(weights, 1.0 / ops.maximum(global_norm(weights, kind), epsilon))


def project_to_ball(
    tensors: Nested, radius: float, norm_type: NormType | str, epsilon: float = EPSILON
) -> Nested:
    """Move each example to the nearest point of the ball around zero.

    Infinity: clip every entry. L2: scale down to `radius`. L1: soft-threshold with
    the threshold that makes the norm `radius` (Duchi et al. 2008, "Efficient
    projections onto the l1-ball"; NSL 1.4 has none). Examples inside the ball stay.

    Args:
        tensors: float tensors `[batch, ...]`.
        radius: radius of the ball.
        norm_type: a `NormType` or its value.
        epsilon: lower bound of the L2 norm.

    Returns:
        Tensors like `tensors`.
    """
    kind = NormType(norm_type)
    if kind is NormType.INFINITY:
        return tree.map_structure(lambda t: ops.clip(t, -radius, radius), tensors)
    if not tree.flatten(tensors):
        return tensors
    if kind is NormType.L1:
        return _soft_thresholded(tensors, radius)
    norm = ops.maximum(global_norm(tensors, kind), epsilon)
    return _scaled(tensors, ops.where(norm <= radius, ops.ones_like(norm), radius / norm))


def random_in_norm_ball(
    tensor_structure: Nested, radius: float, norm_type: NormType | str, seed: Seed = None
) -> Nested:
    """Draw a uniformly distributed point of the ball for each example.

    Infinity: each entry uniform. L1 and L2: the first n coordinates of a random point
    on the p-norm sphere of `R^(n+p)` are uniform in the p-norm ball of `R^n` (Barthe et
    al. 2005, corollary 4), with Laplace and normal coordinates respectively.

    Args:
        tensor_structure: float tensors `[batch, ...]`; only their shapes and dtypes count.
            The batch size may be unknown until the function runs.
        radius: radius of the ball.
        norm_type: a `NormType` or its value.
        seed: a `keras.random.SeedGenerator` (JAX needs one inside a compiled function),
            a number, or nothing for Keras's global generator.

    Returns:
        Tensors like `tensor_structure`.

    Raises:
        ValueError: if a tensor is not of a float dtype, or the batch sizes differ.
    """
    flat = tree.flatten(tensor_structure)
    _check_batch_of_floats(flat)
    kind = NormType(norm_type)
    seeds = _Seeds(seed)
    if kind is NormType.INFINITY:
        drawn = [radius * _uniform(t, seeds, low=-1.0) for t in flat]
    elif kind is NormType.L1:
        samples = [_laplace(t, seeds) for t in flat]
        norm = global_norm(samples, kind)
        drawn = _scaled(samples, radius / (norm + _exponential(norm, seeds)))
    else:
        samples = [_normal(t, seeds) for t in flat]
        squared = _reduce(ops.sum, [ops.square(sample) for sample in samples])
        # Two more normal coordinates: their squares sum to twice an exponential.
        drawn = _scaled(samples, radius / ops.sqrt(squared + 2 * _exponential(squared, seeds)))
    cast = [ops.cast(sample, tensor.dtype) for sample, tensor in zip(drawn, flat, strict=True)]
    return tree.pack_sequence_as(tensor_structure, cast)


def apply_feature_mask(features: Tensor, feature_mask: Any = None) -> Tensor:
    """Return `features * feature_mask`, or `features` when there is no mask.

    Args:
        features: float tensor.
        feature_mask: values in [0, 1], of a shape that broadcasts to that of `features`.

    Raises:
        ValueError: if a mask value lies outside [0, 1]. A mask that is only known when a
            compiled function runs cannot be checked.
    """
    if feature_mask is None:
        return features
    _check_mask(feature_mask)
    return features * ops.cast(ops.convert_to_tensor(feature_mask), features.dtype)


def _check_mask(mask: Any) -> None:
    try:
        values = np.asarray(ops.convert_to_numpy(mask) if ops.is_tensor(mask) else mask)
    except (NotImplementedError, TypeError):
        return  # a symbolic tensor has no values yet
    outside = values[~((values >= 0) & (values <= 1))]
    if outside.size:
        raise ValueError(
            "Invalid value for argument `feature_mask`. "
            f"Expected values in [0, 1]. Received: {outside.flat[0]!r}."
        )


def _check_batch_of_floats(tensors: list[Tensor]) -> None:
    for tensor in tensors:
        if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(tensor.dtype)):
            raise ValueError(
                "Invalid value for argument `tensor_structure`. "
                f"Expected tensors of a float dtype. Received: {tensor.dtype}."
            )
    sizes = {tensor.shape[0] for tensor in tensors} - {None}
    if len(sizes) > 1:
        raise ValueError(
            "Invalid value for argument `tensor_structure`. "
            f"Expected the same first dimension in all tensors. Received: {sorted(sizes)}."
        )


def _wide(tensor: Tensor) -> Tensor:
    """Cast half precision to float32: squares and epsilon underflow in float16."""
    half = keras.backend.standardize_dtype(tensor.dtype) in ("float16", "bfloat16")
    return ops.cast(tensor, "float32") if half else tensor


def _reduce(reduction: Any, tensors: list[Tensor]) -> Tensor:
    """Reduce each example over all axes of all `tensors` to one number: `[batch]`."""
    each = [reduction(_flat_examples(tensor), axis=-1) for tensor in tensors]
    return each[0] if len(each) == 1 else reduction(ops.stack(each, axis=-1), axis=-1)


def _flat_examples(tensor: Tensor) -> Tensor:
    return ops.reshape(tensor, (-1, math.prod(tensor.shape[1:])))


def _to_rank_of(vector: Tensor, tensor: Tensor) -> Tensor:
    return ops.reshape(vector, (-1,) + (1,) * (len(tensor.shape) - 1))


def _scaled(tensors: Nested, factors: Tensor) -> Nested:
    """Multiply each example of `tensors` by its entry of `factors`, `[batch]`."""
    return tree.map_structure(
        lambda t: ops.cast(_wide(t) * _to_rank_of(factors, t), t.dtype), tensors
    )


def _split_over_maxima(weights: Nested) -> Nested:
    largest = global_norm(weights, NormType.INFINITY)
    at_maximum = tree.map_structure(
        lambda t: ops.sign(t) * ops.cast(ops.abs(_wide(t)) == _to_rank_of(largest, t), t.dtype),
        weights,
    )
    # The sign of a zero maximum is zero, so the sum is at least one where it matters.
    count = ops.maximum(global_norm(at_maximum, NormType.L1), 1.0)
    return _scaled(at_maximum, 1.0 / count)


def _soft_thresholded(tensors: Nested, radius: float) -> Nested:
    threshold = _l1_threshold(tensors, radius)
    return tree.map_structure(
        lambda t: ops.cast(
            ops.sign(t) * ops.relu(ops.abs(_wide(t)) - _to_rank_of(threshold, t)), t.dtype
        ),
        tensors,
    )


def _l1_threshold(tensors: Nested, radius: float) -> Tensor:
    """Return the soft threshold of each example, `[batch]`: 0 inside the ball.

    With magnitudes sorted downwards, `theta = (sum_{i<=rho} m_i - radius) / rho` for the
    last rank `rho` whose magnitude exceeds its own candidate threshold.
    """
    flat = [_flat_examples(ops.abs(_wide(tensor))) for tensor in tree.flatten(tensors)]
    magnitudes = ops.flip(ops.sort(ops.concatenate(flat, axis=-1), axis=-1), axis=-1)
    ranks = ops.arange(1, magnitudes.shape[-1] + 1, dtype=magnitudes.dtype)
    candidates = (ops.cumsum(magnitudes, axis=-1) - radius) / ranks
    # Candidates rise up to rank rho and fall after it: the wanted one is the largest.
    return ops.relu(ops.max(candidates, axis=-1))


class _Seeds:
    """Hands out one seed per draw, so that no two draws share their numbers."""

    def __init__(self, seed: Seed) -> None:
        self._seed = seed
        self._draws = 0

    def next(self) -> Seed:
        self._draws += 1
        return self._seed + self._draws if isinstance(self._seed, int) else self._seed


def _uniform(like: Tensor, seeds: _Seeds, low: float) -> Tensor:
    return keras.random.uniform(
        ops.shape(like), low, 1.0, dtype=_wide_dtype(like), seed=seeds.next()
    )


def _normal(like: Tensor, seeds: _Seeds) -> Tensor:
    return keras.random.normal(ops.shape(like), dtype=_wide_dtype(like), seed=seeds.next())


def _exponential(like: Tensor, seeds: _Seeds) -> Tensor:
    """Draw from the exponential distribution of rate 1: `-log(u)`, never of zero."""
    tiny = float(np.finfo(np.float32).tiny)
    return -ops.log(_uniform(like, seeds, low=tiny))


def _laplace(like: Tensor, seeds: _Seeds) -> Tensor:
    return _exponential(like, seeds) - _exponential(like, seeds)


def _wide_dtype(tensor: Tensor) -> str:
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    return "float32" if dtype in ("float16", "bfloat16") else str(dtype)
