"""Adversarial regularisation of a Keras model.

The wrapped model minimises

    loss(y, f(x)) + multiplier * loss(y, f(x_adv))

where `x_adv` is an adversarial neighbour of `x` (see `adversarial_neighbor`). The
wrapper shares the base model's variables. Only `compute_loss` and `compute_metrics`
differ from Keras's: labels and sample weights may come in the feature dictionary, and
the second term is added, in training and in evaluation.

Source of the behaviour: NSL 1.4, `keras/adversarial_regularization.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import keras
from keras import ops, tree

from nsl_tools.configs import AdvNeighborConfig, AdvRegConfig
from nsl_tools.keras.adversarial_neighbor import (
    as_array,
    as_tensor,
    check_movable,
    gen_adv_neighbor,
)
from nsl_tools.keras.arguments import (
    adv_config_from_dict,
    adv_config_to_dict,
    check_type,
    keys_and_config,
)
from nsl_tools.keras.input_gradient import keeps_graph
from nsl_tools.keras.objective import Objective, in_output_order, make_objective, unscaled
from nsl_tools.keras.regularized_model import RegularizedModel, route
from nsl_tools.keras.regularizers import adversarial_loss

__all__ = ["AdversarialRegularization", "adversarial_loss"]

if TYPE_CHECKING:
    from typing_extensions import Self

Tensor = Any
Nested = Any


@dataclass(frozen=True)
class _Batch:
    """A batch taken apart: what may be perturbed, and what goes with it."""

    features: Nested
    extras: dict[str, Tensor]
    labels: Nested
    sample_weight: Nested


@keras.saving.register_keras_serializable(package="nsl_tools")
class AdversarialRegularization(RegularizedModel):
    """A model that is trained on adversarial neighbours besides the examples.

    Labels come as usual, `fit(x, y)`, or in a dictionary with the features, `fit({"feature":
    x, "label": y})`, as NSL has it. Predicting needs no labels. The history has `loss`
    (both terms), the loss on the labels under its own name (`mean_squared_error`), the
    metrics and `scaled_adversarial_loss`.

    ```python
    adv_config = nsl.configs.make_adv_reg_config(multiplier=0.2, adv_step_size=0.05)
    adv_model = nsl.keras.AdversarialRegularization(base_model, adv_config)
    adv_model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    adv_model.fit(x_train, y_train)
    ```

    Args:
        base_model: the model to train; its variables are shared.
        label_keys: names of the labels in the feature dictionary, one for each output. The
            configuration is accepted in this place too.
        sample_weight_key: name of the sample weights in the feature dictionary. They weigh
            both terms.
        adv_config: multiplier and how to find neighbours.
        base_with_labels_in_features: leave labels and sample weights in the dictionary that
            a subclassed base model gets. They are never perturbed.
        **kwargs: arguments of `keras.Model`.

    Attributes:
        multiplier: variable, the weight of the adversarial term. A
            `nsl.keras.MultiplierSchedule` changes it between epochs.
    """

    def __init__(
        self,
        base_model: keras.Model,
        label_keys: Sequence[str] | str | AdvRegConfig = ("label",),
        sample_weight_key: str | None = None,
        adv_config: AdvRegConfig | None = None,
        base_with_labels_in_features: bool = False,
        **kwargs: Any,
    ) -> None:
        check_type("sample_weight_key", sample_weight_key, str | None)
        label_keys, adv_config = keys_and_config(label_keys, adv_config)
        super().__init__(base_model, adv_config.multiplier, **kwargs)
        self.label_keys = label_keys
        self.sample_weight_key = sample_weight_key
        self.adv_config = adv_config
        self.base_with_labels_in_features = base_with_labels_in_features
        self.seed_generator = keras.random.SeedGenerator()
        self._objective: Objective | None = None
        if base_model.built:
            self.build()

    def call(self, inputs: Nested, training: bool | None = None) -> Nested:
        """Return the base model's outputs; labels and sample weights are left out."""
        features, extras = self._without_labels(inputs)
        return self._base(features, extras, training)

    def base_features(self, x: Nested) -> Nested:
        """Return the features without labels and sample weights."""
        return self._without_labels(x)[0]

    def labels_and_weights(
        self, x: Nested, y: Nested, y_pred: Nested, sample_weight: Nested
    ) -> tuple[Nested, Nested]:
        """Return labels and sample weights, as arguments or among the features."""
        batch = self._unpacked(x, y, sample_weight, y_pred)
        return tree.pack_sequence_as(y_pred, batch.labels), batch.sample_weight

    def configure(self, optimizer: Any, given: dict[str, Any], kwargs: dict[str, Any]) -> None:
        """Compile the wrapper; losses and metrics get NSL's names.

        Raises:
            ValueError: if losses or metrics do not fit the outputs.
        """
        term = self.term_name("scaled_adversarial_loss")
        objective = make_objective(**given, **self._output_names(), term=term)
        metrics = {
            "metrics": _single_or_all(objective.metrics),
            "weighted_metrics": _single_or_all(objective.weighted_metrics),
        }
        super().configure(optimizer, metrics, kwargs)
        self.loss = given["loss"]
        self._objective = objective

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Keras's metrics, then the loss of each output and the terms."""
        own = [] if self._objective is None else self._objective.trackers
        return [*super().metrics, *own, *self.inner_trackers]

    @property
    def trackers(self) -> list[keras.metrics.Metric]:
        """The running mean of the adversarial term."""
        return [] if self._objective is None else self._objective.trackers[-1:]

    def compute_loss(
        self,
        x: Nested = None,
        y: Nested = None,
        y_pred: Nested = None,
        sample_weight: Nested = None,
        training: bool = True,
    ) -> Tensor:
        """Return the loss on the labels, plus the multiplier times that on the neighbours.

        And the terms of the wrappers within. The losses that layers add themselves
        (regularisers) are counted once.
        """
        batch = self._unpacked(x, y, sample_weight, y_pred)
        values = self._values(batch, y_pred)
        labeled = self._compiled.total(values)
        added = [ops.sum(loss) for loss in self.losses]
        inner = self.inner_terms(x, y, y_pred, sample_weight, training)
        scaled = self._scaled_term(batch, labeled, training)
        self._compiled.track([*values, scaled], batch_size=ops.shape(tree.flatten(y_pred)[0])[0])
        return sum([labeled, scaled, *(ops.cast(term, labeled.dtype) for term in inner), *added])

    def scaled_term(
        self, x: Nested, y: Nested, y_pred: Nested, sample_weight: Nested, training: bool
    ) -> Tensor | None:
        """Return the multiplier times the loss on the adversarial neighbours."""
        batch = self._unpacked(x, y, sample_weight, y_pred)
        labeled = self._compiled.total(self._values(batch, y_pred))
        scaled = self._scaled_term(batch, labeled, training)
        batch_size = ops.shape(tree.flatten(y_pred)[0])[0]
        self.trackers[0].update_state(unscaled(scaled), sample_weight=batch_size)
        return scaled

    def _scaled_term(self, batch: _Batch, labeled: Tensor, training: bool) -> Tensor:
        config = self.adv_config.adv_neighbor_config
        neighbors = self._neighbors(batch, config, training=training, labeled_loss=labeled)
        predictions = self._base(neighbors, batch.extras, training)
        adversarial = self._compiled.total(self._values(batch, predictions))
        return ops.cast(self.multiplier, adversarial.dtype) * adversarial

    def compute_metrics(
        self, x: Nested, y: Nested, y_pred: Nested, sample_weight: Nested = None
    ) -> dict[str, Tensor]:
        """Update the metrics with the labels, wherever they are, and return all results."""
        batch = self._unpacked(x, y, sample_weight, y_pred)
        outputs = tree.flatten(y_pred)
        return dict(super().compute_metrics(x, batch.labels, outputs, batch.sample_weight))

    def perturb(
        self, x: Nested, y: Nested = None, sample_weight: Nested = None, **config_kwargs: Any
    ) -> Nested:
        """Return adversarial neighbours of a batch, found with the model in inference mode.

        Takes and returns tensors, so that it can be compiled: with `tf.function`, an attack
        of many steps runs about three times as fast as in eager mode.

        Args:
            x: features; with the labels in the dictionary if `y` is not given.
            y: labels.
            sample_weight: weights of the examples.
            **config_kwargs: fields of `AdvNeighborConfig` that differ from the wrapper's
                own; `None` leaves one as it is.

        Returns:
            The structure of `x`. Labels and sample weights are in it as they came.
        """
        predictions = self(x, training=False)
        batch = self._unpacked(x, y, sample_weight, predictions)
        config = _overridden(self.adv_config.adv_neighbor_config, config_kwargs)
        neighbors = self._neighbors(batch, config, training=False)
        return {**x, **neighbors} if isinstance(x, Mapping) else neighbors

    def perturb_on_batch(
        self, x: Nested, y: Nested = None, sample_weight: Nested = None, **config_kwargs: Any
    ) -> Nested:
        """Do what `perturb` does, from arrays to NumPy arrays; sparse tensors stay tensors."""
        tensors = tree.map_structure(as_tensor, (x, y, sample_weight))
        return tree.map_structure(as_array, self.perturb(*tensors, **config_kwargs))

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` makes an equal wrapper of."""
        return {
            **super().get_config(),
            "label_keys": list(self.label_keys),
            "sample_weight_key": self.sample_weight_key,
            "adv_config": adv_config_to_dict(self.adv_config),
            "base_with_labels_in_features": self.base_with_labels_in_features,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> "Self":
        """Make a wrapper of what `get_config` returned."""
        adv_config = adv_config_from_dict(config["adv_config"])
        return super().from_config({**config, "adv_config": adv_config}, custom_objects)

    def _own_variables(self) -> dict[str, keras.Variable]:
        return {**super()._own_variables(), "random_state": self.seed_generator.state}

    @property
    def _compiled(self) -> Objective:
        if self._objective is None:
            raise ValueError(
                "Invalid value for argument `loss` of `compile`. Expected a loss, since the "
                "adversarial neighbours depend on it. Received: nothing, compile() was not called."
            )
        return self._objective

    def _base(self, features: Nested, extras: dict[str, Tensor], training: bool | None) -> Nested:
        if self.base_with_labels_in_features and isinstance(features, Mapping):
            features = {**features, **extras}
        return self.base_model(route(self.base_model, features, extras), training=training)

    def _values(self, batch: _Batch, predictions: Nested) -> list[Tensor]:
        outputs = tree.flatten(predictions)
        weights = _for_each(batch.sample_weight, len(outputs))
        return self._compiled.values(batch.labels, outputs, weights)

    def _neighbors(
        self,
        batch: _Batch,
        config: AdvNeighborConfig,
        training: bool,
        labeled_loss: Tensor | None = None,
    ) -> Nested:
        check_movable(batch.features)

        def model_fn(features: Nested) -> Nested:
            return self._base(features, batch.extras, training)

        def loss_fn(_: Nested, predictions: Nested) -> Tensor:
            return self._scaled(self._compiled.total(self._values(batch, predictions)), batch)

        neighbors, _ = gen_adv_neighbor(
            batch.features,
            None if labeled_loss is None else self._scaled(labeled_loss, batch),
            config,
            pgd_model_fn=model_fn,
            pgd_loss_fn=loss_fn,
            use_while_loop=labeled_loss is not None or keeps_graph(),
            variables=self.base_model.variables,
            seed=self.seed_generator,
        )
        return neighbors

    def _scaled(self, loss: Tensor, batch: _Batch) -> Tensor:
        """Undo the mean for float16, whose range ends above the gradients of a mean."""
        if self.compute_dtype != "float16":
            return loss
        return loss * ops.cast(ops.shape(batch.labels[0])[0], loss.dtype)

    def _without_labels(self, x: Nested) -> tuple[Nested, dict[str, Tensor]]:
        if not isinstance(x, Mapping):
            return x, {}
        extra_keys = {*self.label_keys, self.sample_weight_key}
        features = {key: value for key, value in x.items() if key not in extra_keys}
        return features, {key: value for key, value in x.items() if key in extra_keys}

    def _unpacked(self, x: Nested, y: Nested, sample_weight: Nested, y_pred: Nested) -> _Batch:
        features, extras = self._without_labels(x)
        if self.inner is not None:
            features = self.inner.own_features(features)  # neighbours are not to be moved
        if y is None:
            y = self._labels_among(extras, y_pred)
        if sample_weight is None and self.sample_weight_key is not None:
            sample_weight = extras.get(self.sample_weight_key)
        labels = in_output_order(y, y_pred, self._output_names()["output_names"])
        return _Batch(features, extras, labels, sample_weight)

    def _labels_among(self, extras: dict[str, Tensor], y_pred: Nested) -> Nested:
        missing = [key for key in self.label_keys if key not in extras]
        if missing:
            raise ValueError(
                f"Invalid value for argument `x`. Expected the labels {list(self.label_keys)} in "
                f"it, or as `y`. Received: neither {missing} nor `y`."
            )
        if isinstance(y_pred, Mapping) and set(y_pred) == set(self.label_keys):
            return {key: extras[key] for key in self.label_keys}
        return [extras[key] for key in self.label_keys]

    def _output_names(self) -> dict[str, list[str]]:
        """Name the outputs as the innermost model does, and by label where that is one each."""
        declared = getattr(self.innermost, "outputs", None) or self.label_keys
        count = len(tree.flatten(declared))
        names = getattr(self.innermost, "output_names", None)
        if names is None or len(names) != count:
            names = [f"output_{i}" for i in range(1, count + 1)]
        tags = self.label_keys if len(self.label_keys) == count else names
        return {"output_names": list(names), "tags": list(tags)}


def _single_or_all(per_output: list[Any]) -> Any:
    return per_output[0] if len(per_output) == 1 else per_output


def _for_each(sample_weight: Nested, count: int) -> list[Tensor]:
    """Return the sample weights of each output: one for all, or one each."""
    flat = [None] if sample_weight is None else tree.flatten(sample_weight)
    return flat * count if len(flat) == 1 else flat


def _overridden(config: AdvNeighborConfig, changes: Mapping[str, Any]) -> AdvNeighborConfig:
    return replace(config, **{key: value for key, value in changes.items() if value is not None})
