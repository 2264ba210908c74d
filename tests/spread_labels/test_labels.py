"""`spread_labels.labels`: ids and classes, and what is no class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support import write_examples

from nsl_tools.errors import DataError
from nsl_tools.files.streams import source
from nsl_tools.formats.skipped_records import SkippedRecords
from nsl_tools.options import SpreadOptions
from nsl_tools.spread_labels.labels import read_labels
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from pathlib import Path


def read(path: str, **options: Any) -> tuple[list[bytes], list[int]]:
    given = SpreadOptions(**options)
    skipped = SkippedRecords(Statistics(given.max_errors), given.on_duplicate)
    ids, classes = read_labels([source(path)], skipped, given)
    return ids.to_pylist(), classes.tolist()


def test_ids_and_classes_in_order(tmp_path: Path) -> None:
    """Whatever else the examples hold, and however long."""
    rows = [{"id": [b"n%d" % i], "label": [i * 9], "x": [0.5] * (i % 4 + 1)} for i in range(300)]
    found = read(write_examples(tmp_path / "l", rows))
    assert found == ([b"n%d" % i for i in range(300)], [9 * i for i in range(300)])


@pytest.mark.parametrize(
    ("label", "problem"),
    [
        ([1.5], "feature 'label' is float, expected one int64 value"),
        ([b"cat"], "feature 'label' is bytes, expected one int64 value"),
        ([1, 2], "feature 'label' has 2 values, expected one"),
        ([-1], "feature 'label' is -1, expected a class from 0 to 65535"),
        ([65536], "feature 'label' is 65536, expected a class"),
        (None, "no feature 'label', expected one"),
    ],
)
def test_what_is_no_class_is_named_or_skipped(
    tmp_path: Path, label: list[Any] | None, problem: str
) -> None:
    rows: list[dict[str, Any]] = [{"id": [b"n%d" % i], "label": [i]} for i in range(3)]
    rows[1] = {"id": [b"n1"], **({"label": label} if label else {})}
    path = write_examples(tmp_path / "l", rows)
    with pytest.raises(DataError, match=rf"l: record 1 at byte \d+: {problem}"):
        read(path)
    assert read(path, max_errors=1) == ([b"n0", b"n2"], [0, 2])


def test_a_class_that_there_is_not(tmp_path: Path) -> None:
    rows = [{"id": [b"a"], "label": [2]}, {"id": [b"b"], "label": [3]}]
    path = write_examples(tmp_path / "l", rows)
    assert read(path, classes=4)[1] == [2, 3]
    with pytest.raises(DataError, match=r"record 1 .* is 3, expected a class from 0 to 2"):
        read(path, classes=3)


def test_an_id_that_comes_twice(tmp_path: Path) -> None:
    rows = [
        {"id": [b"a"], "label": [1]},
        {"id": [b"b"], "label": [2]},
        {"id": [b"a"], "label": [3]},
    ]
    path = write_examples(tmp_path / "l", rows)
    with pytest.raises(DataError, match="record 2: the id 'a' has occurred before"):
        read(path)
    assert read(path, on_duplicate="first") == ([b"a", b"b"], [1, 2])
    assert read(path, on_duplicate="last") == ([b"b", b"a"], [2, 3])
