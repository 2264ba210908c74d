"""NSL's functions for training loops of one's own, under NSL 1.4's names."""

from nsl_tools.keras.adversarial_neighbor import gen_adv_neighbor
from nsl_tools.keras.distances import (
    jensen_shannon_divergence,
    kl_divergence,
    pairwise_distance_wrapper,
)
from nsl_tools.keras.layers import make_missing_neighbor_inputs
from nsl_tools.keras.neighbor_features import strip_neighbor_features, unpack_neighbor_features
from nsl_tools.keras.norms import (
    apply_feature_mask,
    maximize_within_unit_norm,
    normalize,
    project_to_ball,
    random_in_norm_ball,
)
from nsl_tools.keras.regularizers import adv_regularizer, virtual_adv_regularizer
from nsl_tools.keras.schedule import decay_over_time
from nsl_tools.lib.utils import GenNeighbor, get_target_indices, replicate_embeddings

__all__ = [
    "GenNeighbor",
    "adv_regularizer",
    "apply_feature_mask",
    "decay_over_time",
    "gen_adv_neighbor",
    "get_target_indices",
    "jensen_shannon_divergence",
    "kl_divergence",
    "make_missing_neighbor_inputs",
    "maximize_within_unit_norm",
    "normalize",
    "pairwise_distance_wrapper",
    "project_to_ball",
    "random_in_norm_ball",
    "replicate_embeddings",
    "strip_neighbor_features",
    "unpack_neighbor_features",
    "virtual_adv_regularizer",
]


def __dir__() -> list[str]:
    return __all__
