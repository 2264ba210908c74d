"""Both readings of the join: neighbours to blocks, seeds to packed records, batch by batch."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import right_records
from support import Value, feature, serialize

from nsl_tools.errors import DataError
from nsl_tools.files.streams import Source
from nsl_tools.formats.example_batch import ExampleBatch
from nsl_tools.formats.protobuf import example
from nsl_tools.formats.protobuf.example_columns import ExampleParser
from nsl_tools.formats.tfrecord.frames import FOOTER_BYTES, HEADER_BYTES, frame, seal
from nsl_tools.formats.tfrecord.reader import RecordBatch
from nsl_tools.memory_budget import MemoryBudget
from nsl_tools.options import PackOptions
from nsl_tools.pack_nbrs import join
from nsl_tools.pack_nbrs.join import needed_blocks, numbered, packed_batches, ranges_of
from nsl_tools.pack_nbrs.marks.seed_marks import Marks
from nsl_tools.pack_nbrs.neighbor_store import BlockStore
from nsl_tools.pack_nbrs.plan import JoinPlan
from nsl_tools.pack_nbrs.top_edges import EDGE
from nsl_tools.statistics import Statistics
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Iterator

Example = dict[str, Value]
Edge = tuple[float, int, int]

_VALUES = st.lists(st.binary(max_size=200), max_size=2) | st.lists(st.integers(0, 300), max_size=3)
_EXAMPLES = st.dictionaries(st.sampled_from(["id", "x", "größe"]), _VALUES, max_size=3)
_UNKNOWN = b"\x18\x03"  # a field that an Example does not have


@dataclass
class Part:
    """An input of batches of records, which notes how it is read."""

    batches: list[list[bytes]]
    sources: list[Source] = field(default_factory=list)
    asked: list[bool] = field(default_factory=list)

    def examples(self, *, again: bool = False) -> Iterator[ExampleBatch]:
        """Yield the batches."""
        self.asked.append(again)
        parser, first = ExampleParser(), 0
        for payloads in self.batches:
            data, sizes = frame(*payloads), np.array(list(map(len, payloads)), np.int64)
            ends = np.cumsum(sizes + HEADER_BYTES + FOOTER_BYTES) - FOOTER_BYTES
            numbers = range(first, first := first + len(payloads))
            records = RecordBatch("file", numbers, 0, data, ends - sizes, ends)
            yield ExampleBatch(records, parser.parse(data, records.starts, ends))


@dataclass
class Nodes:
    """What the join asks of nodes."""

    is_seed: np.ndarray
    labeled: int
    seed_unlabeled: bool = False

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(self.is_seed)

    def mean_sizes(self, rows: np.ndarray) -> np.ndarray:
        """Return how long records are."""
        return np.full(len(rows), 100.0)

    def id_of(self, row: int) -> bytes:
        """Return the id of a row."""
        return b"node %d" % row


def packed_in_batches(
    parts: list[Part],
    nodes: Nodes,
    edges: list[Edge],
    blocks: float = 1e6,
    rename: str | None = None,
    statistics: Statistics | None = None,
) -> list[list[bytes]]:
    """Return the packed records of seeds whose edges are sorted by seed and rank, in batches."""
    shares = mock.patch.object(MemoryBudget, "share", return_value=blocks)
    with contextlib.ExitStack() as stack:
        with shares:
            plan = JoinPlan([np.array(edges, EDGE)], nodes, MemoryBudget(10**9), stack)
        store = BlockStore(len(plan.ends), blocks, plan.bytes, stack)
        inputs = [(part, again) for part, again in zip(parts, (True, False), strict=False)]
        options = PackOptions(rename_weight=rename)
        for found in needed_blocks(inputs, plan, options, statistics or Statistics()):
            store.add(*found)
        limit = next((each.memory_limit for part in parts for each in part.sources), None)
        ranges = ranges_of(plan, store.pools())
        batches = packed_batches(numbered(parts), nodes, ranges, Marks(nodes), limit)
        return [right_records(seal(batch).data.tobytes()) or [] for batch in batches]


def packed(*args: Any, **options: Any) -> list[bytes]:
    """Return the packed records."""
    return [record for batch in packed_in_batches(*args, **options) for record in batch]


def expected(examples: list[Example], nodes: Nodes, edges: list[Edge]) -> list[bytes]:
    """Encode the packed examples feature by feature."""
    found = []
    for row in np.flatnonzero(nodes.is_seed).tolist():
        merged = dict(examples[row])
        if nodes.seed_unlabeled:
            merged["NL_label_weight"] = [float(row < nodes.labeled)]
        own = [edge for edge in edges if edge[1] == row]
        merged["NL_num_nbrs"] = [len(own)]
        for rank, (weight, _, target) in enumerate(own):
            merged[f"NL_nbr_{rank}_weight"] = [weight]
            merged |= {f"NL_nbr_{rank}_{name}": v for name, v in examples[target].items()}
        found.append(serialize(merged))
    return found


@settings(max_examples=60)
@given(
    examples=st.lists(_EXAMPLES, min_size=1, max_size=9),
    seed_unlabeled=st.booleans(),
    blocks=st.sampled_from([1, 1000, 1e6]),
    together=st.sampled_from([1, 1 << 21]),
    data=st.data(),
)
def test_seeds_are_packed_with_their_neighbours(
    examples: list[Example], seed_unlabeled: bool, blocks: float, together: int, data: st.DataObject
) -> None:
    """In one range or many, in batches of any size; rows that are no seeds are not."""
    count = len(examples)
    cuts = sorted(data.draw(st.lists(st.integers(0, count), min_size=3, max_size=3)))
    payloads = list(map(serialize, examples))
    a, b, c = cuts
    parts = [Part([payloads[:a], payloads[a:b]]), Part([payloads[b:c], payloads[c:]])]
    seeds = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    seeds = [seed and (seed_unlabeled or row < b) for row, seed in enumerate(seeds)]
    nodes = Nodes(np.array(seeds, np.bool_), b, seed_unlabeled)
    targets = st.lists(st.integers(0, count - 1), max_size=4, unique=True)
    edges = [(0.5, row, t) for row in np.flatnonzero(seeds).tolist() for t in data.draw(targets)]
    with mock.patch.object(TUNING, "packed_bytes", together):
        found = packed(parts, nodes, edges, blocks)
    assert found == expected(examples, nodes, edges)
    assert [part.asked for part in parts] == [[True, False], [False, False]]


def nodes_of(count: int) -> Nodes:
    """Return nodes of which the first is the only seed."""
    return Nodes(np.arange(count) == 0, 1)


@pytest.mark.parametrize(("together", "batches"), [(1, [1, 1, 1]), (1 << 21, [3])])
def test_records_are_made_some_at_a_time(together: int, batches: list[int]) -> None:
    parts = [Part([[serialize({"x": [row]}) for row in range(3)]])]
    with mock.patch.object(TUNING, "packed_bytes", together):
        found = packed_in_batches(parts, Nodes(np.ones(3, np.bool_), 3), [])
    assert list(map(len, found)) == batches


def test_what_else_a_neighbour_holds_is_not_packed_but_counted() -> None:
    """Once for each neighbour; of a seed it is kept, at the end."""
    payloads = [serialize({"x": [i]}) + _UNKNOWN * (i != 1) for i in range(4)]
    statistics = Statistics()
    edges = [(1.0, 0, target) for target in (1, 2)]
    (found,) = packed([Part([payloads])], nodes_of(4), edges, statistics=statistics)
    examples: list[Example] = [{"x": [i]} for i in range(4)]
    assert found == expected(examples, nodes_of(4), edges)[0] + _UNKNOWN
    reason = "neighbours with fields that tf.train.Example does not have, which are not packed"
    assert statistics.warnings == {reason: 1}


def test_a_weight_of_a_neighbour_is_refused_or_renamed() -> None:
    """By file and record; of a seed, or of nobody's neighbour, it is any feature."""
    examples: list[Example] = [{"weight": [1.0]}, {"weight": [2.0], "y": [1]}, {"weight": [3.0]}]
    parts = [Part([list(map(serialize, examples))])]
    with pytest.raises(DataError, match=r"^file: record 1 at byte \d+: a neighbour has .*'weight'"):
        packed(parts, nodes_of(3), [(0.5, 0, 1)])
    assert packed(parts, nodes_of(3), []) == expected(examples, nodes_of(3), [])
    (found,) = packed(parts, nodes_of(3), [(0.5, 0, 1)], rename="w")
    features = example.parse(found)
    assert features[b"NL_nbr_0_w"] == feature([2.0])
    assert features[b"NL_nbr_0_weight"] == feature([0.5])
    assert features[b"weight"] == feature([1.0])


@pytest.mark.parametrize("name", ["NL_num_nbrs", "NL_label_weight", "NL_nbr_0_x"])
def test_a_seed_that_is_packed_already_is_refused(name: str) -> None:
    """By file and record; a neighbour may be."""
    examples: list[Example] = [{"x": [1]}, {name: [1]}, {"y": [1]}]
    parts, edges = [Part([[p] for p in map(serialize, examples)])], [(1.0, 0, 1)]
    assert packed(parts, nodes_of(3), edges) == expected(examples, nodes_of(3), edges)
    with pytest.raises(DataError, match=f"^file: record 1 at byte 0: a seed already has .*{name}"):
        packed(parts, Nodes(np.array([True, True, False]), 3), [])


@pytest.mark.parametrize("by_memory", [True, False])
def test_a_record_that_is_too_long_is_refused(
    monkeypatch: pytest.MonkeyPatch, by_memory: bool
) -> None:
    """For every reader, or for the memory limit; by file, record and id of the seed."""
    parts = [Part([[serialize({"x": [b"x" * 100]}) for _ in range(9)]])]
    nodes = Nodes(np.arange(9) == 2, 9)
    assert len(packed(parts, nodes, [(1.0, 2, t) for t in range(2)])) == 1
    if by_memory:
        monkeypatch.setattr("nsl_tools.memory._BESIDES", 0)
        parts[0].sources.append(Source("file", memory_limit=12_000))
    else:
        monkeypatch.setattr(join, "MAX_LENGTH", 1000)
    problem = (
        "^file: record 2 at byte .*: 'node 2' with its 8 neighbours makes a record of 1.* kB, "
    )
    more = "which takes .* or lower" if by_memory else "and readers take 1 kB at most: lower"
    with pytest.raises(DataError, match=f"{problem}{more} --max-nbrs$"):
        packed(parts, nodes, [(1.0, 2, t) for t in range(8)])
    assert len(packed(parts, nodes, [(1.0, 2, t) for t in range(4)])) == 1
