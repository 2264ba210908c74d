"""`inspect` of embeddings: what the graph is then, of any format, with labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import support

from nsl_tools.build_graph.pipeline import build_graph
from nsl_tools.errors import DataError, UsageError
from nsl_tools.files.streams import source
from nsl_tools.formats.graphs.tsv import read_tsv
from nsl_tools.inspect.embeddings.summary import inspect_embeddings
from nsl_tools.options import BuildGraphOptions, InspectOptions
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def clusters(tmp_path: Path) -> tuple[str, np.ndarray]:
    """Vectors around 20 centers, of sizes that vary; and the numbers of these."""
    draw = np.random.default_rng(5)
    labels = np.sort(draw.choice(20, 700, p=draw.dirichlet(np.ones(20))))
    centers = draw.normal(size=(20, 16))
    vectors = centers[labels] + draw.normal(size=(700, 16)) * draw.uniform(0.1, 1.2, (700, 1))
    path = str(tmp_path / "e.npy")
    np.save(path, vectors.astype(np.float32))
    return path, labels


def inspected(path: str, **options: Any) -> dict[str, Any]:
    return inspect_embeddings([path], InspectOptions(**options), Statistics()).as_json()


@pytest.mark.own_memory("builds many graphs, whose own tests spill")
def test_the_table_of_thresholds_is_that_of_the_graph(
    clusters: tuple[str, np.ndarray], tmp_path: Path
) -> None:
    path, labels = clusters
    np.save(tmp_path / "labels.npy", labels)
    found = inspected(path, sample=700, labels=str(tmp_path / "labels.npy"))
    for row in found["thresholds"]["thresholds"]:
        for name, k in (("k_1", 1), ("k_5", 5), ("k_10", 10), ("k_20", 20), ("all", None)):
            output = str(tmp_path / "g.tsv")
            options = BuildGraphOptions(
                k=k, similarity_threshold=row["threshold"], allow_empty=True
            )
            counts = build_graph([path], output, options).counts
            of_few = 0.3 if k is None else 0.01  # which is counted for some of the sample
            assert row[name] == pytest.approx(counts["edges"] / 700, rel=of_few, abs=0.01), name
            if k == 10:
                assert row["edges"] == pytest.approx(counts["edges"], abs=3)
                assert row["without"] == pytest.approx(1 - counts["sources"] / 700, abs=0.003)
                same = [
                    labels[int(edge["source"])] == labels[int(edge["target"])]
                    for batch in read_tsv(source(output), Statistics())
                    for edge in batch.to_pylist()
                ]
                assert row["agreement"] == pytest.approx(np.mean(same), abs=0.003)
    of_90 = found["thresholds"]["threshold_for_90"]
    assert next(
        row["without"] for row in found["thresholds"]["thresholds"] if row["threshold"] == of_90
    ) == pytest.approx(0.1, abs=0.05)


def test_a_sample_is_near_the_whole(clusters: tuple[str, np.ndarray]) -> None:
    path, _ = clusters
    whole, some = inspected(path, sample=700), inspected(path, sample=200)
    assert some["overview"]["nodes"] == whole["overview"]["nodes"] == 700
    assert some["overview"]["sample"] == 200
    chosen = {row["threshold"]: row for row in some["thresholds"]["thresholds"]}
    for row in whole["thresholds"]["thresholds"]:
        if row["threshold"] in chosen:
            assert chosen[row["threshold"]]["without"] == pytest.approx(row["without"], abs=0.12)


@pytest.mark.own_memory("sets the limit")
def test_by_default_as_many_are_drawn_as_take_some_seconds(tmp_path: Path) -> None:
    count, width = 6_000, 3_000
    values = np.random.default_rng(0).standard_normal((count, 1)).astype(np.float32)
    np.save(tmp_path / "e.npy", np.repeat(values, width, axis=1))
    assert (
        inspected(str(tmp_path / "e.npy"), memory_limit=260_000_000)["overview"]["sample"] < count
    )
    np.save(tmp_path / "e.npy", values)
    assert inspected(str(tmp_path / "e.npy"))["overview"]["sample"] == count


def test_files_of_examples_and_tables_are_the_same(
    clusters: tuple[str, np.ndarray], tmp_path: Path
) -> None:
    path, labels = clusters
    vectors = np.load(path)
    ids = [f"n{i}" for i in range(len(vectors))]
    table = pa.table({"id": ids, "embedding": pa.array(vectors.tolist(), pa.list_(pa.float32()))})
    pq.write_table(table, tmp_path / "e.parquet")
    named = pa.table({"id": ids, "topic": [f"t{label}" for label in labels]})
    pq.write_table(named, tmp_path / "topics.parquet")
    support.write_examples(
        str(tmp_path / "e.tfr"),
        [
            {"id": [name.encode()], "embedding": v}
            for name, v in zip(ids, vectors.tolist(), strict=True)
        ],
    )
    np.save(tmp_path / "labels.npy", labels)
    expected = inspected(path, labels=str(tmp_path / "labels.npy"))
    del expected["sources"]
    for name in ("e.parquet", "e.tfr"):
        found = inspected(str(tmp_path / name), labels=f"{tmp_path}/topics.parquet:topic")
        del found["sources"]
        assert found == expected, name


def test_what_has_no_direction_is_told(tmp_path: Path) -> None:
    vectors = np.zeros((60, 3), np.float32)
    vectors[:20] = [1, 2, 3]
    vectors[20:40, 0] = np.arange(1, 21)
    np.save(tmp_path / "e.npy", vectors)
    found = inspected(str(tmp_path / "e.npy"))
    assert found["overview"]["zero_vectors"] == 20
    assert found["similarity"]["duplicates"] == pytest.approx(2 / 3)
    row = found["thresholds"]["thresholds"][0]
    assert row["without"] == pytest.approx(1 / 3)


def test_a_common_direction_is_told(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    np.save(tmp_path / "e.npy", (draw.normal(size=(300, 8)) + 5).astype(np.float32))
    found = inspected(str(tmp_path / "e.npy"))
    assert "Subtract the mean vector" in found["similarity"]["advice"][0]
    assert found["overview"]["effective_dimension"] == pytest.approx(
        7, rel=0.1
    )  # and one that is shared


def test_no_advice_where_the_default_is_good_and_some_where_it_is_not(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    np.save(tmp_path / "far.npy", draw.normal(size=(300, 64)).astype(np.float32))
    advice = inspected(str(tmp_path / "far.npy"))["thresholds"]["advice"][0]
    assert "0.8 leaves 100 % of the nodes without a neighbour" in advice
    near = np.repeat(draw.normal(size=(30, 64)), 10, axis=0).astype(np.float32)
    np.save(tmp_path / "near.npy", near)
    assert "advice" not in inspected(str(tmp_path / "near.npy"))["thresholds"]


def test_what_cannot_be_used_is_counted(tmp_path: Path) -> None:
    vectors = np.ones((50, 3), np.float32)
    vectors[7, 1] = np.nan
    np.save(tmp_path / "e.npy", vectors)
    statistics = Statistics(10)
    found = inspect_embeddings([str(tmp_path / "e.npy")], InspectOptions(), statistics).as_json()
    assert found["overview"]["nodes"] == 49
    assert found["overview"]["unusable"] == 1


def test_what_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "none.npy", np.empty((0, 3), np.float32))
    with pytest.raises(DataError, match=r"none\.npy: no vector, expected some"):
        inspected(str(tmp_path / "none.npy"))
    with pytest.raises(UsageError, match="reads embeddings twice: expected files, received -"):
        inspected("-")
    np.save(tmp_path / "wide.npy", np.ones((3, 20_000), np.float32))
    with pytest.raises(UsageError, match=r"--memory-limit: expected at least .* for --sample"):
        inspected(str(tmp_path / "wide.npy"), memory_limit=64_000_000)
