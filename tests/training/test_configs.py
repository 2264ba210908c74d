"""NSL's configurations: names, defaults, conversions, and errors where a value is given."""

import subprocess
import sys
from dataclasses import asdict
from typing import Any

import pytest

import nsl_tools as nsl
from nsl_tools import configs
from nsl_tools.configs import (
    AdvNeighborConfig,
    AdvRegConfig,
    AdvTargetConfig,
    AdvTargetType,
    DecayConfig,
    DecayType,
    DistanceConfig,
    DistanceType,
    GraphBuilderConfig,
    GraphNeighborConfig,
    GraphRegConfig,
    IntegrationConfig,
    IntegrationType,
    NormType,
    ReductionType,
    TransformType,
    VirtualAdvConfig,
)

# The public names of NSL 1.4's `configs/__init__.py`.
NAMES = """
AdvNeighborConfig AdvRegConfig AdvTargetConfig AdvTargetType DecayConfig DecayType DistanceConfig
DistanceType GraphBuilderConfig GraphNeighborConfig GraphRegConfig IntegrationConfig
IntegrationType NormType TransformType VirtualAdvConfig make_adv_reg_config make_graph_reg_config
DEFAULT_ADVERSARIAL_PARAMS DEFAULT_DISTANCE_PARAMS
"""


@pytest.mark.parametrize("name", NAMES.split())
def test_every_name_of_nsls_is_there(name: str) -> None:
    assert hasattr(nsl.configs, name)


# Defaults from NSL 1.4's `configs/configs.py`.
DEFAULTS = [
    (
        AdvNeighborConfig(),
        {
            "feature_mask": None,
            "adv_step_size": 0.001,
            "adv_grad_norm": NormType.L2,
            "clip_value_min": None,
            "clip_value_max": None,
            "pgd_iterations": 1,
            "pgd_epsilon": None,
            "random_init": False,
        },
    ),
    (
        DistanceConfig(),
        {
            "distance_type": DistanceType.L2,
            "reduction": ReductionType.SUM_BY_NONZERO_WEIGHTS,
            "sum_over_axis": None,
            "transform_fn": TransformType.NONE,
        },
    ),
    (
        GraphNeighborConfig(),
        {"prefix": "NL_nbr_", "weight_suffix": "_weight", "max_neighbors": 0},
    ),
    (AdvTargetConfig(), {"target_method": AdvTargetType.GROUND_TRUTH, "random_seed": 0.0}),
    (
        DecayConfig(10),
        {
            "decay_steps": 10,
            "decay_rate": 0.96,
            "min_value": 0.0,
            "decay_type": DecayType.EXPONENTIAL_DECAY,
        },
    ),
    (
        IntegrationConfig("additive", 3),
        {"integration_type": IntegrationType.ADD, "hidden_dims": 3, "activation_fn": "tanh"},
    ),
    (
        GraphBuilderConfig(),
        {
            "id_feature_name": "id",
            "embedding_feature_name": "embedding",
            "similarity_threshold": 0.8,
            "lsh_splits": 0,
            "lsh_rounds": 1,
            "random_seed": None,
        },
    ),
]


@pytest.mark.parametrize(
    ("config", "expected"), DEFAULTS, ids=[type(config).__name__ for config, _ in DEFAULTS]
)
def test_defaults(config: Any, expected: Any) -> None:
    assert asdict(config) == expected


def test_defaults_of_the_parts() -> None:
    assert GraphRegConfig() == GraphRegConfig(GraphNeighborConfig(), 0.01, DistanceConfig())
    assert AdvRegConfig() == AdvRegConfig(0.2, AdvNeighborConfig())
    virtual = VirtualAdvConfig(AdvNeighborConfig(), DistanceConfig(), 1, 1e-6)
    assert VirtualAdvConfig() == virtual
    assert asdict(AdvNeighborConfig()) == configs.DEFAULT_ADVERSARIAL_PARAMS
    assert asdict(DistanceConfig()) == configs.DEFAULT_DISTANCE_PARAMS
    assert configs.make_graph_reg_config() == GraphRegConfig()
    assert configs.make_adv_reg_config() == AdvRegConfig()


def test_no_two_configurations_share_their_parts() -> None:
    first, second = GraphRegConfig(), GraphRegConfig()
    first.neighbor_config.max_neighbors = 3
    assert second.neighbor_config.max_neighbors == 0


def test_make_graph_reg_config_hands_each_argument_to_its_part() -> None:
    found = configs.make_graph_reg_config("p", "s", 2, 0.5, "l1", "weighted_sum", -1, "softmax")
    assert found == GraphRegConfig(
        GraphNeighborConfig("p", "s", 2),
        0.5,
        DistanceConfig(DistanceType.L1, ReductionType.SUM, -1, TransformType.SOFTMAX),
    )


def test_make_adv_reg_config_hands_each_argument_to_its_part() -> None:
    found = configs.make_adv_reg_config(0.5, 0.1, 0.2, "infinity", -1.0, 1.0, 3, 0.4, True)
    assert found == AdvRegConfig(
        0.5, AdvNeighborConfig(0.1, 0.2, NormType.INFINITY, -1.0, 1.0, 3, 0.4, True)
    )


@pytest.mark.parametrize(
    ("make", "given", "field"),
    [
        (AdvNeighborConfig, {"adv_grad_norm": "l1"}, "adv_grad_norm"),
        (DistanceConfig, {"distance_type": "cosine"}, "distance_type"),
        (DistanceConfig, {"reduction": "weighted_mean"}, "reduction"),
        (DistanceConfig, {"transform_fn": "softmax"}, "transform_fn"),
        (AdvTargetConfig, {"target_method": "least"}, "target_method"),
        (DecayConfig, {"decay_steps": 1, "decay_type": "inverse_time_decay"}, "decay_type"),
        (IntegrationConfig, {"integration_type": "additive", "hidden_dims": 1}, "integration_type"),
    ],
)
def test_a_string_becomes_the_choice_it_names(make: Any, given: Any, field: str) -> None:
    found = getattr(make(**given), field)
    assert found.value == given[field]
    assert getattr(make(**{**given, field: found}), field) is found
    with pytest.raises(
        ValueError, match=rf"Invalid value .* one of .*'{found.value}'.* 'nonsense'"
    ):
        make(**{**given, field: "nonsense"})


@pytest.mark.parametrize(
    "choice",
    [NormType, AdvTargetType, TransformType, DistanceType, DecayType, IntegrationType],
)
def test_all_lists_the_choices(choice: Any) -> None:
    assert choice.all() == list(choice)


def test_reductions_have_the_values_of_tensorflow(tf: Any) -> None:
    """So that NSL's own spelling, `tf.compat.v1.losses.Reduction.SUM`, is accepted."""
    for name in ("NONE", "SUM", "MEAN", "SUM_OVER_BATCH_SIZE", "SUM_BY_NONZERO_WEIGHTS"):
        value = getattr(tf.compat.v1.losses.Reduction, name)
        assert DistanceConfig(reduction=value).reduction is ReductionType[name]


@pytest.mark.parametrize(
    ("make", "field", "value"),
    [
        *[(AdvNeighborConfig, "adv_step_size", value) for value in (0, -1.0, float("nan"))],
        *[(AdvNeighborConfig, "pgd_iterations", value) for value in (0, 1.5, True, "1")],
        (AdvNeighborConfig, "pgd_epsilon", 0.0),
        *[(AdvRegConfig, "multiplier", value) for value in (-0.1, float("inf"), "0.1")],
        (GraphRegConfig, "multiplier", -1),
        *[(GraphNeighborConfig, "max_neighbors", value) for value in (-1, 2.0, False)],
        (DistanceConfig, "sum_over_axis", 1.0),
        (VirtualAdvConfig, "num_approx_steps", -1),
        (VirtualAdvConfig, "approx_difference", 0.0),
        (DecayConfig, "decay_steps", 0),
    ],
)
def test_a_wrong_value_is_refused_where_it_is_given(make: Any, field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"Invalid value for argument `{field}`. Expected .*") as e:
        make(**{field: value})
    assert f"Received: {value!r}" in str(e.value)


def test_configs_load_without_keras() -> None:
    """Data tools and scripts that only configure do not pay for TensorFlow."""
    code = "import sys, nsl_tools as nsl; nsl.configs; sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
