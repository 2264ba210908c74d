"""Examples as nodes: read, sifted, and each id once."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import write_examples

from nsl_tools.errors import DataError
from nsl_tools.files.streams import source
from nsl_tools.formats.example_batch import (
    Places,
    ids_of,
    read_decoded,
    read_examples,
    refuse_empty,
    unrepeated,
)
from nsl_tools.formats.skipped_records import SkippedRecords
from nsl_tools.options import BuildGraphOptions
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from pathlib import Path


def examples(count: int) -> list[dict[str, Any]]:
    """Return examples with texts of varying length, some without one."""
    return [
        {"id": [b"n%d" % row], **({"text": [b"x" * (row * 41 % 200)]} if row % 3 else {})}
        for row in range(count)
    ]


def test_records_that_cannot_be_decoded_are_skipped_and_stay_so(tmp_path: Path) -> None:
    """Every later reading leaves out the same records."""
    rows = examples(90)
    for wrong in (0, 17, 18, 89):
        rows[wrong] = {"id": [wrong]}
    sources = [source(write_examples(tmp_path / "e", rows))]
    statistics = Statistics(max_errors=4)
    skipped = SkippedRecords(statistics)
    found = [
        node
        for _, ids in read_decoded(sources, skipped, lambda batch: ids_of(batch, "id"))
        for node in ids.to_pylist()
    ]
    assert found == [b"n%d" % row for row in range(90) if row not in (0, 17, 18, 89)]
    assert [err.number for _, err in statistics.skipped] == [0, 17, 18, 89]
    again = [node for b in read_examples(sources, skipped) for node in ids_of(b, "id").to_pylist()]
    assert again == found
    few = SkippedRecords(Statistics(max_errors=3))
    with pytest.raises(DataError, match="record 89"):
        list(read_decoded(sources, few, lambda batch: ids_of(batch, "id")))


def test_a_feature_is_found_in_each_example_or_its_lack_is_told(tmp_path: Path) -> None:
    texts = []
    for batch in read_examples([source(write_examples(tmp_path / "e", examples(3)[1:]))]):
        spans = batch.column("text")
        texts += [batch.feature(row, "text", spans)[-3:] for row in range(len(batch))]
    assert texts == [b"xxx", b"xxx"]
    first = next(iter(read_examples([source(write_examples(tmp_path / "e", examples(2)))])))
    problem = r"record 0.*no feature 'text', expected one; it has 'id'"
    with pytest.raises(DataError, match=problem), first.errors():
        first.column("text")


@given(
    ids=st.lists(st.integers(0, 20), max_size=40),
    last=st.booleans(),
    cuts=st.lists(st.integers(0, 40), max_size=3),
)
def test_one_of_each_id_is_kept(ids: list[int], last: bool, cuts: list[int]) -> None:
    """The first or the last, as asked for; the others are left out of later readings."""
    skipped = SkippedRecords(Statistics(), "last" if last else "first")
    places = Places()
    bounds = sorted({0, len(ids), *(min(cut, len(ids)) for cut in cuts)})
    for start, end in itertools.pairwise(bounds):
        places.add_numbers("file", range(100 + start, 100 + end))
    kept = unrepeated(pa.array([b"%d" % node for node in ids], pa.binary()), skipped, places)
    order = range(len(ids) - 1, -1, -1) if last else range(len(ids))
    expected = sorted({ids[row]: row for row in reversed(order)}.values())
    assert np.arange(len(ids))[kept].tolist() == expected
    dropped = skipped.statistics.warnings.total()
    assert dropped == len(ids) - len(expected)


def test_a_repeated_id_is_an_error_that_names_the_record() -> None:
    places = Places("row")
    places.add_numbers("a", [0, 1])
    places.add_numbers("b", [5, 7])
    skipped = SkippedRecords(Statistics())
    with pytest.raises(DataError, match="b: row 7: the id 'x' has occurred before"):
        unrepeated(pa.array([b"x", b"y", b"z", b"x"], pa.binary()), skipped, places)


def test_an_input_without_records_is_refused_unless_that_is_right() -> None:
    sources = [source("empty")]
    with pytest.raises(DataError, match="no record: give --allow-empty"):
        refuse_empty(0, sources, BuildGraphOptions())
    refuse_empty(0, sources, BuildGraphOptions(allow_empty=True))
    refuse_empty(1, sources, BuildGraphOptions())
    refuse_empty(0, [], BuildGraphOptions())
