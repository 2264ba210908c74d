"""Embeddings in .npy and Parquet files: the same graph as from TFRecords."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import write_examples

from nsl_tools.build_graph.pipeline import build_graph
from nsl_tools.errors import DataError, UsageError
from nsl_tools.formats.registry import embedding_reader
from nsl_tools.options import BuildGraphOptions
from nsl_tools.tuning import TUNING

VECTORS = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
IDS = [f"n{row}" for row in range(len(VECTORS))]


def graph(folder: Path, *paths: str, ids: str | None = None) -> bytes:
    build_graph(paths, str(folder / "g"), BuildGraphOptions(similarity_threshold=0.0, ids=ids))
    return (folder / "g").read_bytes()


@pytest.fixture
def expected(tmp_path: Path) -> bytes:
    rows = zip(IDS, VECTORS.tolist(), strict=True)
    examples = [{"id": [node.encode()], "embedding": vector} for node, vector in rows]
    return graph(tmp_path, write_examples(tmp_path / "e", examples))


def write_npy(folder: Path, vectors: np.ndarray, ids: list[str]) -> tuple[str, str]:
    np.save(folder / "v.npy", vectors)
    (folder / "ids").write_text("".join(f"{node}\n" for node in ids))
    return str(folder / "v.npy"), str(folder / "ids")


def write_parquet(path: Path, vectors: pa.Array, ids: list[str]) -> str:
    pq.write_table(pa.table({"id": ids, "embedding": vectors}), path)
    return str(path)


@pytest.mark.parametrize("block", [112, 1 << 20])
@pytest.mark.parametrize("kind", [np.float32, np.float64, ">f4", ">f8"])
def test_npy_files_give_the_same_graph(
    tmp_path: Path, expected: bytes, monkeypatch: pytest.MonkeyPatch, block: int, kind: str
) -> None:
    """In one file or several, whose rows the ids name in order."""
    monkeypatch.setattr(TUNING, "table_bytes", block)
    path, ids = write_npy(tmp_path, VECTORS.astype(kind), IDS)
    assert graph(tmp_path, path, ids=ids) == expected
    for name, part in (("a.npy", VECTORS[:20]), ("b.npy", VECTORS[20:])):
        np.save(tmp_path / name, part)
    assert graph(tmp_path, f"{tmp_path}/a.npy", f"{tmp_path}/b.npy", ids=ids) == expected


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float32(), 4),
                                  pa.large_list(pa.float64())])  # fmt: skip
def test_parquet_files_give_the_same_graph(
    tmp_path: Path, expected: bytes, monkeypatch: pytest.MonkeyPatch, kind: pa.DataType
) -> None:
    monkeypatch.setattr(TUNING, "table_bytes", 300)
    vectors = pa.array(VECTORS.tolist(), kind)
    assert graph(tmp_path, write_parquet(tmp_path / "e.parquet", vectors, IDS)) == expected


@pytest.mark.parametrize(
    ("vectors", "ids", "problem"),
    [
        (VECTORS, IDS[:-1], "49 ids, expected one for each row"),
        (VECTORS, [*IDS, "more"], "51 ids, expected 50"),
        (VECTORS, [*IDS[:-1], IDS[0]], "v.npy: row 49: the id 'n0' has occurred before: .*--on"),
        (VECTORS, [*IDS[:-1], "a\tb"], "row 49: the id 'a.*' holds a tab"),
        (VECTORS.astype(complex), IDS, "expected a matrix of numbers"),
        (VECTORS[:, 0], IDS, "expected a matrix of numbers"),
        (np.where(np.arange(50)[:, None] == 3, np.nan, VECTORS), IDS, "row 3: a value is not finite"),  # noqa: E501 - one case a line
    ],
)  # fmt: skip
def test_a_bad_npy_file_is_refused(
    tmp_path: Path, vectors: np.ndarray, ids: list[str], problem: str
) -> None:
    path, names = write_npy(tmp_path, vectors, ids)
    with pytest.raises(DataError, match=problem):
        graph(tmp_path, path, ids=names)


@pytest.mark.parametrize(
    ("vectors", "problem"),
    [
        ([[1.0, 2.0], [1.0]], "row 1: dimension 1, expected 2"),
        ([[1.0, 2.0], None], "row 1: the embedding is missing"),
        ([[1.0, 2.0], [1.0, None]], "row 1: a value is missing at position 1"),
        ([[1.0, 2.0], [1.0, np.inf]], "row 1: a value is not finite"),
    ],
)
def test_a_bad_parquet_file_is_refused(
    tmp_path: Path, vectors: list[list[float]], problem: str
) -> None:
    path = write_parquet(tmp_path / "e.parquet", pa.array(vectors), ["a", "b"])
    with pytest.raises(DataError, match=problem):
        graph(tmp_path, path)


def test_the_space_for_vectors_is_that_of_float32(tmp_path: Path) -> None:
    """Whatever the files hold; of others only their sizes are known."""
    records = Path(write_examples(tmp_path / "e", [{"id": [b"a"], "embedding": [1.0]}]))
    for name, kind in (("a.npy", np.float64), ("b.npy", np.float16)):
        np.save(tmp_path / name, VECTORS.astype(kind))
    matrices = embedding_reader([f"{tmp_path}/a.npy", f"{tmp_path}/b.npy"], BuildGraphOptions())
    assert matrices.expected_bytes() == 2 * VECTORS.nbytes
    examples = embedding_reader([str(records)], BuildGraphOptions())
    assert examples.expected_bytes() == records.stat().st_size


def test_a_blank_line_of_ids_is_named(tmp_path: Path) -> None:
    """By its row and its line, also in a file that is not the first one."""
    np.save(tmp_path / "a.npy", VECTORS[:20])
    np.save(tmp_path / "b.npy", VECTORS[20:])
    (tmp_path / "ids").write_text("\n".join([*IDS[:30], "", *IDS[31:]]) + "\n")
    with pytest.raises(DataError, match=r"b\.npy: row 10: the id is empty \(line 31 of .*ids\)"):
        graph(tmp_path, f"{tmp_path}/a.npy", f"{tmp_path}/b.npy", ids=f"{tmp_path}/ids")


def _dirty(folder: Path, suffix: str) -> tuple[str, str | None]:
    """Write a table with rows that are not usable among those that are, and return it and ids."""
    nan, tab = np.full(4, np.nan, np.float32), "a\tb"
    vectors = np.concatenate([VECTORS[:10], [nan], VECTORS[3:5] + 1, VECTORS[10:], VECTORS[:1]])
    ids = [*IDS[:10], "nan", *IDS[3:5], *IDS[10:], tab]
    if suffix == "npy":
        return write_npy(folder, vectors.astype(np.float32), ids)
    return write_parquet(folder / "v.parquet", pa.array(vectors.tolist()), ids), None


@pytest.mark.parametrize("block", [100, 1 << 20])
@pytest.mark.parametrize("suffix", ["npy", "parquet"])
def test_rows_are_skipped_and_chosen_as_records_are(
    tmp_path: Path, expected: bytes, monkeypatch: pytest.MonkeyPatch, suffix: str, block: int
) -> None:
    """Within --max-errors, by --on-duplicate, each counted by its reason."""
    monkeypatch.setattr(TUNING, "table_bytes", block)
    path, ids = _dirty(tmp_path, suffix)
    options = BuildGraphOptions(
        similarity_threshold=0.0, ids=ids, max_errors=2, on_duplicate="first"
    )
    statistics = build_graph([path], str(tmp_path / "g"), options)
    assert (tmp_path / "g").read_bytes() == expected
    assert statistics.warnings == {
        "skipped: embedding not usable": 1,
        "skipped: id not usable": 1,
        "examples dropped: their id is repeated, the first one is taken": 2,
    }
    assert [err.place for _, err in statistics.skipped] == ["row 10", "row 53"]
    for changed, problem in (
        ({"max_errors": 1}, "row 53: the id 'a.*' holds a tab"),
        ({"on_duplicate": "error"}, r"row 11: the id 'n3' has .* .and 1 more.: .*--on-duplicate"),
    ):
        with pytest.raises(DataError, match=problem):
            build_graph([path], str(tmp_path / "g"), replace(options, **changed))


def test_the_last_of_the_rows_of_an_id(tmp_path: Path) -> None:
    first, last = VECTORS[:3], VECTORS[3:6]
    path, ids = write_npy(tmp_path, np.concatenate([first, last]), IDS[:3] * 2)
    options = BuildGraphOptions(k=None, similarity_threshold=-1, ids=ids, on_duplicate="last")
    build_graph([path], str(tmp_path / "g"), options)
    found = (tmp_path / "g").read_bytes()
    path, ids = write_npy(tmp_path, last, IDS[:3])
    build_graph([path], str(tmp_path / "g"), replace(options, ids=ids, on_duplicate="error"))
    assert found == (tmp_path / "g").read_bytes()


def test_a_parquet_file_without_the_column_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a"], "vector": [[1.0]]}), tmp_path / "e.parquet")
    with pytest.raises(DataError, match="no column 'embedding', expected one; it has id, vector"):
        graph(tmp_path, f"{tmp_path}/e.parquet")


def test_files_that_are_not_what_their_name_says_are_refused(tmp_path: Path) -> None:
    (tmp_path / "e.parquet").write_bytes(b"text")
    (tmp_path / "e.npy").write_bytes(b"text")
    (tmp_path / "ids").write_bytes(b"")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        graph(tmp_path, f"{tmp_path}/e.parquet")
    with pytest.raises(DataError, match=r"not a \.npy file"):
        graph(tmp_path, f"{tmp_path}/e.npy", ids=f"{tmp_path}/ids")
    with pytest.raises(UsageError, match="files of one format"):
        graph(tmp_path, f"{tmp_path}/e.npy", f"{tmp_path}/e.parquet")
