"""Buffers: whose memory an array is."""

import threading

import numpy as np

from nsl_tools.arrays.buffers import Buffers


def test_the_same_name_means_the_same_memory_of_the_size_asked_for() -> None:
    buffers = Buffers()
    large, other = buffers.array("a", np.float32, 6, 5), buffers.array("b", np.float32, 6, 5)
    small = buffers.array("a", np.float32, 2, 3)
    assert (large.shape, small.shape, small.dtype) == ((6, 5), (2, 3), np.float32)
    assert np.shares_memory(large, small)
    assert not np.shares_memory(large, other)
    assert buffers.array("a", np.float32, 100).shape == (100,)
    assert buffers.array("c", np.bool_, 7).dtype == np.bool_


def test_each_thread_has_memory_of_its_own() -> None:
    buffers, found = Buffers(), []
    thread = threading.Thread(target=lambda: found.append(buffers.array("a", np.float32, 4)))
    thread.start()
    thread.join()
    assert not np.shares_memory(found[0], buffers.array("a", np.float32, 4))
