"""Which reader reads which files: by how they start, or else by their names."""

from __future__ import annotations

import io
import re
import struct
import sys
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from support import write_examples

from nsl_tools.errors import UsageError
from nsl_tools.formats.example_embeddings import ExampleEmbeddings
from nsl_tools.formats.registry import (
    EMBEDDING_READERS,
    embedding_format,
    embedding_reader,
    graph_writer,
)
from nsl_tools.options import BuildGraphOptions

MATRIX = np.eye(3, dtype=np.float32)
SUFFIXES = [(reader, suffix) for reader in EMBEDDING_READERS for suffix in reader.suffixes]


@pytest.mark.parametrize(("reader", "suffix"), SUFFIXES)
def test_a_suffix_tells_the_reader_of_a_file_that_does_not(reader: type, suffix: str) -> None:
    paths = [f"a{suffix}", f"some.tfr/b.c{suffix.upper()}"]
    assert type(embedding_reader(paths, BuildGraphOptions())) is reader


@pytest.mark.parametrize("paths", [["a"], ["-"], ["a.tfr", "b.gz", "c"], ["x.npy/a", "npy"]])
def test_everything_else_is_records(paths: list[str]) -> None:
    assert type(embedding_reader(paths, BuildGraphOptions())) is ExampleEmbeddings


def _files(folder: Path) -> dict[str, bytes]:
    """Return a file of each format that says by its first bytes what it is."""
    npy, npz, parquet, feather, stream = (io.BytesIO() for _ in range(5))
    np.save(npy, MATRIX)
    np.savez(npz, MATRIX)
    table = pa.table({"id": ["a"], "embedding": [[1.0]]})
    pq.write_table(table, parquet)
    pyarrow.feather.write_feather(table, feather)
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    with h5py.File(folder / "x.h5", "w") as file:
        file["x"] = MATRIX
    examples = write_examples(folder / "x.tfr", [{"id": [b"a"], "embedding": [1.0]}])
    return {
        ".npy": npy.getvalue(),
        ".npz": npz.getvalue(),
        "Parquet": parquet.getvalue(),
        "Feather": feather.getvalue(),
        "Arrow": stream.getvalue(),
        "HDF5": (folder / "x.h5").read_bytes(),
        "TFRecord": Path(examples).read_bytes(),
    }


def test_content_goes_before_the_name(tmp_path: Path) -> None:
    for name, content in _files(tmp_path).items():
        for suffix in ("", ".tfr", ".npy", ".parquet", ".fbin"):
            path = tmp_path / f"file{suffix}"
            path.write_bytes(content)
            table = name in ("Parquet", "Feather", "Arrow")
            assert embedding_format(str(path)).format_name == ("a table" if table else name)


def test_files_of_two_formats_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.fbin").write_bytes(struct.pack("<II", 0, 3))
    np.save(tmp_path / "b.npy", MATRIX)
    paths = [f"{tmp_path}/b.npy", f"{tmp_path}/b.npy", f"{tmp_path}/a.fbin"]
    problem = re.escape(f"files of one format, received {paths[0]} (.npy) and {paths[2]} (.fbin)")
    with pytest.raises(UsageError, match=problem):
        embedding_reader(paths, BuildGraphOptions())


def test_a_library_that_the_output_needs_is_asked_for_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not after hours of search."""
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UsageError, match=r"g\.h5: takes h5py, which is not installed"):
        graph_writer("g.h5", BuildGraphOptions())
