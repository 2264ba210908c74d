"""Packed records by splicing bytes: to the byte what encoding their features one by one gives."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import right_records
from support import Value, feature, serialize

from nsl_tools.formats.protobuf import example
from nsl_tools.formats.protobuf.example_columns import ExampleParser
from nsl_tools.formats.protobuf.wire import write_field
from nsl_tools.formats.tfrecord.frames import seal
from nsl_tools.formats.tfrecord.reader import RecordBatch
from nsl_tools.pack_nbrs.neighbor_blocks import GAP_BYTES, make_blocks
from nsl_tools.pack_nbrs.neighbor_store import Pool, need_keys
from nsl_tools.pack_nbrs.splice import (
    Neighbors,
    Seeds,
    added_names,
    rank_digits,
    refused_seed,
    splice,
)

_VALUES = st.one_of(
    st.lists(st.binary(max_size=3) | st.integers(100, 140).map(bytes), max_size=2),
    st.lists(st.floats(width=32, allow_nan=False), max_size=3),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3),
)
_FEATURES = st.dictionaries(st.sampled_from(["x", "größe", "n" * 120]), _VALUES, max_size=3)
_NODES = [{"id": [b"%d" % i], "x": [i / 2] * (i % 3)} for i in range(5)]
_RECORDS = RecordBatch("file", range(0), 0, b"", np.empty(0, np.int64), np.empty(0, np.int64))


def pool_of_nodes() -> Pool:
    """Return the blocks of all nodes for ranks of up to three digits."""
    payloads = list(map(serialize, _NODES))
    ends = np.cumsum([0, *map(len, payloads)])
    parsed = ExampleParser().parse(b"".join(payloads), ends[:-1], ends[1:])
    rows, digits = np.repeat(np.arange(len(_NODES)), 3), np.tile([1, 2, 3], len(_NODES))
    blocks = make_blocks(parsed, rows, digits)
    starts = np.cumsum(blocks.lengths + GAP_BYTES * blocks.gaps)
    starts = np.concatenate([[0], starts[:-1]])
    return Pool(need_keys(rows, digits), starts, blocks.lengths, blocks.gaps, blocks.data)


_POOL = pool_of_nodes()


@dataclass(frozen=True)
class Seed:
    """One seed: its encoded features, its mark, what follows them, weights of its neighbours."""

    entries: bytes
    label: bool
    tail: bytes
    weights: list[float]

    def packed(self, labeled: bool, tailed: bool) -> bytes:
        """Encode the packed example feature by feature, as NSL names them."""
        added: dict[str, Value] = {"NL_label_weight": [float(self.label)]} if labeled else {}
        added["NL_num_nbrs"] = [len(self.weights)]
        for rank, weight in enumerate(self.weights):
            added[f"NL_nbr_{rank}_weight"] = [weight]
            added |= {f"NL_nbr_{rank}_{name}": v for name, v in _NODES[rank % 5].items()}
        payload = write_field(example.ITEM, self.entries + entries_of(added))
        return payload + self.tail * tailed


def entries_of(features: dict[str, Value]) -> bytes:
    """Encode a feature map."""
    return example.encode_entries({name.encode(): feature(v) for name, v in features.items()})


@st.composite
def seeds(draw: st.DrawFn) -> Seed:
    """Draw a seed with no neighbours, or so many that ranks have three digits."""
    degree = draw(st.sampled_from([0, 1, 2, 11, 101]))
    weights = draw(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=2))
    tail = draw(st.sampled_from([b"", b"\x18\x03"]))
    entries = entries_of(draw(_FEATURES))
    return Seed(entries, draw(st.booleans()), tail, (weights * degree)[:degree])


def _mark(label: bool) -> bytes:
    return example.encode_entry(b"NL_label_weight", example.encode_floats([float(label)]))


def records_of(own: list[Seed], part: slice, labeled: bool, tailed: bool) -> bytes:
    """Splice some of the seeds, which lie apart, each with its tail behind it."""
    parts = [b"?", *(seed.entries + seed.tail + b"?" for seed in own)]
    starts = np.array([*accumulate(map(len, parts))][:-1], np.int64)
    lengths, tails = (
        np.array([len(getattr(seed, name)) for seed in own], np.int64)
        for name in ("entries", "tail")
    )
    entries = [_mark(seed.label) if labeled else b"" for seed in own]
    marks = np.frombuffer(b"".join(entries), np.uint8).reshape(len(own), -1 if own else 0)
    data, indices = np.frombuffer(b"".join(parts), np.uint8), np.arange(len(own))
    every = Seeds(data, starts, lengths, marks, tails if tailed else None, _RECORDS, indices)
    assert every[part].indices.tolist() == list(range(len(own)))[part]
    weights = [(rank, weight) for seed in own[part] for rank, weight in enumerate(seed.weights)]
    ranks = np.array([rank for rank, _ in weights], np.int64)
    bounds = np.array([0, *accumulate(len(seed.weights) for seed in own[part])])
    digits = np.array([len(str(rank)) for rank in ranks.tolist()], np.int64)
    blocks = _POOL.places_of(need_keys(ranks % 5, digits))
    neighbors = Neighbors(bounds, blocks, np.array([w for _, w in weights], np.float32))
    framed = seal(splice(every[part], neighbors, _POOL))
    assert framed.ends[-1] == len(framed.data)
    assert len(framed) == len(own[part])
    return framed.data.tobytes()


@given(own=st.lists(seeds(), max_size=6), labeled=st.booleans(), tailed=st.booleans())
def test_packed_records_are_encoded_entries(own: list[Seed], labeled: bool, tailed: bool) -> None:
    """Of seeds that are marked or not; unknown fields of a seed come last.

    A slice of the seeds gives a slice of the records.
    """
    expected = [seed.packed(labeled, tailed) for seed in own]
    for part in (slice(None), slice(len(own) // 3, 4)):
        assert right_records(records_of(own, part, labeled, tailed)) == expected[part]


@pytest.mark.parametrize("ranks", [[0, 9], [10, 37, 99], [100, 407], [123_456_789]])
def test_digits_of_ranks(ranks: list[int]) -> None:
    texts = [bytes(row).decode() for row in rank_digits(np.array(ranks)).tolist()]
    assert texts == list(map(str, ranks))


def test_names_that_packing_adds() -> None:
    names = [b"id", b"NL_num_nbrs", b"NL_nbr_0_x", b"NL_nbr", b"xNL_nbr_", b"NL_label_weight"]
    assert added_names(names) == [1, 2, 5]
    err = refused_seed(3, b"NL_num_nbrs")
    assert err.index == 3
    assert str(err).startswith("a seed already has feature 'NL_num_nbrs': is this a packed file?")
