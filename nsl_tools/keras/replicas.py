"""What `tf.distribute` asks of a loss: gradients are summed over the replicas."""

from typing import Any

import keras
from keras import ops

Tensor = Any


def shared_between_replicas(loss: Tensor) -> Tensor:
    """Divide `loss` by the number of replicas, as every Keras `Loss` does itself."""
    if keras.backend.backend() != "tensorflow":
        return loss
    import tensorflow as tf

    return loss / ops.cast(tf.distribute.get_strategy().num_replicas_in_sync, loss.dtype)
