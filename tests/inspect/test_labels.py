"""Labels of nodes: the same, whatever holds them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import support
from hypothesis import given
from hypothesis import strategies as st

from nsl_tools.errors import DataError
from nsl_tools.inspect.labels import LabelIndex, NodeLabels, read_labels
from nsl_tools.memory_budget import MemoryBudget
from nsl_tools.options import InspectOptions
from nsl_tools.progress import Progress
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from pathlib import Path


def found(path: Path | str, **options: str) -> dict[str, str]:
    labels = read_labels(InspectOptions(labels=str(path), **options), Statistics(), Progress())
    ids = [name.decode() for name in labels.ids.to_pylist()]
    return dict(zip(ids, (labels.names[code] for code in labels.codes.tolist()), strict=True))


def test_examples_of_texts_and_numbers_of_which_some_have_none(tmp_path: Path) -> None:
    examples = [
        {"id": [b"a"], "label": [b"cat"]},
        {"id": [b"b"]},
        {"id": [b"c"], "label": [3]},
        {"id": [b"d"], "label": [b"cat"]},
        {"id": [b"e"], "label": [-7]},
        {"id": [b"a"], "label": [b"dog"]},
    ]
    support.write_examples(str(tmp_path / "l.tfr"), examples)
    assert found(tmp_path / "l.tfr") == {"a": "cat", "c": "3", "d": "cat", "e": "-7"}


def test_columns_of_tables(tmp_path: Path) -> None:
    table = pa.table({"id": ["a", "b", "c"], "label": ["x", None, "y"], "topic": [5, 6, None]})
    pq.write_table(table, tmp_path / "t.parquet")
    assert found(tmp_path / "t.parquet") == {"a": "x", "c": "y"}
    assert found(f"{tmp_path}/t.parquet:topic") == {"a": "5", "b": "6"}
    assert found(tmp_path / "t.parquet", label_feature="topic") == {"a": "5", "b": "6"}


def test_lists_by_row(tmp_path: Path) -> None:
    np.save(tmp_path / "l.npy", np.array([2, 0, 2]))
    assert found(tmp_path / "l.npy") == {"0": "2", "1": "0", "2": "2"}
    (tmp_path / "l.txt").write_text("two\nzero\ntwo\n")
    (tmp_path / "ids").write_text("n2\nn0\nn1\n")
    expected = {"n2": "two", "n0": "zero", "n1": "two"}
    assert found(tmp_path / "l.txt", ids=str(tmp_path / "ids")) == expected


def test_what_is_no_label_is_refused(tmp_path: Path) -> None:
    for label, problem in (
        ([0.5], "record 1 at byte 47: feature 'label' is float, expected one text or whole number"),
        ([1, 2], "record 1 at byte 47: feature 'label' has 2 values, expected one"),
    ):
        examples = [{"id": [b"a"], "label": [b"x"]}, {"id": [b"b"], "label": label}]
        support.write_examples(str(tmp_path / "l.tfr"), examples)
        with pytest.raises(DataError, match=problem):
            found(tmp_path / "l.tfr")
    support.write_examples(str(tmp_path / "l.tfr"), [{"id": [b"a"]}])
    with pytest.raises(DataError, match=r"l\.tfr: no label, expected some"):
        found(tmp_path / "l.tfr")
    (tmp_path / "l.txt").write_text("two\nzero\n")
    for ids in ("a\n", "a\nb\nc\n"):
        (tmp_path / "ids").write_text(ids)
        with pytest.raises(DataError, match=r"l\.txt: has 2 labels, expected one for each of"):
            found(tmp_path / "l.txt", ids=str(tmp_path / "ids"))


@given(
    labels=st.dictionaries(st.text("ab", min_size=1, max_size=3), st.integers(0, 3), min_size=1),
    others=st.lists(st.text("ab", min_size=1, max_size=3), max_size=20),
)
def test_an_index_finds_them_by_id(labels: dict[str, int], others: list[str]) -> None:
    given_labels = NodeLabels(
        pa.array([name.encode() for name in labels]), np.array(list(labels.values()), np.int32), []
    )
    with contextlib.ExitStack() as stack:
        index = LabelIndex(given_labels, MemoryBudget(1 << 30), stack)
        ids = pa.array([name.encode() for name in others], pa.binary())
        assert index.codes(ids).tolist() == [labels.get(name, -1) for name in others]
        nothing = LabelIndex(None, MemoryBudget(1 << 30), stack)
        assert nothing.codes(ids).tolist() == [-1] * len(others)
