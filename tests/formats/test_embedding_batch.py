"""What readers of embeddings have in common: which options their files have a use for."""

from typing import Any

import pytest

from nsl_tools.errors import UsageError
from nsl_tools.formats.registry import embedding_reader
from nsl_tools.options import BuildGraphOptions


@pytest.mark.parametrize(
    ("path", "changed", "problem"),
    [
        ("e.npy", {}, "--ids: expected the file of the ids of e.npy, received none"),
        ("e.tfr", {"ids": "i"}, "--ids: expected .npy files, received e.tfr, which holds its"),
        ("e.parquet", {"ids": "i"}, "--ids: expected .npy files, received e.parquet"),
        ("e.npy", {"ids": "i", "embedding_feature": "x"}, "--embedding-feature-name: expected"),
        ("e.npy", {"ids": "i", "id_feature": "x"}, "--id-feature-name: expected none for e.npy"),
        ("e.parquet", {"max_record_bytes": 9}, "--max-record-bytes: expected none for e.parquet"),
        ("e.parquet", {"id_feature": "embedding"}, "expected another column than that of the ids"),
    ],
)  # fmt: skip
def test_an_option_without_use_is_refused(path: str, changed: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        embedding_reader([path], BuildGraphOptions(**changed)).check_options(seeded=False)


def test_options_of_examples_are_of_use_for_seeds() -> None:
    """Which are examples, whatever the embeddings are."""
    options = BuildGraphOptions(ids="i", id_feature="x", max_record_bytes=9)
    embedding_reader(["e.npy"], options).check_options(seeded=True)
