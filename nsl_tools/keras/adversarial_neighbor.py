"""Adversarial neighbours: inputs moved a little in the direction that raises the loss.

One step of the fast gradient method, or several of projected gradient descent (PGD):

    x_0     = x, or x plus a random point of the ball
    x_(t+1) = clip(x + project(x_t - x + step_size * direction(mask * gradient(x_t))))

`direction` is the steepest ascent of unit norm over all features of an example together,
`project` goes to the ball of radius `pgd_epsilon` around the original input, and clipping
to the allowed values comes last. Only float tensors move: integer, string, sparse and
ragged features, and those that the loss does not depend on, pass through.

Source of the definition: NSL 1.4, `lib/adversarial_neighbor.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from nsl_tools.configs import AdvNeighborConfig
from nsl_tools.keras import norms
from nsl_tools.keras.input_gradient import input_gradient, loss_gradient

Tensor = Any
Nested = Any


def gen_adv_neighbor(
    input_features: Nested,
    labeled_loss: Tensor | None,
    config: AdvNeighborConfig,
    raise_invalid_gradient: bool = False,
    gradient_tape: Any = None,
    pgd_model_fn: Callable[[Nested], Nested] | None = None,
    pgd_loss_fn: Callable[[Nested, Nested], Tensor] | None = None,
    pgd_labels: Nested = None,
    use_while_loop: bool = False,
    *,
    variables: Sequence[keras.Variable] = (),
    seed: norms.Seed = None,
) -> tuple[Nested, Tensor]:
    """Return an adversarial neighbour of each example, and its weight.

    The first gradient comes from `labeled_loss` where the backend kept a record of how
    it was computed: on TensorFlow a `gradient_tape`, or the graph inside a
    `tf.function`; on PyTorch inputs that require a gradient. Otherwise, and for every
    later step, `pgd_loss_fn(pgd_labels, pgd_model_fn(features))` is differentiated,
    without side effects on `variables`.

    Args:
        input_features: a tensor `[batch, ...]` or a nested structure of them.
        labeled_loss: loss computed from `input_features`; `None` to compute it here.
        config: step size, norm, mask, clipping, iterations, radius, random start. Mask
            and clipping bounds are one value for all features, or a structure like
            `input_features` in which entries may be missing.
        raise_invalid_gradient: raise where a feature cannot be perturbed.
        gradient_tape: TensorFlow's record of the computation of `labeled_loss`.
        pgd_model_fn: takes a structure like `input_features`, returns predictions.
        pgd_loss_fn: takes labels and predictions, returns a loss.
        pgd_labels: the labels.
        use_while_loop: run the later steps in a loop of the backend, for a small graph.
        variables: what `pgd_model_fn` reads; needed on JAX inside a compiled function.
        seed: for `random_init`, see `random_in_norm_ball`.

    Returns:
        The neighbours, a structure like `input_features`, through which no gradient
        flows into the perturbation; and their weights, ones of shape `[batch, 1]`.

    Raises:
        ValueError: if the loss can neither be differentiated nor computed from
            `pgd_model_fn` and `pgd_loss_fn`; or, with `raise_invalid_gradient`, if a
            feature is not a dense float tensor or does not enter the loss.
    """
    features = _Features.of(input_features, config)
    if raise_invalid_gradient:
        features.check_all_movable()

    def loss_of(tensors: list[Tensor]) -> Tensor:
        if pgd_model_fn is None or pgd_loss_fn is None:
            raise ValueError(
                "Invalid value for arguments `pgd_model_fn` and `pgd_loss_fn`. Expected both: "
                "PGD, `random_init` and a loss without a record of its computation need them. "
                f"Received: {pgd_model_fn} and {pgd_loss_fn}."
            )
        return pgd_loss_fn(pgd_labels, pgd_model_fn(features.packed(tensors)))

    def pgd_step(_: Any, tensors: list[Tensor]) -> list[Tensor]:
        gradients = input_gradient(loss_of, tensors, variables)
        return features.moved(tensors, _none_to_zero(gradients, tensors))

    if config.random_init:
        current, steps = features.random_start(seed), config.pgd_iterations
    else:
        gradients = features.gradients(labeled_loss, gradient_tape, loss_of, variables)
        features, gradients = features.connected(gradients, raise_invalid_gradient)
        current, steps = features.moved(features.tensors, gradients), config.pgd_iterations - 1
    if steps > 0 and current:
        current = features.detached(_repeated(pgd_step, steps, current, use_while_loop))
    return features.packed(current), ops.ones((ops.shape(features.leaves[0])[0], 1))


@dataclass(frozen=True)
class _Features:
    """Input features as a flat list, of which `movable` names those to perturb."""

    structure: Nested
    paths: list[tuple[Any, ...]]
    leaves: list[Any]
    movable: list[int]
    config: AdvNeighborConfig

    @classmethod
    def of(cls, structure: Nested, config: AdvNeighborConfig) -> "_Features":
        flat = tree.flatten_with_path(structure)
        paths, leaves = [path for path, _ in flat], [as_tensor(leaf) for _, leaf in flat]
        movable = [i for i, leaf in enumerate(leaves) if is_dense_float(leaf)]
        return cls(structure, paths, leaves, movable, config)

    @property
    def tensors(self) -> list[Tensor]:
        return [self.leaves[i] for i in self.movable]

    def packed(self, tensors: Sequence[Tensor]) -> Nested:
        """Return the original structure with `tensors` in place of the movable features."""
        leaves = list(self.leaves)
        for i, tensor in zip(self.movable, tensors, strict=True):
            leaves[i] = tensor
        return tree.pack_sequence_as(self.structure, leaves)

    def check_all_movable(self) -> None:
        fixed = set(range(len(self.leaves))) - set(self.movable)
        self._refuse(sorted(fixed), "dense float tensors")

    def connected(
        self, gradients: list[Tensor | None], required: bool
    ) -> tuple["_Features", list[Tensor]]:
        """Keep only the features that have a gradient; with `required`, that is all."""
        pairs = list(zip(self.movable, gradients, strict=True))
        if required:
            self._refuse([i for i, g in pairs if g is None], "features that enter the loss")
        kept = [(i, gradient) for i, gradient in pairs if gradient is not None]
        return replace(self, movable=[i for i, _ in kept]), [gradient for _, gradient in kept]

    def gradients(
        self,
        loss: Tensor | None,
        tape: Any,
        loss_of: Callable[[list[Tensor]], Tensor],
        variables: Sequence[keras.Variable],
    ) -> list[Tensor | None]:
        if not self.movable:
            return []
        recorded = None if loss is None else loss_gradient(loss, self.tensors, tape)
        if recorded is not None:
            return recorded
        return input_gradient(loss_of, self.tensors, variables)

    def random_start(self, seed: norms.Seed) -> list[Tensor]:
        radius = self.config.pgd_epsilon or self.config.adv_step_size
        return self._perturbed(
            norms.random_in_norm_ball(self.tensors, radius, self.config.adv_grad_norm, seed)
        )

    def moved(self, tensors: list[Tensor], gradients: list[Tensor]) -> list[Tensor]:
        """Take one step from `tensors`, and return to the ball and the allowed values."""
        masked = [
            norms.apply_feature_mask(_finite_or_zero(gradient), mask)
            for gradient, mask in zip(gradients, self._setting("feature_mask"), strict=True)
        ]
        directions = norms.maximize_within_unit_norm(masked, self.config.adv_grad_norm)
        perturbations = [
            direction * self.config.adv_step_size + tensor - original
            for direction, tensor, original in zip(directions, tensors, self.tensors, strict=True)
        ]
        if self.config.pgd_epsilon is not None:
            perturbations = norms.project_to_ball(
                perturbations, self.config.pgd_epsilon, self.config.adv_grad_norm
            )
        return self._perturbed(perturbations)

    def detached(self, tensors: list[Tensor]) -> list[Tensor]:
        """Return `tensors` as constant perturbations, so that no backend differentiates a loop."""
        return self._perturbed(
            [tensor - original for tensor, original in zip(tensors, self.tensors, strict=True)]
        )

    def _perturbed(self, perturbations: list[Tensor]) -> list[Tensor]:
        bounds = (self._setting("clip_value_min"), self._setting("clip_value_max"))
        return [
            _clipped(tensor + ops.stop_gradient(perturbation), low, high)
            for tensor, perturbation, low, high in zip(
                self.tensors, perturbations, *bounds, strict=True
            )
        ]

    def _setting(self, name: str) -> list[Any]:
        """Return the value of a per-feature setting for each movable feature."""
        value = getattr(self.config, name)
        return [_at(value, self.paths[i]) for i in self.movable]

    def _refuse(self, indices: list[int], expected: str) -> None:
        if indices:
            names = ", ".join("/".join(map(str, self.paths[i])) or "the input" for i in indices)
            raise ValueError(
                f"Invalid value for argument `input_features`. Expected {expected}, since "
                f"`raise_invalid_gradient` is set. Received: Cannot perturb {names}."
            )


def check_movable(features: Nested) -> None:
    """Raise unless something in `features` can be perturbed at all."""
    leaves = tree.flatten(features)
    if not any(is_dense_float(as_tensor(leaf)) for leaf in leaves):
        dtypes = sorted({str(getattr(leaf, "dtype", type(leaf).__name__)) for leaf in leaves})
        raise ValueError(
            "Invalid value for argument `x`. Expected a dense float feature, since no other can "
            "be perturbed: cast images to float; for token ids, wrap a model of their embeddings. "
            f"Received: features of dtype {', '.join(dtypes)}."
        )


def as_tensor(value: Any) -> Any:
    """Convert numeric arrays as Keras's data adapters do: floats to the default float type."""
    if not isinstance(value, np.ndarray | np.generic) or value.dtype.kind not in "fiub":
        return value
    dtype = keras.backend.floatx() if value.dtype.kind == "f" else None
    return ops.convert_to_tensor(value, dtype=dtype)


def as_array(value: Any) -> Any:
    """Convert dense tensors to NumPy arrays, and leave the rest as it is."""
    return ops.convert_to_numpy(value) if is_dense(value) else value


def is_dense(value: Any) -> bool:
    """Tell whether `value` is a tensor, and neither sparse nor ragged."""
    return bool(ops.is_tensor(value)) and not _is_sparse_or_ragged(value)


def is_dense_float(value: Any) -> bool:
    """Tell whether `value` is a dense tensor of a float dtype, which alone can be moved."""
    if not is_dense(value):
        return False
    if keras.backend.backend() == "tensorflow":
        return bool(value.dtype.is_floating)
    return bool(keras.backend.is_float_dtype(keras.backend.standardize_dtype(value.dtype)))


def _is_sparse_or_ragged(tensor: Any) -> bool:
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return not isinstance(tensor, tf.Tensor)
    return hasattr(tensor, "todense") or bool(getattr(tensor, "is_sparse", False))


def _at(value: Any, path: Sequence[Any]) -> Any:
    """Follow `path` into `value` as far as it is a structure: a bare value is for all."""
    for key in path:
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list | tuple) and isinstance(key, int):
            value = value[key] if key < len(value) else None
        else:
            return value
    return value


def _finite_or_zero(gradient: Tensor) -> Tensor:
    return ops.where(ops.isfinite(gradient), gradient, ops.zeros_like(gradient))


def _none_to_zero(gradients: list[Tensor | None], tensors: list[Tensor]) -> list[Tensor]:
    return [
        ops.zeros_like(tensor) if gradient is None else gradient
        for gradient, tensor in zip(gradients, tensors, strict=True)
    ]


def _clipped(tensor: Tensor, low: Any, high: Any) -> Tensor:
    if low is not None:
        tensor = ops.maximum(tensor, ops.cast(ops.convert_to_tensor(low), tensor.dtype))
    if high is not None:
        tensor = ops.minimum(tensor, ops.cast(ops.convert_to_tensor(high), tensor.dtype))
    return tensor


def _repeated(
    step: Callable[[Any, list[Tensor]], list[Tensor]],
    count: int,
    tensors: list[Tensor],
    use_while_loop: bool,
) -> list[Tensor]:
    if use_while_loop:
        return list(ops.fori_loop(0, count, step, tensors))
    for i in range(count):
        tensors = step(i, tensors)
    return tensors
