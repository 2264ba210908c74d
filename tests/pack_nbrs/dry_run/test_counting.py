"""`pack_nbrs.dry_run.counting`: what is read whole, what in part, and what that tells."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from packing_inputs import write_inputs

from nsl_tools.options import PackOptions
from nsl_tools.pack_nbrs.dry_run import counting
from nsl_tools.pack_nbrs.dry_run.counting import (
    Counted,
    counted_all,
    counted_some,
    most_bytes,
    sampled_inputs,
)
from nsl_tools.pack_nbrs.request import requested
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.own_memory("an estimate is of the usual sizes")


def counted(paths: list[str], output: Path, *, whole: bool) -> Counted:
    options = PackOptions(max_neighbors=3)
    with contextlib.ExitStack() as stack:
        asked = requested(*paths, str(output), options)
        inputs = sampled_inputs(asked, options, Statistics(), stack)
        assert inputs.are_whole == whole
        return counted_all(inputs, stack) if whole else counted_some(inputs)


def test_small_inputs_are_counted(tmp_path: Path) -> None:
    paths = write_inputs(tmp_path, 90)
    found = counted(paths, tmp_path / "out", whole=True)
    assert (found.labeled, found.unlabeled, found.seeds) == (30, 60, 30)
    assert found.is_exact
    assert found.exact_edges
    assert found.trial.seeds == 30
    assert found.trial.edges == found.neighbors
    assert 0 < found.needed <= found.neighbors


def test_the_rows_of_a_table_are_known_where_not_all_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "most_bytes", lambda _: 60_000)
    _, unlabeled, graph = write_inputs(tmp_path, 90)
    ids, texts = [f"n{i:05d}" for i in range(20_000)], ["x" * (i % 90) for i in range(20_000)]
    pq.write_table(pa.table({"id": ids, "text": texts}), tmp_path / "l.parquet")
    found = counted([str(tmp_path / "l.parquet"), "", graph], tmp_path / "out", whole=False)
    assert (found.labeled, found.unlabeled, found.is_exact) == (20_000, 0, True)
    assert unlabeled


def test_no_more_is_read_than_the_memory_holds() -> None:
    assert most_bytes(32_000_000) == 32_000_000
    assert most_bytes(64 << 30) < 1 << 30
