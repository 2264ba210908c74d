"""The types of columns that examples make."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nsl_tools.errors import UsageError
from nsl_tools.files.streams import source
from nsl_tools.formats.example_batch import read_examples
from nsl_tools.formats.example_writer import write_examples
from nsl_tools.formats.tables.examples import opened_examples
from nsl_tools.formats.tables.feature_types import FeatureType, FeatureTypes
from nsl_tools.formats.tables.opening import opened_table
from nsl_tools.options import PackOptions


def types_of(path: Path, *rows: dict[str, Any], found: FeatureTypes | None = None) -> FeatureTypes:
    write_examples(str(path), rows)
    found = found or FeatureTypes()
    for batch in read_examples([source(str(path))]):
        found.observe(batch)
    return found


def test_one_value_in_all_examples_is_no_list(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "one": 1.5, "many": [1, 2], "gap": None, "empty": [1.0], "text": "x"},
        {"id": "b", "one": 2.5, "many": [1], "gap": 3, "empty": np.float32([]), "text": "y"},
    ]
    found = types_of(tmp_path / "x", *rows).found
    assert {name: each.arrow for name, each in found.items()} == {
        "id": pa.binary(),
        "one": pa.float32(),
        "many": pa.list_(pa.int64()),
        "empty": pa.list_(pa.float32()),
        "text": pa.binary(),
        "gap": pa.int64(),
    }


def test_types_are_those_of_all_files(tmp_path: Path) -> None:
    found = types_of(tmp_path / "x", {"id": "a", "x": 1, "y": [1, 2]})
    found = types_of(tmp_path / "z", {"id": "b", "x": [2, 3], "y": 1}, found=found)
    assert found.found["x"].is_list
    assert found.found["y"].is_list


def test_a_feature_of_two_kinds_has_no_column(tmp_path: Path) -> None:
    problem = "feature 'x' is float and int64 in .*x or before: a column of Parquet has one type"
    with pytest.raises(UsageError, match=problem):
        types_of(tmp_path / "x", {"id": "a", "x": 1}, {"id": "b", "x": 1.0})


def test_a_table_says_what_examples_do_not(tmp_path: Path) -> None:
    """Which bytes are texts, and which lists have one value by chance."""
    table = pa.table({
        "id": [7, 8],
        "text": ["a", "b"],
        "bytes": [b"a", b"b"],
        "word": pa.array(["u", "v"]).dictionary_encode(),
        "list": [[1], [2]],
        "texts": pa.array([["a"], []], pa.large_list(pa.large_string())),
        "tensor": pa.FixedShapeTensorArray.from_numpy_ndarray(np.float32([[1], [2]])),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "t")
    found = FeatureTypes()
    with opened_table(str(tmp_path / "t")) as opened:
        found.take_schema(opened.schema, "id")
    with opened_examples(str(tmp_path / "t"), PackOptions()) as examples:
        for batch in read_examples([examples]):
            found.observe(batch)
    assert {name: each.arrow for name, each in found.found.items()} == {
        "id": pa.string(),
        "text": pa.string(),
        "bytes": pa.binary(),
        "word": pa.string(),
        "list": pa.list_(pa.int64()),
        "texts": pa.list_(pa.string()),
        "tensor": pa.list_(pa.float32()),
    }


def test_another_name_is_of_the_same_type() -> None:
    assert FeatureType("x", 0, is_list=True).named("y") == FeatureType("y", 0, is_list=True)
    assert FeatureType("x", 0).arrow == pa.null()


def test_text_in_one_table_and_bytes_in_another_are_bytes(tmp_path: Path) -> None:
    """And those of records, too, which may be anything."""
    found = FeatureTypes()
    for name, kind in (("a", pa.string()), ("b", pa.binary())):
        table = pa.table({"id": ["x"], "t": pa.array(["y"]).cast(kind), "u": ["z"]})
        pq.write_table(table, tmp_path / name)
        with opened_table(f"{tmp_path}/{name}") as opened:
            found.take_schema(opened.schema, "id")
    for name in "ab":
        with opened_examples(f"{tmp_path}/{name}", PackOptions()) as examples:
            for batch in read_examples([examples]):
                found.observe(batch)
    assert (found.found["t"].arrow, found.found["u"].arrow) == (pa.binary(), pa.string())
    types_of(tmp_path / "c", {"id": "y", "u": b"\xff"}, found=found)
    assert found.found["u"].arrow == pa.binary()
