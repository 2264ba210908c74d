"""The adversarial loss as a function, for training loops of one's own."""

import contextlib
import functools
from collections.abc import Callable, Mapping
from typing import Any

from nsl_tools.configs import AdvRegConfig
from nsl_tools.keras.adversarial_neighbor import gen_adv_neighbor
from nsl_tools.keras.input_gradient import keeps_graph
from nsl_tools.keras.norms import Seed

Tensor = Any
Nested = Any


def adversarial_loss(
    features: Nested,
    labels: Nested,
    model: Callable[..., Nested],
    loss_fn: Callable[..., Tensor],
    sample_weights: Tensor | None = None,
    adv_config: AdvRegConfig | None = None,
    predictions: Nested = None,
    labeled_loss: Tensor | None = None,
    gradient_tape: Any = None,
    model_kwargs: Mapping[str, Any] | None = None,
    *,
    seed: Seed = None,
) -> Tensor:
    """Return `loss_fn(labels, model(x_adv), sample_weights)`.

    Args:
        features: a tensor `[batch, ...]` or a nested structure of them.
        labels: labels, as `loss_fn` takes them.
        model: takes `features`, returns predictions. A Keras model, or a function.
        loss_fn: takes labels, predictions and sample weights.
        sample_weights: weights of the examples, `[batch]`.
        adv_config: configuration; its multiplier is not applied here.
        predictions: `model(features)`, if known. On TensorFlow, in eager mode, this spares a
            forward pass only with the `gradient_tape` that watched it.
        labeled_loss: `loss_fn(labels, model(features))`, if known, likewise.
        gradient_tape: a `tf.GradientTape` that watches `features`.
        model_kwargs: more arguments of `model`, such as `{"training": True}`.
        seed: for `random_init`, see `random_in_norm_ball`.

    Returns:
        The loss on the adversarial neighbours, as `loss_fn` reduces it.
    """
    config = (adv_config or AdvRegConfig()).adv_neighbor_config
    model_fn = functools.partial(model, **(model_kwargs or {}))
    if not getattr(model, "built", True):
        model_fn(features)  # variables cannot be made while differentiating

    def weighted(labels: Nested, predictions: Nested) -> Tensor:
        return loss_fn(labels, predictions, sample_weights)

    recorded = gradient_tape is not None or keeps_graph()
    if labeled_loss is None and predictions is not None and recorded:
        with gradient_tape or contextlib.nullcontext():
            labeled_loss = weighted(labels, predictions)
    neighbors, _ = gen_adv_neighbor(
        features,
        labeled_loss,
        config,
        gradient_tape=gradient_tape,
        pgd_model_fn=model_fn,
        pgd_loss_fn=weighted,
        pgd_labels=labels,
        use_while_loop=True,
        variables=getattr(model, "variables", ()),
        seed=seed,
    )
    return weighted(labels, model_fn(neighbors))
