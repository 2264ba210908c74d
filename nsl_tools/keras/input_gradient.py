"""The gradient of a loss with respect to input features: where backends differ.

`input_gradient` differentiates a function. It runs the function without side effects:
values of `variables` are read once, as constants, and whatever the function assigns
(moving averages, the state of dropout's random numbers) is thrown away. So a search for
adversarial examples leaves a model as it was, on every backend, and each step of the
search sees the same dropout mask.

`loss_gradient` differentiates a loss that was computed already, which spares one forward
pass. It needs a record of that computation, which JAX does not keep.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

Tensor = Any


def input_gradient(
    loss_fn: Callable[[list[Tensor]], Tensor],
    inputs: Sequence[Tensor],
    variables: Sequence[keras.Variable] = (),
) -> list[Tensor | None]:
    """Return the gradient of `sum(loss_fn(inputs))` for each input.

    Args:
        loss_fn: takes a list of tensors like `inputs`, returns a float tensor.
        inputs: float tensors.
        variables: the variables that `loss_fn` reads. On JAX, inside a compiled
            function, all of them have to be named.

    Returns:
        A list like `inputs`; `None` where the loss does not depend on the input (JAX has
        no way to tell and returns zeros).
    """
    values = [(variable, ops.stop_gradient(variable.value)) for variable in variables]

    def pure_loss(tensors: list[Tensor]) -> Tensor:
        with keras.StatelessScope(state_mapping=values):
            return ops.sum(loss_fn(tensors))

    constants = [ops.stop_gradient(tensor) for tensor in inputs]
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return _tensorflow_gradient(pure_loss, constants)
    if backend == "jax":
        return _jax_gradient(pure_loss, constants)
    if backend == "torch":
        return _torch_gradient(pure_loss, constants)
    raise NotImplementedError(
        "Invalid value for the Keras backend. Expected one with gradients: tensorflow, jax or "
        f"torch. Received: {backend}."
    )


def _tensorflow_gradient(loss_fn: Callable[..., Tensor], inputs: list[Tensor]) -> list[Any]:
    import tensorflow as tf

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        loss = loss_fn(inputs)
    return list(tape.gradient(loss, inputs))


def _jax_gradient(loss_fn: Callable[..., Tensor], inputs: list[Tensor]) -> list[Any]:
    import jax

    return list(jax.grad(loss_fn)(inputs))


def _torch_gradient(loss_fn: Callable[..., Tensor], inputs: list[Tensor]) -> list[Any]:
    import torch

    with torch.enable_grad():
        leaves = [tensor.detach().clone().requires_grad_() for tensor in inputs]
        loss = loss_fn(leaves)
        if not loss.requires_grad:
            return [None] * len(leaves)
        return list(torch.autograd.grad(loss, leaves, allow_unused=True))


def loss_gradient(loss: Tensor, inputs: Sequence[Tensor], tape: Any = None) -> list[Any] | None:
    """Return the gradient of `sum(loss)` for each input, or `None` if nothing recorded it.

    Args:
        loss: float tensor that was computed from `inputs`.
        inputs: float tensors.
        tape: the `tf.GradientTape` that watched the computation. Inside a `tf.function` the
            graph itself is the record, and no tape is needed.
    """
    if tape is not None:
        return list(tape.gradient(loss, list(inputs)))
    if keeps_graph():
        import tensorflow as tf

        # Unlike `tf.gradients`, this does not mark the new nodes with a location, so that the
        # graph optimiser merges them with the nodes of the training step's own gradient.
        return list(tf.compat.v1.gradients(loss, list(inputs), tf.ones_like(loss)))
    if keras.backend.backend() == "torch" and any(t.requires_grad for t in inputs):
        return _torch_loss_gradient(loss, inputs)
    return None


def keeps_graph() -> bool:
    """Tell whether losses computed here can be differentiated later: TensorFlow's graphs."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.executing_eagerly()


def _torch_loss_gradient(loss: Tensor, inputs: Sequence[Tensor]) -> list[Any]:
    import torch

    tracked = [tensor for tensor in inputs if tensor.requires_grad]
    found = iter(torch.autograd.grad(loss.sum(), tracked, retain_graph=True, allow_unused=True))
    return [next(found) if tensor.requires_grad else None for tensor in inputs]
