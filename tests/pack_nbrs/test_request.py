"""`pack_nbrs.request`: what was asked for, by kind, and what makes no sense."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import write_examples

from nsl_tools.errors import UsageError
from nsl_tools.options import PackOptions
from nsl_tools.pack_nbrs.request import requested

if TYPE_CHECKING:
    from pathlib import Path


def test_files_are_known_by_kind(tmp_path: Path) -> None:
    labeled = write_examples(tmp_path / "l", [{"id": [b"a"]}])
    graph, ids = str(tmp_path / "g"), str(tmp_path / "ids")
    for path in (graph, ids):
        (tmp_path / path).write_text("a\ta\t1\n")
    found = requested(labeled, "", graph, str(tmp_path / "out"), PackOptions(graph_ids=ids))
    assert found.inputs == [labeled, graph, ids]
    assert found.known == {
        "labeled": [labeled], "unlabeled": [], "graph": [graph], "graph ids": [ids],
    }  # fmt: skip
    assert not found.table
    assert found.said_types(PackOptions()) is None


def test_tables_say_what_their_columns_are(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a"], "x": [[1.0]]}), tmp_path / "l.parquet")
    (tmp_path / "g").write_text("a\ta\t1\n")
    given = str(tmp_path / "l.parquet"), "", str(tmp_path / "g"), str(tmp_path / "out.parquet")
    options = PackOptions(max_neighbors=1)
    found = requested(*given, options)
    assert found.table
    types = found.said_types(options)
    assert types is not None
    with pytest.raises(UsageError, match="--max-nbrs: expected a number"):
        requested(*given, PackOptions())
    with pytest.raises(UsageError, match="the output is also an input"):
        requested(*given[:3], given[2], options)
