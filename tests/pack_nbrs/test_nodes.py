"""Rows of examples: against lists of their ids; and what is kept between readings."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import serialize, write_examples

from nsl_tools.arrays.fingerprints import fingerprints
from nsl_tools.errors import DataError
from nsl_tools.files.streams import source
from nsl_tools.formats.skipped_records import SkippedRecords
from nsl_tools.memory_budget import MemoryBudget
from nsl_tools.pack_nbrs.inputs import Input, RecordMemory
from nsl_tools.pack_nbrs.nodes import NodeRows
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from pathlib import Path

_MEMORY = MemoryBudget(10**8)
_POOL = ["b", "a", "é", "10", "9", "an id of more than sixteen bytes"]
_IDS = st.lists(st.sampled_from(_POOL), max_size=9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nodes")


def inputs_of(folder: Path, *inputs: list[str], on_duplicate: str = "error") -> list[Input]:
    """Write examples of these ids, each to one file, and return them as inputs."""
    statistics, found = Statistics(), []
    for number, ids in enumerate(inputs):
        path = write_examples(folder / str(number), [{"id": [node.encode()]} for node in ids])
        skipped = SkippedRecords(statistics, on_duplicate)
        found.append(Input([source(path)], skipped, RecordMemory(10**6)))
    return found


def once(ids: list[str], on_duplicate: str) -> list[str]:
    """Return each id once, in the place of the first or the last."""
    if on_duplicate == "first":
        return list(dict.fromkeys(ids))
    return list(dict.fromkeys(ids[::-1]))[::-1]


def rows_of(nodes: NodeRows, ids: list[str]) -> list[int]:
    """Return the row of each id; a table in parts gives them in another order."""
    numbered = fingerprints(pa.array([node.encode() for node in ids], pa.binary()))
    weights = np.arange(len(ids), dtype=np.float64)
    parts = list(nodes.index.resolved([(numbered, numbered, weights)]))
    sources, targets, places = (np.concatenate(column) for column in zip(*parts, strict=True))
    assert (sources == targets).all()
    return sources[np.argsort(places)].tolist()


@pytest.mark.parametrize("on_duplicate", ["first", "last"])
@settings(max_examples=40)
@given(labeled=_IDS, unlabeled=_IDS, seed_unlabeled=st.booleans())
def test_rows_are_the_examples_labeled_ones_first(
    folder: Path, on_duplicate: str, labeled: list[str], unlabeled: list[str], seed_unlabeled: bool
) -> None:
    """Each id once in its input; one of both inputs is found at its labeled row."""
    inputs = inputs_of(folder, labeled, unlabeled, on_duplicate=on_duplicate)
    own = once(labeled, on_duplicate)
    every = own + once(unlabeled, on_duplicate)
    with contextlib.ExitStack() as stack:
        nodes = NodeRows(inputs, "id", seed_unlabeled, _MEMORY, stack)
        assert (nodes.labeled, nodes.count) == (len(own), len(every))
        twice = [row for row in range(len(own), len(every)) if every[row] in own]
        assert nodes.twice.tolist() == twice
        others = [seed_unlabeled and row not in twice for row in range(len(own), len(every))]
        assert nodes.is_seed.tolist() == [True] * len(own) + others
        assert [nodes.id_of(row).decode() for row in range(len(every))] == every
        expected = [every.index(node) if node in every else -1 for node in [*_POOL, "?"]]
        assert rows_of(nodes, [*_POOL, "?"]) == expected
        ranks = nodes.order(np.arange(len(own)))
        assert [own[row] for row in np.argsort(ranks)] == sorted(own)
        read = [len(batch) for part in inputs for batch in part.examples()]
        assert sum(read) == len(every)


def test_a_repeated_id_is_an_error_that_says_where(tmp_path: Path) -> None:
    """In an input; in two of them it is none."""
    with contextlib.ExitStack() as stack:
        NodeRows(inputs_of(tmp_path, ["a", "b"], ["c", "b"]), "id", False, _MEMORY, stack)
        repeated = inputs_of(tmp_path, ["a", "b"], ["c", "b", "c", "b"])
        problem = r"/1: record 2: the id 'c' has occurred before \(and 1 more\): expected each id o"
        with pytest.raises(DataError, match=problem):
            NodeRows(repeated, "id", False, _MEMORY, stack)


def test_seeds_are_left_out_by_their_place_among_seeds(tmp_path: Path) -> None:
    """Not by their row: some rows are no seeds."""
    with contextlib.ExitStack() as stack:
        inputs = inputs_of(tmp_path, ["a", "b"], ["b", "c", "d"])
        nodes = NodeRows(inputs, "id", True, _MEMORY, stack)
        nodes.leave_out_seeds([])
        assert nodes.is_seed.tolist() == [True, True, False, True, True]
        nodes.leave_out_seeds([range(1), range(2, 3)])
        assert nodes.is_seed.tolist() == [False, True, False, False, True]


def test_sizes_and_ids_are_told_on_average(tmp_path: Path) -> None:
    """Sizes by input at least; so that those of blocks can be told before they are made."""
    short, long = [{"id": [b"%d" % i]} for i in range(2)], [{"id": [b"long"], "x": [0.0] * 100}]
    paths = [write_examples(tmp_path / name, e) for name, e in (("s", short), ("l", long))]
    memory = RecordMemory(10**6)
    inputs = [Input([source(path)], SkippedRecords(Statistics()), memory) for path in paths]
    with contextlib.ExitStack() as stack:
        nodes = NodeRows(inputs, "id", False, _MEMORY, stack)
        sizes = nodes.mean_sizes(np.array([2, 0, 1])).tolist()
        features = 16  # bytes for each, beside what the record has
        least = [len(serialize(examples[0])) + features for examples in (short, long)]
        assert sizes == [least[1] + features, least[0], least[0]]
        assert nodes.mean_id_bytes == 2
