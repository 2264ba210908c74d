"""`tf.train.Example` without TensorFlow: one by one, and many in lockstep."""
