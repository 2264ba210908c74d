"""`spread_labels.records`: many records at once are what encoding each gives."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from oracles import right_records

from nsl_tools.formats.protobuf import example
from nsl_tools.spread_labels.records import SpreadNodes, records_of

_NODES = st.tuples(st.binary(min_size=1, max_size=140), st.integers(0, 70_000))


@given(
    nodes=st.lists(_NODES, max_size=12),
    classes=st.integers(1, 40),
    names=st.sampled_from([("id", "label"), ("a name that is longer" * 8, "y")]),
)
def test_records_are_encoded_features(
    nodes: list[tuple[bytes, int]], classes: int, names: tuple[str, str]
) -> None:
    random = np.random.default_rng(len(nodes))
    probabilities, sure = random.random((len(nodes), classes)), random.random(len(nodes))
    ids = pa.array([node for node, _ in nodes], pa.binary())
    labels = np.array([label for _, label in nodes], np.int64)
    framed = records_of(SpreadNodes(ids, labels, probabilities, sure), *names)
    expected = [
        example.encode(
            {
                names[0].encode(): example.encode_bytes([node]),
                names[1].encode(): example.encode_int64([label]),
                b"probabilities": example.encode_floats(row),
                b"confidence": example.encode_floats([certain]),
            }
        )
        for (node, label), row, certain in zip(nodes, probabilities, sure, strict=True)
    ]
    assert right_records(framed.data.tobytes()) == expected
    assert framed.ends[-1] == len(framed.data)
