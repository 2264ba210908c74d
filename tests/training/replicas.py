"""One `MirroredStrategy` for each number of devices in a process.

Each new strategy numbers its collective operations from the start, and TensorFlow remembers the
shapes that went by under a number: two strategies over the same devices fail by turns.
"""

from functools import cache

import tensorflow as tf


@cache
def mirrored(replicas: int) -> tf.distribute.MirroredStrategy:
    """Return the strategy over the first `replicas` logical devices, which conftest makes."""
    names = [device.name for device in tf.config.list_logical_devices("CPU")[:replicas]]
    assert len(names) == replicas
    return tf.distribute.MirroredStrategy(names)
