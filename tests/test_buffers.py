"""Buffers: whose memory an array is."""

import threading

import numpy as np

from nsl_tools.buffers import Buffers


def test_the_same_name_means_the_same_memory_of_the_size_asked_for() -> None:
    buffers = Buffers()
    large, other = buffers.floats("a", 6, 5), buffers.floats("b", 6, 5)
    small = buffers.floats("a", 2, 3)
    assert (large.shape, small.shape, small.dtype) == ((6, 5), (2, 3), np.float32)
    assert np.shares_memory(large, small)
    assert not np.shares_memory(large, other)
    assert buffers.floats("a", 100).shape == (100,)
    assert buffers.flags("a", 7).dtype == np.bool_


def test_each_thread_has_memory_of_its_own() -> None:
    buffers, found = Buffers(), []
    thread = threading.Thread(target=lambda: found.append(buffers.floats("a", 4)))
    thread.start()
    thread.join()
    assert not np.shares_memory(found[0], buffers.floats("a", 4))
