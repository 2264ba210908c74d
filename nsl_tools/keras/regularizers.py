"""The graph loss, the adversarial loss and regularisers as functions, for loops of one's own.

Source of the definitions: NSL 1.4, `lib/adversarial_regularizer.py` and `lib/regularizer.py`.
"""

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from keras import ops, tree

from nsl_tools.configs import AdvRegConfig, GraphRegConfig, VirtualAdvConfig
from nsl_tools.feature_names import neighbor_feature
from nsl_tools.keras import norms
from nsl_tools.keras.adversarial_neighbor import gen_adv_neighbor
from nsl_tools.keras.distances import pairwise_distance_wrapper
from nsl_tools.keras.input_gradient import input_gradient, keeps_graph
from nsl_tools.keras.neighbor_features import unpack_neighbor_features
from nsl_tools.keras.regularized_model import route

Tensor = Any
Nested = Any


def graph_loss(
    model: Callable[..., Nested],
    features: Mapping[str, Tensor],
    graph_config: GraphRegConfig | None = None,
    predictions: Nested = None,
    model_kwargs: Mapping[str, Any] | None = None,
) -> Tensor:
    """Return the distance between the outputs for samples and for their neighbours.

    Add it, times a multiplier, to the loss on the labels: in a `tf.GradientTape`, before
    `backward()` of PyTorch, in the function that JAX differentiates.

    Args:
        model: takes features, returns predictions, a tensor or a nested structure. A Keras
            model, a function of a dictionary of features, or a `torch.nn.Module` like that.
        features: a packed batch: a sample's own features `[batch, ...]`, and those of its
            neighbours and their weights by the names that `nsl-tools pack-nbrs` gives them.
            The model gets those that both have.
        graph_config: neighbours and distance; its multiplier is not applied here.
        predictions: `model(features)`, if known: this spares a forward pass.
        model_kwargs: more arguments of `model`, such as `{"training": True}`.

    Returns:
        The distance, summed over the outputs, as its configuration reduces it; 0 if it is of
        no neighbours.

    Raises:
        KeyError: a feature or weight of a neighbour is missing. ValueError: a shape is not
            what it should be, or a Keras model takes a feature that neighbours do not have.
    """
    config = graph_config or GraphRegConfig()
    if not config.neighbor_config.max_neighbors:
        return ops.zeros(())
    # Ids, labels and the like are features of samples alone: the model takes what both have.
    prefix = config.neighbor_config.prefix
    taken = {
        name: value
        for name, value in features.items()
        if name.startswith(prefix) or neighbor_feature(0, name, prefix) in features
    }
    own, neighbors, weights = unpack_neighbor_features(taken, config.neighbor_config)
    call = functools.partial(model, **(model_kwargs or {}))

    def outputs_for(named: Mapping[str, Tensor]) -> Nested:
        return call(route(model, named) if isinstance(model, keras.Model) else named)

    known = outputs_for(own) if predictions is None else predictions
    return distance_of_outputs(known, outputs_for(neighbors), weights, config)


def distance_of_outputs(
    outputs: Nested, neighbor_outputs: Nested, weights: Tensor, config: GraphRegConfig
) -> Tensor:
    """Return the distance between outputs for B samples and for N neighbours of each.

    Args:
        outputs: a tensor `[B, ...]` or a nested structure of them.
        neighbor_outputs: the same for neighbours, `[B * N, ...]`, those of a sample together.
        weights: of the neighbours, `[B * N, 1]`.
        config: the number of neighbours, and the distance.

    Returns:
        The distance as its configuration reduces it, summed over the outputs.
    """
    pairs = zip(tree.flatten(outputs), tree.flatten(neighbor_outputs), strict=True)
    return sum(
        pairwise_distance_wrapper(
            ops.repeat(source, config.neighbor_config.max_neighbors, axis=0),
            target,
            ops.reshape(weights, (-1, *([1] * (len(target.shape) - 1)))),
            config.distance_config,
        )
        for source, target in pairs
    )


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
    seed: norms.Seed = None,
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


def adv_regularizer(
    adv_neighbors: Tensor,
    target_scores: Tensor,
    model_fn: Callable[..., Tensor],
    loss_fn: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """Return `loss_fn(target_scores, model_fn(adv_neighbors))`.

    Args:
        adv_neighbors: adversarial neighbours, `[batch, ...]`.
        target_scores: labels, as `loss_fn` takes them.
        model_fn: takes the features, and NSL's `is_train=False` and `reuse=True`.
        loss_fn: takes labels and predictions.
    """
    return loss_fn(target_scores, model_fn(adv_neighbors, is_train=False, reuse=True))


def virtual_adv_regularizer(
    input_layer: Tensor,
    embedding_fn: Callable[[Tensor], Tensor],
    virtual_adv_config: VirtualAdvConfig,
    embedding: Tensor | None = None,
    *,
    seed: norms.Seed = None,
    seed_perturbation: Tensor | None = None,
) -> Tensor:
    """Return the distance between the embeddings of an input and of the input moved a little.

    The direction is the one that changes the embedding most (Miyato et al. 2017,
    arXiv 1704.03976, equation 12): from a random unit `d`, repeat `num_approx_steps` times

        d <- normalize(gradient of distance(f(x), f(x + xi * d)) with respect to xi * d)

    and move by `step_size * d`. No labels are needed. The embedding of the original is a
    constant: the moved input is drawn to it, not the other way round.

    Args:
        input_layer: float tensor `[batch, ...]`.
        embedding_fn: takes a tensor like `input_layer`. A Keras model, where it has
            random numbers or moving averages, so that the search leaves them alone.
        virtual_adv_config: step size, norm, mask, distance, number of steps and `xi`.
        embedding: `embedding_fn(input_layer)`, if known.
        seed: see `random_in_norm_ball`.
        seed_perturbation: the first direction, in place of a random one.

    Returns:
        The distance, as its configuration reduces it.
    """
    config = virtual_adv_config
    if embedding is None:
        embedding = embedding_fn(input_layer)
    original = ops.stop_gradient(embedding)
    if seed_perturbation is None:
        seed_perturbation = keras.random.normal(
            ops.shape(input_layer), dtype=input_layer.dtype, seed=seed
        )

    def distance(perturbation: Tensor) -> Tensor:
        return pairwise_distance_wrapper(
            sources=original,
            targets=embedding_fn(input_layer + perturbation),
            distance_config=config.distance_config,
        )

    variables = getattr(embedding_fn, "variables", ())
    direction = _strongest_direction(distance, seed_perturbation, config, variables)
    return distance(config.adv_neighbor_config.adv_step_size * direction)


def _strongest_direction(
    distance: Callable[[Tensor], Tensor],
    start: Tensor,
    config: VirtualAdvConfig,
    variables: Sequence[keras.Variable],
) -> Tensor:
    direction = _unit(start, config)
    for _ in range(config.num_approx_steps):
        probe = config.approx_difference * direction
        (gradient,) = input_gradient(lambda t: distance(t[0]), [probe], variables)
        direction = ops.zeros_like(probe) if gradient is None else _unit(gradient, config)
    return ops.stop_gradient(direction)


def _unit(perturbation: Tensor, config: VirtualAdvConfig) -> Tensor:
    neighbor = config.adv_neighbor_config
    masked = norms.apply_feature_mask(perturbation, neighbor.feature_mask)
    return norms.normalize(masked, neighbor.adv_grad_norm)
