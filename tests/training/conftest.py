"""Two logical devices for the tests of `tf.distribute`, made before TensorFlow starts."""

import tensorflow as tf


def pytest_configure() -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
