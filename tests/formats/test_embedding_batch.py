"""What readers of embeddings have in common: which options their files have a use for."""

from typing import Any

import pytest

from nsl_tools.errors import UsageError
from nsl_tools.formats.registry import embedding_reader
from nsl_tools.options import BuildGraphOptions


@pytest.mark.parametrize(
    ("path", "changed", "problem"),
    [
        ("e.tfr", {"ids": "i"}, "--ids: expected none for e.tfr, received 'i'"),
        ("e.tfr", {"array": "x"}, "--array: expected none for e.tfr, received 'x'"),
        ("e.tfr", {"embedding_columns": "e*"}, "--embedding-columns: expected none for e.tfr"),
        ("e.npy", {"ids": "i", "embedding_feature": "x"}, "--embedding-feature-name: expected"),
        ("e.npy", {"ids": "i", "id_feature": "x"}, "--id-feature-name: expected none for e.npy"),
        ("e.npy", {"array": "x"}, "--array: expected none for e.npy, received 'x'"),
        ("e.fbin", {"embedding_columns": "e*"}, "--embedding-columns: expected none for e.fbin"),
        ("e.h5", {"max_record_bytes": 9}, "--max-record-bytes: expected none for e.h5"),
        ("e.parquet", {"array": "x"}, "--array: expected none for e.parquet"),
        ("e.parquet", {"max_record_bytes": 9}, "--max-record-bytes: expected none for e.parquet"),
        ("e.parquet", {"id_feature": "embedding"}, "expected another column than that of the ids"),
        (
            "e.arrow",
            {"embedding_feature": "x", "embedding_columns": "e*"},
            "--embedding-columns: expected none with --embedding-feature-name",
        ),
        ("e.arrow", {"ids": "i", "id_feature": "x"}, "--ids: expected none with --id-feature-name"),
    ],
)  # fmt: skip
def test_an_option_without_use_is_refused(path: str, changed: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        embedding_reader([path], BuildGraphOptions(**changed)).check_options(seeded=False)


@pytest.mark.parametrize(
    ("path", "changed"),
    [
        ("e.tfr", {"id_feature": "x", "embedding_feature": "y", "max_record_bytes": 9}),
        ("e.npy", {"ids": "i"}),
        ("e.npy", {}),
        ("e.npz", {"array": "x"}),
        ("e.h5", {"array": "x", "ids": "i"}),
        ("e.safetensors", {"array": "x"}),
        ("e.parquet", {"id_feature": "x", "embedding_feature": "y"}),
        ("e.feather", {"ids": "i", "embedding_columns": "e*"}),
    ],
)
def test_an_option_of_use_is_taken(path: str, changed: dict[str, Any]) -> None:
    embedding_reader([path], BuildGraphOptions(**changed)).check_options(seeded=False)


def test_options_of_examples_are_of_use_for_seeds() -> None:
    """Which are examples, whatever the embeddings are."""
    options = BuildGraphOptions(ids="i", id_feature="x", max_record_bytes=9)
    embedding_reader(["e.npy"], options).check_options(seeded=True)
