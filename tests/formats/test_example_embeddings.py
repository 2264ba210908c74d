"""Embeddings in examples: what is read, skipped and refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support import write_examples

from nsl_tools.errors import DataError
from nsl_tools.formats.example_embeddings import ExampleEmbeddings
from nsl_tools.formats.skipped_records import SkippedRecords
from nsl_tools.options import BuildGraphOptions
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from pathlib import Path

    from nsl_tools.formats.embedding_batch import EmbeddingBatch


def _new_rows(shape: tuple[int, int]) -> np.ndarray:
    return np.empty(shape, np.float32)


def read(path: str, statistics: Statistics | None = None, **options: Any) -> list[EmbeddingBatch]:
    reader = ExampleEmbeddings([path], BuildGraphOptions(**options))
    return list(reader.batches(SkippedRecords(statistics or Statistics()), _new_rows))


def example(row: int, **changed: list[Any]) -> dict[str, list[Any]]:
    """Return an example with features of varying length beside id and embedding."""
    beside = {"text": [b"x" * (37 * row % 300)], "tokens": list(range(row % 11))}
    features = {"id": [f"n{row}".encode()], "embedding": [float(row), 1.0, -0.5], **beside}
    return {name: values for name, values in {**features, **changed}.items() if values}


def test_ids_vectors_and_norms_are_read_in_order(tmp_path: Path) -> None:
    path = write_examples(tmp_path / "e", [example(row) for row in range(60)])
    batches = read(path)
    assert [node for batch in batches for node in batch.ids.to_pylist()] == [
        f"n{row}".encode() for row in range(60)
    ]
    vectors = np.concatenate([batch.vectors for batch in batches])
    assert vectors.tolist() == [[float(row), 1.0, -0.5] for row in range(60)]
    norms = np.concatenate([batch.norms for batch in batches])
    assert np.allclose(norms, np.linalg.norm(vectors.astype(np.float64), axis=1))
    assert [number for batch in batches for number in batch.numbers] == list(range(60))
    assert {batch.source for batch in batches} == {path}


def test_other_features_can_be_asked_for(tmp_path: Path) -> None:
    rows = [{"name": [b"a"], "v": [1.0, 2.0]}, {"v": [3.0, 4.0], "name": [b"b"]}]
    path = write_examples(tmp_path / "e", rows)
    batches = read(path, id_feature="name", embedding_feature="v")
    assert [node for batch in batches for node in batch.ids.to_pylist()] == [b"a", b"b"]
    vectors = np.concatenate([batch.vectors for batch in batches])
    assert vectors.tolist() == [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"embedding": [1.0, 2.0]}, "has dimension 2, the first record's has 3"),
        ({"embedding": [1, 2, 3]}, "is int64, expected floats"),
        ({"embedding": []}, "no feature 'embedding', expected one"),
        ({"embedding": [1.0, float("inf"), 2.0]}, "holds inf at position 1"),
        ({"id": [1]}, "is int64, expected one bytes value"),
        ({"id": [b"a", b"b"]}, "has 2 values, expected one"),
    ],
)
def test_a_record_that_is_not_usable_is_named_or_skipped(
    tmp_path: Path, changed: dict[str, list[Any]], problem: str
) -> None:
    rows = [example(row) for row in range(40)]
    rows[23] = example(23, **changed)
    path = write_examples(tmp_path / "e", rows)
    with pytest.raises(DataError, match=f"record 23.*{problem}"):
        read(path)
    statistics = Statistics(max_errors=1)
    batches = read(path, statistics)
    assert [number for batch in batches for number in batch.numbers] == [
        row for row in range(40) if row != 23
    ]
    assert [err.number for _, err in statistics.skipped] == [23]
