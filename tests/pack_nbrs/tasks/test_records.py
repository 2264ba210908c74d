"""Records by their rows, wherever they are: files, compressed ones, those with records left out."""

from __future__ import annotations

import gzip
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support import serialize

from nsl_tools.errors import DataError
from nsl_tools.files.streams import source
from nsl_tools.formats.example_batch import ids_of
from nsl_tools.formats.skipped_records import SkippedRecords
from nsl_tools.formats.tfrecord.frames import frame
from nsl_tools.memory_budget import MemoryBudget
from nsl_tools.pack_nbrs.inputs import Input, RecordMemory
from nsl_tools.pack_nbrs.nodes import NodeRows
from nsl_tools.pack_nbrs.tasks.records import RecordPlaces
from nsl_tools.statistics import Statistics
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.own_memory("sets how much is read at once")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordPlaces]:
    """Eighty rows: n0 to n49 labeled, in a plain file with wrong records among them, others not."""
    monkeypatch.setattr(TUNING, "batch_bytes", 200)
    texts = ["w" * (7 * i % 40) for i in range(80)]
    records = [serialize({"id": [b"n%d" % i], "t": [texts[i].encode()]}) for i in range(80)]
    wrong = [
        record
        for i, record in enumerate(records[:50])
        for record in (record, b"?")[: 1 + (i % 9 == 0)]
    ]
    (tmp_path / "l").write_bytes(frame(*wrong))
    (tmp_path / "u.gz").write_bytes(gzip.compress(frame(*records[50:])))
    statistics = Statistics(100)
    inputs = [
        Input([source(f"{tmp_path}/{name}")], SkippedRecords(statistics), RecordMemory(0))
        for name in ("l", "u.gz")
    ]
    with ExitStack() as stack:
        nodes = NodeRows(inputs, "id", False, MemoryBudget(1 << 26), stack)
        assert nodes.count == 80
        yield RecordPlaces(inputs, nodes, str(tmp_path))


def ids_between(places: RecordPlaces, first: int, stop: int, most: int) -> list[tuple[int, bytes]]:
    """Return row and id of each example that parts of so many bytes give."""
    return [
        (row + place, node)
        for part in places.parts(first, stop, most)
        for row, batch in part.examples(first, stop)
        for place, node in enumerate(ids_of(batch, "id").to_pylist())
    ]


@pytest.mark.parametrize("most", [1, 500, 1 << 20])
@pytest.mark.parametrize(("first", "stop"), [(0, 80), (0, 1), (17, 18), (30, 70), (79, 80), (5, 5)])
def test_any_rows_are_read_in_parts_of_any_size(
    places: RecordPlaces, first: int, stop: int, most: int
) -> None:
    expected = [(row, b"n%d" % row) for row in range(first, stop)]
    assert ids_between(places, first, stop, most) == expected


def test_parts_are_no_larger_than_asked_for_and_of_one_file(places: RecordPlaces) -> None:
    parts = places.parts(0, 80, 500)
    assert len(parts) > 4
    assert all(part.stop - part.start <= 500 + 200 for part in parts)
    assert {part.file.name[-1] for part in parts} == {"l", "z"}
    assert [part.row for part in parts] == np.cumsum([0, *(p.rows for p in parts)])[:-1].tolist()


def test_a_wrong_record_has_the_place_that_it_has_in_the_file(places: RecordPlaces) -> None:
    (part,) = places.parts(30, 31, 1)
    ((_, batch),) = part.examples(30, 31)
    error = batch.records.error(0, "is wrong")
    # Four wrong records are before it.
    assert error.number == 34
    assert error.offset is not None
    assert error.offset > part.start


def test_a_file_that_changed_is_refused(places: RecordPlaces, tmp_path: Path) -> None:
    (part,) = places.parts(30, 31, 1)
    with (tmp_path / "l").open("ab") as file:
        file.write(b"more")
    with pytest.raises(DataError, match="l: changed while it was read"):
        next(part.examples(30, 31))
    (tmp_path / "l").unlink()
    with pytest.raises(DataError, match="l: cannot be read: No such file"):
        next(part.examples(30, 31))
