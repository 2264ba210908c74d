"""CSV and JSON Lines as tables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from oracles import right_features

from nsl_tools.build_graph.pipeline import build_graph
from nsl_tools.errors import DataError
from nsl_tools.formats.tables.examples import opened_examples
from nsl_tools.formats.tables.opening import is_table, opened_table
from nsl_tools.formats.tfrecord.reader import read_batches
from nsl_tools.options import BuildGraphOptions, PackOptions

if TYPE_CHECKING:
    from pathlib import Path

FRAME = pd.DataFrame({
    "id": ["007", "a,b", 'say "x"', "line"], "n": [1, 2, 3, 4], "x": [0.5, -1.0, 2.0, 0.25],
    "text": ["", "é", "two\nlines", "t"],
})  # fmt: skip


def rows_of(path: Path, texts: list[str] | None = None, rows: int = 3) -> list[dict[str, Any]]:
    with opened_table(str(path), texts or ["id"]) as table:
        names = table.schema.names
        assert len(list(table.batches(names, 1))) >= 1
        return [row for batch in table.batches(names, rows) for row in batch.to_pylist()]


def test_what_pandas_writes_is_read(tmp_path: Path) -> None:
    """Commas, quotes and new lines in texts; ids stay texts, be they numbers to look at."""
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    FRAME.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    for name in ("t.csv", "t.jsonl"):
        assert is_table(f"{tmp_path}/{name}")
        assert rows_of(tmp_path / name) == FRAME.to_dict("records")


def test_examples_of_json_have_lists_and_gaps(tmp_path: Path) -> None:
    rows = [{"id": 7, "words": [3, 1], "x": None}, {"id": 8, "words": [], "x": 1.5}]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    with opened_examples(f"{tmp_path}/t.jsonl", PackOptions()) as source:
        payloads = [payload for batch in read_batches(source) for payload in batch.payloads]
    first, second = map(right_features, payloads)
    assert first == {b"id": ("bytes", [b"7"]), b"words": ("int64", [3, 1])}
    assert second == {
        b"id": ("bytes", [b"8"]),
        b"words": ("int64", []),
        b"x": ("float", b"\0\0\xc0?"),
    }


def test_embeddings_in_columns_of_csv(tmp_path: Path) -> None:
    lines = ["id,e0,e1", *(f"00{i},{i},{1 if i % 2 else -1}" for i in range(4))]
    (tmp_path / "e.csv").write_text("\n".join(lines) + "\n")
    options = BuildGraphOptions(similarity_threshold=0.0, embedding_columns="e*")
    build_graph([f"{tmp_path}/e.csv"], f"{tmp_path}/g", options)
    assert (tmp_path / "g").read_text().startswith("000\t002\t")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("t.csv", "id,x\na,1\nb\n", "cannot be read as CSV: .*Expected 2 columns, got 1"),
        ("t.csv", "id,x\na,1\nb,word\n" + "c,3\n" * 99, ""),
        ("t.csv", "", "cannot be read as CSV: Empty CSV file"),
        ("t.jsonl", '{"id": "a"}\n{"id": \n', "cannot be read as JSON Lines"),
        ("t.jsonl", '{"id": "a"}\n{"id": 7}\n', "cannot be read as JSON Lines: .*changed from"),
        ("t.jsonl", "", "cannot be read as JSON Lines: Empty JSON"),
    ],
)
def test_lines_that_do_not_fit(tmp_path: Path, name: str, content: str, problem: str) -> None:
    (tmp_path / name).write_text(content)
    if not problem:  # a column of words is one of texts
        assert rows_of(tmp_path / name)[1] == {"id": "b", "x": "word"}
        return
    with pytest.raises(DataError, match=problem):
        rows_of(tmp_path / name)
