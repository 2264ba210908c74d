"""Inputs that are read several times: which records are kept between readings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import write_examples

from nsl_tools.files.streams import source
from nsl_tools.formats.example_batch import read_examples
from nsl_tools.formats.skipped_records import SkippedRecords
from nsl_tools.pack_nbrs.inputs import Input, RecordMemory
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from pathlib import Path


def test_an_input_is_kept_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    """The memory is given back; the last reading empties what was kept."""
    ids = [str(number) for number in range(40)]
    parts = {"l": ids[:15], "u": ids[15:]}
    sources = [
        source(write_examples(tmp_path / name, [{"id": [node.encode()]} for node in part]))
        for name, part in parts.items()
    ]
    batches = list(read_examples(sources))
    size = sum(batch.resident_bytes() for batch in batches)
    for most, fits in ((size, True), (size - 1, False)):
        memory = RecordMemory(most)
        kept = Input(sources, SkippedRecords(Statistics()), memory)
        for batch in batches:
            kept.keep(batch)
        assert memory.bytes == (0 if fits else most)
        for again in (True, False):
            found = list(kept.examples(again=again))
            assert [id(b) for b in found] == [id(b) for b in batches] or not fits
            assert sum(map(len, found)) == 40
        assert not fits or not list(kept.examples())


@pytest.mark.own_memory("counts records that are alike")
@pytest.mark.parametrize(("alike", "length"), [(True, 0), (False, 0), (False, 1000)])
@pytest.mark.parametrize("plain", [True, False])
def test_what_is_soon_read_again_is_not_kept(
    tmp_path: Path, plain: bool, alike: bool, length: int
) -> None:
    """Of plain files, records that are alike, or long for the features that they have."""
    examples = [{"id": [b"%03d" % i + b"x" * (length + i * (not alike))]} for i in range(40)]
    sources = [source(write_examples(tmp_path / "l", examples))]
    kept = Input(sources, SkippedRecords(Statistics()), memory := RecordMemory(10**6, plain))
    for batch in read_examples(sources):
        kept.keep(batch)
    assert (memory.bytes < 10**6) == (not plain or not (alike or length))
    assert sum(map(len, kept.examples())) == 40
