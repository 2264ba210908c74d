"""NSL's names in `nsl.lib`, and the helpers that live there."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import nsl_tools as nsl
from nsl_tools.configs import AdvTargetConfig

ROWS = np.arange(6.0).reshape(3, 1, 2)
LOGITS = np.array([[0.1, 0.2, 0.7], [0.3, 0.5, 0.2]], "float32")


NAMES = """
adv_regularizer apply_feature_mask decay_over_time GenNeighbor gen_adv_neighbor get_target_indices
jensen_shannon_divergence kl_divergence make_missing_neighbor_inputs maximize_within_unit_norm
normalize pairwise_distance_wrapper project_to_ball random_in_norm_ball replicate_embeddings
strip_neighbor_features unpack_neighbor_features virtual_adv_regularizer
"""


def test_every_name_of_nsls_is_there() -> None:
    """The list in NSL 1.4's `lib/__init__.py`, and a function of its layers."""
    assert sorted(nsl.lib.__all__) == sorted(NAMES.split())
    assert all(callable(getattr(nsl.lib, name)) for name in nsl.lib.__all__)


@pytest.mark.parametrize(
    ("times", "rows"),
    [(2, [0, 0, 1, 1, 2, 2]), (0, []), ([2, 0, 1], [0, 0, 2]), (np.array([0, 0, 3]), [2, 2, 2])],
)
@pytest.mark.parametrize("as_tensor", [True, False])
def test_replicate_embeddings(times: Any, rows: list[int], as_tensor: bool) -> None:
    """NSL's `testReplicateEmbeddingsWith*`."""
    if as_tensor:
        times = tf.constant(times)
    found = nsl.lib.replicate_embeddings(ROWS, times)
    np.testing.assert_array_equal(found, ROWS[rows])


def test_replicate_embeddings_of_unknown_sizes() -> None:
    """NSL's `testReplicateEmbeddingsWithDynamicBatchSize`."""
    specs = [tf.TensorSpec((None, 1, 2), "float32"), tf.TensorSpec((None,), "int32")]
    replicate = tf.function(nsl.lib.replicate_embeddings, input_signature=specs)
    found = replicate(tf.constant(ROWS, "float32"), tf.constant([2, 1, 2]))
    np.testing.assert_array_equal(found, ROWS[[0, 0, 1, 2, 2]])


@pytest.mark.parametrize("times", [-1, [-1, 0, 1], 1.5])
def test_replicate_embeddings_refuses_what_is_no_count(times: Any) -> None:
    with pytest.raises(ValueError, match="Invalid value for argument `replicate_times`"):
        nsl.lib.replicate_embeddings(ROWS, times)


@pytest.mark.parametrize(
    ("method", "expected"), [("second", [1, 0]), ("least", [0, 2]), ("ground_truth", [2, 1])]
)
def test_target_indices(method: str, expected: list[int]) -> None:
    """NSL's `GetTargetIndicesTest`."""
    found = nsl.lib.get_target_indices(LOGITS, tf.constant([2, 1]), AdvTargetConfig(method))
    np.testing.assert_array_equal(found, expected)


def test_random_target_indices_are_classes_and_repeatable() -> None:
    logits = np.zeros((200, 3), "float32")
    first, again = (
        nsl.lib.get_target_indices(logits, None, AdvTargetConfig("random", 7)) for _ in range(2)
    )
    np.testing.assert_array_equal(first, again)
    assert sorted(set(np.asarray(first).tolist())) == [0, 1, 2]


def test_gen_neighbor_is_abstract() -> None:
    class Generator(nsl.lib.GenNeighbor):
        def __init__(self) -> None:
            pass

    with pytest.raises(NotImplementedError):
        nsl.lib.GenNeighbor()
    with pytest.raises(NotImplementedError):
        Generator().gen_neighbor()


@pytest.mark.parametrize("module", [nsl.keras, nsl.lib, nsl])
def test_only_public_names_are_shown(module: ModuleType) -> None:
    """What `dir` and a completing editor show is for users, and is there."""
    shown = dir(module)
    assert {"Any", "importlib", "keras.src"}.isdisjoint(shown)
    assert all(hasattr(module, name) for name in shown)
    assert shown == sorted(getattr(module, "__all__", shown))
