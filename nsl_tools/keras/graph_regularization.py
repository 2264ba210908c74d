"""Graph regularization of a Keras model.

The wrapped model minimises

    loss(y, f(x)) + multiplier * mean over neighbours n of distance(f(x), f(n))

so that neighbours get similar outputs. The wrapper shares the base model's
variables. Only `compute_loss` differs from Keras's, and only in training:
evaluating and predicting need no neighbours. Source of the behaviour: NSL 1.4,
`keras/graph_regularization.py`; the idea is in Bui, Ravi and Ramavajjala, "Neural
Graph Learning" (WSDM 2018).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras
from keras import ops, tree

from nsl_tools.configs import GraphRegConfig, ReductionType
from nsl_tools.feature_names import NUM_NEIGHBORS
from nsl_tools.keras.arguments import check_type, graph_config_from_dict, graph_config_to_dict
from nsl_tools.keras.neighbor_features import strip_neighbor_features, unpack_neighbor_features
from nsl_tools.keras.objective import shared_between_replicas
from nsl_tools.keras.regularized_model import RegularizedModel, route
from nsl_tools.keras.regularizers import distance_of_outputs

if TYPE_CHECKING:
    from typing_extensions import Self

Tensor = Any
Nested = Any


@keras.saving.register_keras_serializable(package="nsl_tools")
class GraphRegularization(RegularizedModel):
    """A model that is trained to give neighbours similar outputs.

    The history of `fit` has `loss` (with the graph term), the metrics and
    `scaled_graph_loss` (the graph term); evaluation has none of it. Sample weights do
    not touch the graph term.

    ```python
    graph_config = nsl.configs.make_graph_reg_config(max_neighbors=2, multiplier=0.1)
    graph_model = nsl.keras.GraphRegularization(base_model, graph_config)
    graph_model.compile("adam", "sparse_categorical_crossentropy")
    graph_model.fit(nsl.keras.make_dataset("merged.tfr", batch_size=32, max_neighbors=2))
    ```

    Args:
        base_model: the model to train; its variables are shared.
        graph_reg_config: neighbours, multiplier and distance.
        deterministic: take both outputs of the graph term in inference mode. Dropout
            inside the graph term adds noise that can outweigh the graph.
        **kwargs: arguments of `keras.Model`.

    Raises:
        ValueError: the distance is not reduced to one number.

    Attributes:
        multiplier: variable, the weight of the graph term. A
            `nsl.keras.MultiplierSchedule` changes it between epochs.
    """

    def __init__(
        self,
        base_model: keras.Model,
        graph_reg_config: GraphRegConfig | None = None,
        deterministic: bool = False,
        **kwargs: Any,
    ) -> None:
        check_type("graph_reg_config", graph_reg_config, GraphRegConfig | None)
        config = graph_reg_config or GraphRegConfig()
        super().__init__(base_model, config.multiplier, **kwargs)
        self.graph_reg_config = config
        _check_reduction(config.distance_config.reduction)
        self.deterministic = deterministic
        self._graph_loss = keras.metrics.Mean(name=self.term_name("scaled_graph_loss"))
        if base_model.built:
            self.build()

    @property
    def output_names(self) -> list[str]:
        """The innermost model's, if it has any: losses and metrics may be given by output."""
        return list(self.innermost.output_names)

    @property
    def _regularizes(self) -> bool:
        """Whether there is a graph term at all, under any schedule."""
        return bool(self.graph_reg_config.neighbor_config.max_neighbors) and (
            self.configured_multiplier > 0
        )

    def call(self, inputs: Nested, training: bool | None = None) -> Nested:
        """Return the base model's outputs for the samples; neighbours are left out."""
        return self._base(self.base_features(inputs), training)

    def _base(self, features: Nested, training: bool | None) -> Nested:
        return self.base_model(route(self.base_model, features), training=training)

    def compute_loss(
        self,
        x: Nested = None,
        y: Nested = None,
        y_pred: Nested = None,
        sample_weight: Nested = None,
        training: bool = True,
    ) -> Tensor:
        """Return Keras's loss, in training plus the multiplier times the graph distance.

        And the terms of the wrappers within.
        """
        y, sample_weight = self.labels_and_weights(x, y, y_pred, sample_weight)
        given = x, y, y_pred, sample_weight, training
        loss = super().compute_loss(*given)
        term = self.scaled_term(*given)
        terms = [*([] if term is None else [term]), *self.inner_terms(*given)]
        return sum((ops.cast(each, loss.dtype) for each in terms), start=loss)

    def compute_metrics(
        self, x: Nested, y: Nested, y_pred: Nested, sample_weight: Nested = None
    ) -> dict[str, Tensor]:
        """Update the metrics with the labels, wherever they are, and return all results."""
        y, sample_weight = self.labels_and_weights(x, y, y_pred, sample_weight)
        return dict(super().compute_metrics(x, y, y_pred, sample_weight))

    def scaled_term(
        self,
        x: Nested,
        y: Nested,  # noqa: ARG002 - of those that need labels
        y_pred: Nested,
        sample_weight: Nested,  # noqa: ARG002 - which does not touch this term
        training: bool,
    ) -> Tensor | None:
        """Return the multiplier times the graph distance; None but in training."""
        if not (training and self._regularizes):
            return None
        distance = self._graph_distance(x, y_pred)
        scaled = ops.cast(self.multiplier, distance.dtype) * distance
        batch_size = ops.shape(tree.flatten(y_pred)[0])[0]
        self._graph_loss.update_state(scaled, sample_weight=batch_size)
        return shared_between_replicas(scaled)

    def _graph_distance(self, x: Nested, y_pred: Nested) -> Tensor:
        """Return the distance between samples and neighbours, summed over the outputs."""
        check_type("x", x, Mapping)
        config = self.graph_reg_config
        own, neighbors, weights = unpack_neighbor_features(self._taken(x), config.neighbor_config)
        if self.deterministic:
            y_pred = self._base(own, training=False)
        outputs = self._base(neighbors, training=not self.deterministic)
        return distance_of_outputs(y_pred, outputs, weights, config)

    def base_features(self, x: Nested) -> Nested:
        """Return a sample's own features, without those that `pack-nbrs` adds."""
        if not isinstance(x, Mapping):
            return x
        own = strip_neighbor_features(x, self.graph_reg_config.neighbor_config)
        own.pop(NUM_NEIGHBORS, None)
        return own

    def _taken(self, x: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what the graph term needs: ids and the like need not come of neighbours."""
        own = self.own_features(x)
        taken = tree.flatten(route(self.innermost, {name: name for name in own}))
        prefix = self.graph_reg_config.neighbor_config.prefix
        return {name: x[name] for name in x if name in taken or name.startswith(prefix)}

    @property
    def trackers(self) -> list[keras.metrics.Metric]:
        """The running mean of the graph term, but not while evaluating."""
        return [] if self._evaluating else [self._graph_loss]

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Keras's metrics, and the terms; while evaluating, without `scaled_graph_loss`."""
        found = [m for m in super().metrics if not (self._evaluating and m is self._graph_loss)]
        return [*found, *self.inner_trackers]

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` makes an equal wrapper of."""
        return {
            **super().get_config(),
            "graph_reg_config": graph_config_to_dict(self.graph_reg_config),
            "deterministic": self.deterministic,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> "Self":
        """Make a wrapper of what `get_config` returned."""
        graph = graph_config_from_dict(config["graph_reg_config"])
        return super().from_config({**config, "graph_reg_config": graph}, custom_objects)


def _check_reduction(reduction: ReductionType | str) -> None:
    if ReductionType(reduction) is ReductionType.NONE:
        raise ValueError(
            "Invalid value for argument `graph_reg_config`. Expected a reduction to one number. "
            f"Received: {reduction!r}"
        )
