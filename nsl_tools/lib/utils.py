"""NSL's remaining helpers, which the wrappers themselves do not need.

Sources of the definitions: NSL 1.4, `lib/utils.py` and `lib/abstract_gen_neighbor.py`.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from nsl_tools.configs import AdvTargetConfig, AdvTargetType

Tensor = Any


class GenNeighbor:
    """NSL's abstract base class of generators of neighbours; a subclass defines both methods."""

    def __init__(self) -> None:
        raise NotImplementedError

    def gen_neighbor(self) -> Any:
        """Return neighbours."""
        raise NotImplementedError


def replicate_embeddings(embeddings: Tensor, replicate_times: Any) -> Tensor:
    """Repeat each row of `embeddings`.

    ```python
    nsl.lib.replicate_embeddings([[1.0], [2.0]], 2)       # [[1], [1], [2], [2]]
    nsl.lib.replicate_embeddings([[1.0], [2.0]], [0, 3])  # [[2], [2], [2]]
    ```

    Args:
        embeddings: tensor `[batch, d1, ..., dn]`.
        replicate_times: how often: an integer for all rows, or integers `[batch]`.

    Returns:
        A tensor `[sum of replicate_times, d1, ..., dn]`.

    Raises:
        ValueError: if `replicate_times` is negative, or not an integer.
    """
    times = np.asarray(replicate_times) if not ops.is_tensor(replicate_times) else None
    if times is not None and (times.dtype.kind not in "iu" or np.any(times < 0)):
        raise ValueError(
            "Invalid value for argument `replicate_times`. Expected integers of at least 0. "
            f"Received: {replicate_times!r}"
        )
    return ops.repeat(ops.convert_to_tensor(embeddings), replicate_times, axis=0)


def get_target_indices(
    logits: Tensor, labels: Tensor, adv_target_config: AdvTargetConfig
) -> Tensor:
    """Return the class that an attack aims at, for each example.

    Args:
        logits: `[batch, classes]`.
        labels: the true classes, integers `[batch]`.
        adv_target_config: whether the second likeliest class, the least likely, a random
            one or the true one; and the seed for a random one.

    Returns:
        Integers `[batch]`.
    """
    method = AdvTargetType(adv_target_config.target_method)
    return _TARGETS[method](logits, labels, adv_target_config)


def _second(logits: Tensor, _labels: Tensor, _config: AdvTargetConfig) -> Tensor:
    return ops.top_k(logits, k=2)[1][:, 1]


def _least(logits: Tensor, _labels: Tensor, _config: AdvTargetConfig) -> Tensor:
    return ops.argmin(logits, axis=-1)


def _random(logits: Tensor, _labels: Tensor, config: AdvTargetConfig) -> Tensor:
    shape = ops.shape(logits)
    return keras.random.randint(shape[:1], 0, shape[-1], seed=int(config.random_seed))


def _ground_truth(_logits: Tensor, labels: Tensor, _config: AdvTargetConfig) -> Tensor:
    return labels


_TARGETS: dict[AdvTargetType, Callable[[Tensor, Tensor, AdvTargetConfig], Tensor]] = {
    AdvTargetType.SECOND: _second,
    AdvTargetType.LEAST: _least,
    AdvTargetType.RANDOM: _random,
    AdvTargetType.GROUND_TRUTH: _ground_truth,
}
