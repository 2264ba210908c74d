"""Both commands on a cluster of Spark, which is real: a master and two workers. The same bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from nsl_tools.build_graph.pipeline import build_graph
from nsl_tools.build_graph.search import recall
from nsl_tools.engines.spark import EngineError, SparkEngine, _Guarded, _reason, engine_of
from nsl_tools.errors import UsageError
from nsl_tools.formats.example_writer import write_examples
from nsl_tools.options import BuildGraphOptions, PackOptions
from nsl_tools.pack_nbrs.pipeline import pack_nbrs
from nsl_tools.progress import Progress, Work
from nsl_tools.tools import build_graph as nsl_build_graph
from nsl_tools.tools import pack_nbrs as nsl_pack_nbrs
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from pathlib import Path

    from s3_server import S3Server

pytestmark = pytest.mark.own_memory("runs in processes of its own")
COUNT, WIDTH = 5000, 16


@pytest.fixture(scope="module")
def embeddings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same nodes as TFRecord, of varying length, and as `.npy` and ids."""
    folder = tmp_path_factory.mktemp("embeddings")
    random = np.random.default_rng(0)
    centers = random.normal(size=(100, WIDTH))
    vectors = centers[random.integers(0, 100, COUNT)] + 0.4 * random.normal(size=(COUNT, WIDTH))
    vectors = vectors.astype(np.float32)
    vectors[::97] = vectors[0]
    vectors[5] = 0
    ids = [f"node-{i:x}" for i in random.permutation(COUNT)]
    texts = ["w" * int(n) for n in random.integers(0, 90, COUNT)]
    write_examples(
        f"{folder}/v.tfr",
        ({"id": i, "embedding": v, "text": t} for i, v, t in zip(ids, vectors, texts, strict=True)),
    )
    np.save(folder / "v.npy", vectors)
    (folder / "ids.txt").write_text("".join(f"{i}\n" for i in ids))
    (folder / "seeds.txt").write_text("".join(f"{i}\n" for i in ids[::17]))
    return folder


FORMS: dict[str, tuple[str, dict[str, Any], str]] = {
    "nearest": ("v.tfr", {}, ""),
    "all": ("v.tfr", {"k": None, "similarity_threshold": 0.9}, ""),
    "below any threshold": ("v.tfr", {"k": 3, "similarity_threshold": -1.0}, ""),
    "seeds": ("v.tfr", {}, "seeds.txt"),
    "recall": ("v.tfr", {"recall": 0.9, "k": 5, "similarity_threshold": 0.2}, ""),
    "buckets": ("v.tfr", {"lsh_splits": 3, "similarity_threshold": 0.2}, ""),
    "rows": ("v.npy", {"ids": "ids.txt"}, ""),
    "little memory": ("v.tfr", {"memory_limit": 64_000_000, "k": 50}, ""),
}


@pytest.mark.spark
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["graph.tsv", "graph.parquet", "graph.tsv@3"])
def test_a_graph_is_the_same(
    session: Any,
    embeddings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    name: str,
) -> None:
    monkeypatch.chdir(embeddings)
    monkeypatch.setattr(recall, "LEAST_ROWS", 1000)
    path, options, seeds = FORMS[form]
    results = []
    for engine in ("local", "spark"):
        folder = tmp_path / engine
        folder.mkdir()
        given = BuildGraphOptions(engine=engine, **options)  # type: ignore[arg-type]
        found = build_graph(
            [path], f"{folder}/{name}", given, [seeds] if seeds else [], session=session
        )
        files = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
        results.append((found.counts, {n: d for n, d in files.items() if not n.startswith(".")}))
        assert not [file for file in folder.iterdir() if file.is_dir()]
    assert results[0] == results[1]


PACKED: dict[str, dict[str, Any]] = {
    "out": {"max_neighbors": 5},
    "all@3": {"add_undirected_edges": True, "seed_unlabeled": True},
    "few.gz": {"max_neighbors": 2, "nbr_features": "text"},
    "few.parquet": {"max_neighbors": 2, "memory_limit": 64_000_000},
}


@pytest.mark.spark
@pytest.mark.parametrize("name", PACKED)
def test_packed_examples_are_the_same(
    session: Any,
    embeddings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.chdir(embeddings)
    build_graph(["v.tfr"], f"{tmp_path}/graph.tsv", BuildGraphOptions())
    # Tasks of some records each.
    monkeypatch.setattr(TUNING, "task_bytes", 100_000)
    results = []
    for engine in ("local", "spark"):
        (folder := tmp_path / engine).mkdir()
        given = PackOptions(engine=engine, **PACKED[name])  # type: ignore[arg-type]
        inputs = "v.tfr", "", f"{tmp_path}/graph.tsv"
        found = pack_nbrs(*inputs, f"{folder}/{name}", given, session=session)
        files = {file.name: file.read_bytes() for file in folder.iterdir()}
        results.append((found.counts, {n: d for n, d in files.items() if not n.startswith(".")}))
    assert results[0] == results[1]


@pytest.mark.spark
def test_the_functions_of_nsl_take_a_session(
    session: Any, embeddings: Path, tmp_path: Path
) -> None:
    written = []
    for spark in (None, session):
        graph, out = f"{tmp_path}/graph.tsv", f"{tmp_path}/out"
        nsl_build_graph([f"{embeddings}/v.tfr"], graph, 0.95, spark=spark)
        nsl_pack_nbrs(f"{embeddings}/v.tfr", "", graph, out, max_nbrs=3, spark=spark)
        written.append([(tmp_path / name).read_bytes() for name in ("graph.tsv", "out")])
    assert written[0] == written[1]


@pytest.mark.spark
def test_a_graph_from_and_to_a_store(
    session: Any, embeddings: Path, tmp_path: Path, s3: S3Server
) -> None:
    path = s3.put("v.tfr", (embeddings / "v.tfr").read_bytes())
    output = path.replace("v.tfr", "graph.tsv")
    options = BuildGraphOptions(engine="spark", work_dir=str(tmp_path))
    build_graph([path], output, options, session=session)
    build_graph([f"{embeddings}/v.tfr"], f"{tmp_path}/graph.tsv", BuildGraphOptions())
    assert s3.get("graph.tsv") == (tmp_path / "graph.tsv").read_bytes()


@pytest.mark.spark
def test_results_come_in_order_and_what_fails_is_told_in_one_line(session: Any) -> None:
    engine = SparkEngine(session)
    assert engine.slots == 2
    assert engine.run(abs, [-3, 1, -2], "counting") == [3, 1, 2]
    assert engine.run(abs, [], "counting") == []
    with pytest.raises(EngineError) as caught:
        engine.run(int, ["1", "x"], "counting")
    assert str(caught.value) == (
        "spark, counting: ValueError: invalid literal for int() with base 10: 'x'"
    )


@pytest.mark.spark
def test_tasks_that_ended_are_counted(session: Any) -> None:
    progress = Progress("build-graph", quiet=False)
    engine = SparkEngine(session, progress=progress)
    assert engine.run(abs, list(range(5)), "counting") == list(range(5))
    engine.run(abs, [1], "merging")
    told = [(phase.name, phase.done, phase.expected) for phase in progress.phases]
    assert told == [("counting", 5, 5), ("merging", 1, 1)]
    assert "counting: " in progress.report()[0]
    assert "5 tasks" in progress.report()[0]


def test_a_reason_is_the_line_that_python_raised() -> None:
    trace = (
        "Job aborted\n  File x, line 3\nnsl_tools.errors.DataError: f: record 3: is wrong\n\tat x"
    )
    assert _reason(Exception(trace)) == "f: record 3: is wrong"
    assert _reason(Exception("one\ntwo")) == "one"
    assert _reason(KeyError()) == "KeyError"


def test_another_version_on_an_executor_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    finished = Work()
    guarded = _Guarded(abs, finished)
    assert guarded(-1) == 1
    assert finished.done == 1
    monkeypatch.setattr("nsl_tools.engines.spark.__version__", "0.0.1")
    with pytest.raises(EngineError, match=r"nsl-tools 0\.0\.1 on an executor"):
        guarded(-1)


def test_without_pyspark_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyspark.sql", None)
    with (
        pytest.raises(UsageError, match=r"pip install 'nsl-tools\[spark\]'"),
        engine_of(BuildGraphOptions(engine="spark")),
    ):
        pass


def test_one_machine_needs_no_engine() -> None:
    with engine_of(BuildGraphOptions()) as engine:
        assert engine is None
