"""Which reader reads which files."""

from __future__ import annotations

import re

import pytest

from nsl_tools.errors import UsageError
from nsl_tools.formats.example_embeddings import ExampleEmbeddings
from nsl_tools.formats.registry import EMBEDDING_READERS, embedding_reader
from nsl_tools.options import BuildGraphOptions


@pytest.mark.parametrize("suffix", EMBEDDING_READERS)
def test_a_suffix_tells_the_reader(suffix: str) -> None:
    paths = [f"a{suffix}", f"some.tfr/b.c{suffix}"]
    assert type(embedding_reader(paths, BuildGraphOptions())) is EMBEDDING_READERS[suffix]


@pytest.mark.parametrize("paths", [["a"], ["-"], ["a.tfr", "b.gz", "c"], ["x.npy/a", "npy"]])
def test_everything_else_is_records(paths: list[str]) -> None:
    assert type(embedding_reader(paths, BuildGraphOptions())) is ExampleEmbeddings


@pytest.mark.parametrize(
    ("paths", "found"),
    [(["a.npy", "b.parquet"], ".npy, .parquet"), (["a", "b.npy"], ".npy, no suffix")],
)
def test_files_of_two_formats_are_refused(paths: list[str], found: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"files of one kind, received {found}")):
        embedding_reader(paths, BuildGraphOptions())
