"""NSL 1.4's configuration objects: its names, defaults and conversions.

A string converts to its enum (`'l2'` to `NormType.L2`), and every value is
checked where it is given. Source: NSL 1.4, `configs/configs.py`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from enum import Enum
from numbers import Real
from typing import TYPE_CHECKING, Any

from nsl_tools.feature_names import NEIGHBOR_PREFIX, WEIGHT_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Self

Nested = Any
"""A number or array, or a list, tuple or dictionary of them, shaped as the features are."""


def _invalid(name: str, expected: str, received: object) -> ValueError:
    return ValueError(
        f"Invalid value for argument `{name}`. Expected {expected}. Received: {received!r}"
    )


def _check_count(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise _invalid(name, f"an integer of at least {least}", value)


def _check_number(
    name: str, value: float, expected: str, least: float, *, strict: bool = False
) -> None:
    if (
        not isinstance(value, Real)
        or not math.isfinite(value)
        or value < least
        or (strict and value == least)
    ):
        raise _invalid(name, expected, value)


def _check_multiplier(value: float) -> None:
    _check_number("multiplier", value, "a number of at least 0", 0)


class _Choice(Enum):
    @classmethod
    def all(cls) -> list[Self]:
        """Return all choices."""
        return list(cls)

    @classmethod
    def _missing_(cls, value: object) -> None:
        expected = ", ".join(repr(choice.value) for choice in cls)
        raise _invalid(cls.__name__, f"one of {expected}", value)


class NormType(_Choice):
    """Norms of a perturbation."""

    L1 = "l1"
    L2 = "l2"
    INFINITY = "infinity"


class AdvTargetType(_Choice):
    """Which class an adversarial example is pushed towards, or away from."""

    SECOND = "second"
    LEAST = "least"
    RANDOM = "random"
    GROUND_TRUTH = "ground_truth"


class TransformType(_Choice):
    """What is done to both sides before their distance is taken."""

    SOFTMAX = "softmax"
    NONE = "none"


class DistanceType(_Choice):
    """Distances between two tensors."""

    L1 = "l1"
    L2 = "l2"
    COSINE = "cosine"
    JENSEN_SHANNON_DIVERGENCE = "jensen_shannon_divergence"
    KL_DIVERGENCE = "kl_divergence"


class ReductionType(_Choice):
    """How weighted distances become one number; values as in `tf.compat.v1.losses.Reduction`."""

    NONE = "none"
    SUM = "weighted_sum"
    SUM_OVER_BATCH_SIZE = "weighted_sum_over_batch_size"
    MEAN = "weighted_mean"
    SUM_BY_NONZERO_WEIGHTS = "weighted_sum_by_nonzero_weights"


class DecayType(_Choice):
    """How a value decays over training steps."""

    EXPONENTIAL_DECAY = "exponential_decay"
    INVERSE_TIME_DECAY = "inverse_time_decay"
    NATURAL_EXP_DECAY = "natural_exp_decay"


class IntegrationType(_Choice):
    """How two modalities are fused."""

    ADD = "additive"
    MUL = "multiplicative"
    TUCKER_DECOMP = "tucker_decomp"


@dataclass
class AdvNeighborConfig:
    """How to make an adversarial neighbour.

    Attributes:
        feature_mask: factors in [0, 1] on the gradient; 0 leaves a feature alone.
        adv_step_size: length of a step, in `adv_grad_norm`.
        adv_grad_norm: norm that the gradient is normalised in.
        clip_value_min: smallest value of a perturbed feature.
        clip_value_max: largest value of a perturbed feature.
        pgd_iterations: steps; 1 is the fast gradient sign method. 0 with `random_init` alone:
            the neighbour is the random point.
        pgd_epsilon: radius around the input that steps are projected to.
        random_init: whether to start from a random point within that radius.
    """

    feature_mask: Nested = None
    adv_step_size: float = 0.001
    adv_grad_norm: NormType | str = NormType.L2
    clip_value_min: Nested = None
    clip_value_max: Nested = None
    pgd_iterations: int = 1
    pgd_epsilon: float | None = None
    random_init: bool = False

    def __post_init__(self) -> None:
        """Convert and check."""
        self.adv_grad_norm = NormType(self.adv_grad_norm)
        _check_number("adv_step_size", self.adv_step_size, "a positive number", 0, strict=True)
        _check_count("pgd_iterations", self.pgd_iterations, 0 if self.random_init else 1)
        if self.pgd_epsilon is not None:
            _check_number("pgd_epsilon", self.pgd_epsilon, "a positive number", 0, strict=True)


@dataclass
class AdvRegConfig:
    """Adversarial regularization.

    Attributes:
        multiplier: weight of the adversarial loss, at least 0.
        adv_neighbor_config: how to make adversarial neighbours.
    """

    multiplier: float = 0.2
    adv_neighbor_config: AdvNeighborConfig = field(default_factory=AdvNeighborConfig)

    def __post_init__(self) -> None:
        """Check."""
        _check_multiplier(self.multiplier)


def make_adv_reg_config(
    multiplier: float = 0.2,
    feature_mask: Nested = None,
    adv_step_size: float = 0.001,
    adv_grad_norm: NormType | str = NormType.L2,
    clip_value_min: Nested = None,
    clip_value_max: Nested = None,
    pgd_iterations: int = 1,
    pgd_epsilon: float | None = None,
    random_init: bool = False,
) -> AdvRegConfig:
    """Return an `AdvRegConfig`; the arguments are its fields and `AdvNeighborConfig`'s."""
    return AdvRegConfig(
        multiplier,
        AdvNeighborConfig(
            feature_mask,
            adv_step_size,
            adv_grad_norm,
            clip_value_min,
            clip_value_max,
            pgd_iterations,
            pgd_epsilon,
            random_init,
        ),
    )


@dataclass
class AdvTargetConfig:
    """How to choose the target of an attack.

    Attributes:
        target_method: which class.
        random_seed: seed for `AdvTargetType.RANDOM`.
    """

    target_method: AdvTargetType | str = AdvTargetType.GROUND_TRUTH
    random_seed: float = 0.0

    def __post_init__(self) -> None:
        """Convert."""
        self.target_method = AdvTargetType(self.target_method)


@dataclass
class DistanceConfig:
    """How to measure the distance between two tensors.

    Attributes:
        distance_type: which distance.
        reduction: how weighted distances become one number.
        sum_over_axis: axis that distances are summed over; the divergences and
            the cosine need one.
        transform_fn: what is done to both sides first.
    """

    distance_type: DistanceType | str = DistanceType.L2
    reduction: ReductionType | str = ReductionType.SUM_BY_NONZERO_WEIGHTS
    sum_over_axis: int | None = None
    transform_fn: TransformType | str = TransformType.NONE

    def __post_init__(self) -> None:
        """Convert and check."""
        self.distance_type = DistanceType(self.distance_type)
        self.reduction = ReductionType(self.reduction)
        self.transform_fn = TransformType(self.transform_fn)
        if self.sum_over_axis is not None and not isinstance(self.sum_over_axis, int):
            raise _invalid("sum_over_axis", "an axis or None", self.sum_over_axis)


@dataclass
class DecayConfig:
    """How a value decays over training steps.

    Attributes:
        decay_steps: steps between two decays, positive.
        decay_rate: the rate.
        min_value: the value never falls below.
        decay_type: the formula.
    """

    decay_steps: Any
    decay_rate: Any = 0.96
    min_value: float = 0.0
    decay_type: DecayType | str = DecayType.EXPONENTIAL_DECAY

    def __post_init__(self) -> None:
        """Convert and check."""
        self.decay_type = DecayType(self.decay_type)
        if isinstance(self.decay_steps, int | float):
            _check_number("decay_steps", self.decay_steps, "a positive number", 0, strict=True)


@dataclass
class IntegrationConfig:
    """How two modalities are fused.

    Attributes:
        integration_type: which fusion.
        hidden_dims: units of the dense layers before the output.
        activation_fn: their activation, a function or a name that Keras knows.
    """

    integration_type: IntegrationType | str
    hidden_dims: int | Sequence[int]
    activation_fn: Callable[[Any], Any] | str = "tanh"

    def __post_init__(self) -> None:
        """Convert."""
        self.integration_type = IntegrationType(self.integration_type)


@dataclass
class VirtualAdvConfig:
    """Virtual adversarial regularization.

    Attributes:
        adv_neighbor_config: how to make the perturbation.
        distance_config: distance between the outputs with and without it.
        num_approx_steps: power iterations, at least 0.
        approx_difference: finite difference, `xi` in equation 12 of arXiv 1704.03976.
    """

    adv_neighbor_config: AdvNeighborConfig = field(default_factory=AdvNeighborConfig)
    distance_config: DistanceConfig = field(default_factory=DistanceConfig)
    num_approx_steps: int = 1
    approx_difference: float = 1e-6

    def __post_init__(self) -> None:
        """Check."""
        _check_count("num_approx_steps", self.num_approx_steps, 0)
        _check_number(
            "approx_difference", self.approx_difference, "a positive number", 0, strict=True
        )


@dataclass
class GraphBuilderConfig:
    """How `nsl.tools.build_graph_from_config` builds a graph.

    Attributes:
        id_feature_name: feature that holds the id.
        embedding_feature_name: feature that holds the embedding.
        similarity_threshold: smallest cosine of an edge.
        lsh_splits: random hyperplanes per round; 0 compares all pairs.
        lsh_rounds: rounds of bucketing.
        random_seed: seed of the hyperplanes; None draws one.
    """

    id_feature_name: str = "id"
    embedding_feature_name: str = "embedding"
    similarity_threshold: float = 0.8
    lsh_splits: int = 0
    lsh_rounds: int = 1
    random_seed: int | None = None


@dataclass
class GraphNeighborConfig:
    """Where the neighbours are among the features.

    Attributes:
        prefix: starts the name of every feature of a neighbour.
        weight_suffix: ends the name of a neighbour's weight.
        max_neighbors: neighbours used, at least 0; 0 turns the regularization off.
    """

    prefix: str = NEIGHBOR_PREFIX
    weight_suffix: str = WEIGHT_SUFFIX
    max_neighbors: int = 0

    def __post_init__(self) -> None:
        """Check."""
        _check_count("max_neighbors", self.max_neighbors, 0)


@dataclass
class GraphRegConfig:
    """Graph regularization.

    Attributes:
        neighbor_config: where the neighbours are among the features.
        multiplier: weight of the graph loss, at least 0.
        distance_config: distance between a sample's and its neighbours' outputs.
    """

    neighbor_config: GraphNeighborConfig = field(default_factory=GraphNeighborConfig)
    multiplier: float = 0.01
    distance_config: DistanceConfig = field(default_factory=DistanceConfig)

    def __post_init__(self) -> None:
        """Check."""
        _check_multiplier(self.multiplier)


def make_graph_reg_config(
    neighbor_prefix: str = NEIGHBOR_PREFIX,
    neighbor_weight_suffix: str = WEIGHT_SUFFIX,
    max_neighbors: int = 0,
    multiplier: float = 0.01,
    distance_type: DistanceType | str = DistanceType.L2,
    reduction: ReductionType | str = ReductionType.SUM_BY_NONZERO_WEIGHTS,
    sum_over_axis: int | None = None,
    transform_fn: TransformType | str = TransformType.NONE,
) -> GraphRegConfig:
    """Return a `GraphRegConfig`; the arguments are its fields and those of its parts."""
    return GraphRegConfig(
        GraphNeighborConfig(neighbor_prefix, neighbor_weight_suffix, max_neighbors),
        multiplier,
        DistanceConfig(distance_type, reduction, sum_over_axis, transform_fn),
    )


DEFAULT_DISTANCE_PARAMS = asdict(DistanceConfig())
DEFAULT_ADVERSARIAL_PARAMS = asdict(AdvNeighborConfig())
