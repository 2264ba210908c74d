"""`build_graph.dry_run.timed`: the same edges, and how long they took; or none."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from nsl_tools.build_graph.dry_run.timed import NoWeigher, TimedWeigher
from nsl_tools.build_graph.embeddings import Embeddings
from nsl_tools.build_graph.weigher import EdgeWeigher, IdRanks

pytestmark = pytest.mark.own_memory("an estimate is of the usual sizes")


def test_weighing_is_timed_and_left_out() -> None:
    vectors = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    ids = pa.array([b"%d" % i for i in range(30)], pa.binary())
    nodes = Embeddings(ids, vectors, np.linalg.norm(vectors.astype(np.float64), axis=1))
    pairs = np.repeat(np.arange(30), 30), np.tile(np.arange(30), 30)
    given = nodes, 3, -1.0, IdRanks(ids)
    timed = TimedWeigher(*given)
    expected, found = EdgeWeigher(*given).best(*pairs), timed.best(*pairs)
    np.testing.assert_array_equal(found.targets, expected.targets)
    ((count, seconds),) = timed.laps
    assert count == 900
    assert seconds > 0
    assert len(NoWeigher(*given).best(*pairs)) == 0
