"""`pack_nbrs.dry_run.trial`: what some seeds take is what they take in the run."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from packing_inputs import write_inputs

from nsl_tools.options import PackOptions
from nsl_tools.pack_nbrs.dry_run.counting import counted_all, sampled_inputs
from nsl_tools.pack_nbrs.dry_run.trial import Nowhere, Trial, chosen_seeds
from nsl_tools.pack_nbrs.pipeline import pack_nbrs
from nsl_tools.pack_nbrs.request import requested
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.own_memory("an estimate is of the usual sizes")


@pytest.mark.parametrize("output", ["out", "out.gz", "out.parquet"])
@pytest.mark.parametrize("seed_unlabeled", [False, True])
def test_all_seeds_take_what_the_run_writes(
    tmp_path: Path, output: str, *, seed_unlabeled: bool
) -> None:
    paths = [*write_inputs(tmp_path, 120), str(tmp_path / output)]
    options = PackOptions(max_neighbors=4, seed_unlabeled=seed_unlabeled)
    with contextlib.ExitStack() as stack:
        inputs = sampled_inputs(requested(*paths, options), options, Statistics(), stack)
        found: Trial = counted_all(inputs, stack).trial
    pack_nbrs(*paths, options)
    assert found.seeds == (120 if seed_unlabeled else 40)
    assert found.bytes == (tmp_path / output).stat().st_size
    assert found.plain > 0
    assert min(found.reading, found.encoding, found.splicing) > 0


class _Nodes:
    """As many seeds, of records of a length."""

    def __init__(self, count: int, length: float) -> None:
        self.is_seed = np.ones(count, np.bool_)
        self._length = length

    def mean_sizes(self, rows: np.ndarray) -> np.ndarray:
        return np.full(len(rows), self._length)


@pytest.mark.parametrize(
    ("count", "length", "neighbors", "expected"),
    [(10, 100, 5, 10), (100_000, 100, 3, 4096), (100_000, 50_000, 20, 64)],
)
def test_some_seeds_make_some_megabytes(
    count: int, length: float, neighbors: float, expected: int
) -> None:
    seeds = chosen_seeds(_Nodes(count, length), neighbors)  # type: ignore[arg-type]
    assert len(seeds) == expected
    assert (np.diff(seeds) > 0).all()


def test_nowhere_counts() -> None:
    out = Nowhere()
    out.write(b"abc")
    out.write(memoryview(b"de"))
    assert out.bytes == 5
