"""Packing cut into tasks gives what packing in one process gives, whatever the cuts."""

from __future__ import annotations

import contextlib
import gzip
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from here import Here
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spilling import spill_everywhere
from support import drawn, serialize

from nsl_tools.errors import DataError
from nsl_tools.formats.tfrecord.frames import frame
from nsl_tools.options import PackOptions
from nsl_tools.pack_nbrs import pipeline
from nsl_tools.pack_nbrs.pipeline import pack_nbrs
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nsl_tools.statistics import Statistics

pytestmark = pytest.mark.own_memory("draws how much is done at once")


@contextlib.contextmanager
def on_engine(task_bytes: int) -> Iterator[None]:
    """Let `pack_nbrs` run its tasks one by one here, twice each, with so many bytes a task."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "engine_of", lambda *_: contextlib.nullcontext(Here()))
        patch.setattr(TUNING, "task_bytes", task_bytes)
        yield


def outcome(
    inputs: tuple[str, str, str], output: Path, options: PackOptions
) -> tuple[dict[str, bytes], dict[str, int], dict[str, int]]:
    """Pack; return what was written, counted and warned of."""
    for old in output.parent.glob(f"{output.name.partition('@')[0]}*"):
        old.unlink()
    found: Statistics = pack_nbrs(*inputs, str(output), options)
    files = sorted(output.parent.glob(f"{output.name.partition('@')[0]}*"))
    written = {file.name: file.read_bytes() for file in files}
    assert not list(output.parent.glob(".*.nsl-tools*"))
    return written, dict(found.counts), dict(found.warnings)


def both(
    inputs: tuple[str, str, str], output: Path, options: dict[str, Any], task_bytes: int
) -> tuple[Any, Any]:
    """Return the outcomes of one process, and of tasks."""
    local = outcome(inputs, output, PackOptions(**options))
    with on_engine(task_bytes):
        return local, outcome(inputs, output, PackOptions(engine="spark", **options))


def file_of(random: np.random.Generator, first: int, count: int, kind: str) -> bytes:
    """Return records of examples of any length; a `broken` file has records that are none."""
    records = []
    for node in range(first, first + count):
        features: dict[str, Any] = {"id": [b"%d" % node]}
        if random.random() < 0.7:
            features["text"] = [b"w" * int(random.integers(0, 200))]
        if random.random() < 0.3:
            features["tags"] = random.integers(-5, 300, random.integers(0, 9)).tolist()
        records.append(serialize(features))
        if kind == "broken" and random.random() < 0.2:
            records.append(b"\xff not an example")
        if kind == "repeated" and random.random() < 0.2:
            records.append(serialize({"id": [b"%d" % random.integers(first, node + 1)]}))
    data = frame(*records)
    return gzip.compress(data, mtime=0) if kind == "gzip" else data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tasks")


@pytest.mark.slow
@settings(max_examples=drawn(60), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 1 << 32),
    kinds=st.tuples(*[st.sampled_from(["plain", "gzip", "broken", "repeated"])] * 3),
    max_neighbors=st.sampled_from([None, 0, 1, 3, 12]),
    undirected=st.booleans(),
    seed_unlabeled=st.booleans(),
    on_duplicate=st.sampled_from(["first", "last"]),
    output=st.sampled_from(["m", "m@3", "m.gz"]),
    task_bytes=st.sampled_from([1, 500, 1 << 26]),
    spilled=st.sampled_from([None, 1, 7]),
)
def test_tasks_pack_the_same_records(
    folder: Path,
    seed: int,
    kinds: tuple[str, str, str],
    max_neighbors: int | None,
    undirected: bool,
    seed_unlabeled: bool,
    on_duplicate: str,
    output: str,
    task_bytes: int,
    spilled: int | None,
) -> None:
    random = np.random.default_rng(seed)
    sizes = random.integers(0, 40, 3)
    firsts = 0, int(sizes[0]), max(0, int(sizes[0] + sizes[1]) - 3)  # some are in both inputs
    names = "l-00000-of-00002", "l-00001-of-00002", "u"
    for name, first, size, kind in zip(names, firsts, sizes.tolist(), kinds, strict=True):
        (folder / name).write_bytes(file_of(random, first, size, kind))
    ends = random.integers(-2, sizes.sum() + 2, (int(random.integers(0, 200)), 2))
    lines = (b"%d\t%d\t%.3f\n" % (a, b, random.choice([0.5, 0.25, -1])) for a, b in ends)
    (folder / "g").write_bytes(b"".join(lines))
    options = {
        "max_neighbors": max_neighbors, "add_undirected_edges": undirected,
        "seed_unlabeled": seed_unlabeled, "on_duplicate": on_duplicate,
        "max_errors": 1000, "allow_empty": True,
    }  # fmt: skip
    inputs = f"{folder}/l@2", f"{folder}/u", f"{folder}/g"
    with pytest.MonkeyPatch.context() as patch:
        if spilled:
            spill_everywhere(patch, spilled)
        local, tasks = both(inputs, folder / output, options, task_bytes)
    assert tasks == local


def test_tables_and_soft_labels(tmp_path: Path) -> None:
    ids = [f"n{i}" for i in range(50)]
    texts = ["w" * (i % 7) if i % 3 else None for i in range(50)]
    pq.write_table(pa.table({"id": ids[:30], "text": texts[:30]}), tmp_path / "l.parquet")
    pq.write_table(pa.table({"id": ids[30:], "text": texts[30:]}), tmp_path / "u.parquet")
    lines = (f"n{i}\tn{(7 * i + j) % 50}\t0.{j}\n" for i in range(50) for j in range(1, 5))
    (tmp_path / "g").write_text("".join(lines))
    soft = (
        serialize({"id": [i.encode()], "probabilities": [0.25, 0.75], "confidence": [k / 50]})
        for k, i in enumerate(ids[:40])
    )
    (tmp_path / "soft").write_bytes(frame(*soft))
    inputs = f"{tmp_path}/l.parquet", f"{tmp_path}/u.parquet", f"{tmp_path}/g"
    labels = {"soft_labels": f"{tmp_path}/soft", "seed_unlabeled": True}
    for name, options in (
        ("m", {}), ("m", labels), ("m.parquet", {"max_neighbors": 2}),
        ("m", {"nbr_features": "text,none"}),
    ):  # fmt: skip
        local, tasks = both(inputs, tmp_path / name, options, 100)
        assert tasks == local


def test_an_input_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name, first in (("l", 0), ("u", 30)):
        (tmp_path / name).write_bytes(file_of(random, first, 30, "plain"))
    (tmp_path / "g").write_text("".join(f"{i}\t{i + 30}\t0.5\n" for i in range(30)))

    class Later(Here):
        def run(self, function: Any, tasks: Any, what: str) -> list[Any]:
            (tmp_path / "u").write_bytes(file_of(random, 30, 30, "plain"))
            return super().run(function, tasks, what)

    inputs = f"{tmp_path}/l", f"{tmp_path}/u", f"{tmp_path}/g"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "engine_of", lambda *_: contextlib.nullcontext(Later()))
        with pytest.raises(DataError, match="u: changed while it was read"):
            pack_nbrs(*inputs, f"{tmp_path}/m", PackOptions(engine="spark"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g", "l", "u"]


def test_a_record_that_is_too_long_is_told_by_its_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nsl_tools.pack_nbrs.join.MAX_LENGTH", 2000)
    random = np.random.default_rng(0)
    (tmp_path / "l").write_bytes(file_of(random, 0, 30, "plain"))
    (tmp_path / "g").write_text("".join(f"7\t{i}\t0.5\n" for i in range(30)))
    inputs = f"{tmp_path}/l", "", f"{tmp_path}/g"
    said = []
    for engine in ("local", "spark"):
        with contextlib.ExitStack() as stack:
            if engine == "spark":
                stack.enter_context(on_engine(100))
            with pytest.raises(DataError, match="with its 30 neighbours") as caught:
                pack_nbrs(*inputs, f"{tmp_path}/m", PackOptions(engine=engine))  # type: ignore[arg-type]
            said.append(str(caught.value))
    assert said[0] == said[1]
