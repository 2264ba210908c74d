"""Approximate graphs: against the exact ones, whose share they promise."""

from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
import pytest
from support import write_examples

from nsl_tools.build_graph import pipeline as building
from nsl_tools.build_graph.embeddings import Embeddings
from nsl_tools.build_graph.pipeline import build_graph
from nsl_tools.build_graph.search import ivf, recall
from nsl_tools.build_graph.search.exact import NearestNeighbors
from nsl_tools.build_graph.weigher import EdgeWeigher, IdRanks
from nsl_tools.errors import UsageError
from nsl_tools.options import BuildGraphOptions
from nsl_tools.spill.matrix import MatrixStore
from nsl_tools.threads import workers
from nsl_tools.tuning import TUNING

Edges = dict[tuple[str, str], float]


@pytest.fixture(scope="module")
def count(request: pytest.FixtureRequest) -> int:
    """Return how many nodes there are: fewer where each is a block of its own."""
    return 200 if request.config.getoption("--spill") else 3000


@pytest.fixture(scope="module")
def embeddings(tmp_path_factory: pytest.TempPathFactory, count: int) -> str:
    """Return the path of examples in a dense cloud, with duplicates and zero vectors."""
    random = np.random.default_rng(0)
    vectors = random.normal(size=(count, 8)).astype(np.float32)
    vectors[100:160] = vectors[100]
    vectors[[0, 7, -1]] = 0
    examples = [
        {"id": [b"n%d" % i], "embedding": vector} for i, vector in enumerate(vectors.tolist())
    ]
    return write_examples(tmp_path_factory.mktemp("recall") / "e", examples)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small blocks and samples, so that a small graph takes several searches."""
    monkeypatch.setattr(recall, "LEAST_ROWS", 0)
    judge_by(monkeypatch, 500)
    monkeypatch.setattr(recall, "most_list_products", lambda rows: 10 * rows**2)
    for name, value in {"probing_rows": 64, "probed_lists": 5, "kept_rows": 512}.items():
        monkeypatch.setattr(TUNING, name, value)


def judge_by(monkeypatch: pytest.MonkeyPatch, most: int, one_of: int = 8) -> None:
    """Judge by so many rows at first, and at most by one of so many."""

    def of(_: float, rows: int, edges: int) -> recall.Sampling:
        size = min(rows, most)
        return recall.Sampling(size, 0.75 * edges * size, max(size, rows // one_of))

    monkeypatch.setattr(recall.Sampling, "of", of)


def build(path: str, graph: Path, **options: float) -> tuple[Edges, dict[str, float]]:
    chosen = BuildGraphOptions(k=5, similarity_threshold=0.3, **options)  # type: ignore[arg-type]
    statistics = build_graph([path], str(graph), chosen)
    lines = [line.split("\t") for line in graph.read_text().splitlines()]
    return {(a, b): float(weight) for a, b, weight in lines}, statistics.measures


def reached(found: Edges, exact: Edges) -> float:
    """Return the share of exact edges whose place is taken by an edge as heavy."""
    least: dict[str, float] = {}
    for (source, _), weight in exact.items():
        least[source] = min(weight, least.get(source, 1.0))
    return sum(weight >= least[source] for (source, _), weight in found.items()) / len(exact)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("promise", [0.7, 0.9, 0.97])
@pytest.mark.parametrize("random_seed", [0, 1])
def test_the_promised_recall_is_kept(
    embeddings: str, tmp_path: Path, promise: float, random_seed: int
) -> None:
    """Measured on a sample, the promise holds for the whole graph, and every weight is exact."""
    exact, _ = build(embeddings, tmp_path / "exact")
    found, measures = build(embeddings, tmp_path / "found", recall=promise, random_seed=random_seed)
    share = reached(found, exact)
    assert promise <= share < 1
    assert measures["recall"] == pytest.approx(share, abs=0.03)
    assert promise <= measures["with 99 % confidence at least"] <= measures["recall"]
    assert measures["products, as a share of those of all pairs"] > 0
    assert all(exact[edge] == found[edge] for edge in exact.keys() & found.keys())


def test_the_exact_search_which_judges_finds_what_faiss_finds(count: int) -> None:
    """Two searches that share no code agree on the similarities of the nearest."""
    vectors = np.random.default_rng(1).normal(size=(count, 24)).astype(np.float32)
    vectors[50:70] = vectors[50]
    norms = np.linalg.norm(vectors, axis=1)
    nodes = Embeddings(pa.array([b"%d" % i for i in range(count)]), vectors, norms)
    sample = np.arange(0, count, 7)
    with MatrixStore(1 << 30) as store, workers(2) as pool:
        nearest = NearestNeighbors(EdgeWeigher(nodes, 5, -1.0, IdRanks(nodes.ids)), pool, store)
        edges = list(nearest.edges(sample, np.arange(count)))
    unit = vectors / norms[:, np.newaxis]
    theirs = faiss.knn(unit[sample], unit, 6, metric=faiss.METRIC_INNER_PRODUCT)[0]
    ours = np.concatenate([part.weights for part in edges]).reshape(-1, 5)
    np.testing.assert_allclose(ours, theirs[:, 1:], atol=2e-6)


@pytest.mark.usefixtures("small")
def test_threads_do_not_change_an_approximate_graph(embeddings: str, tmp_path: Path) -> None:
    graphs = [tmp_path / f"g{threads}" for threads in (1, 2, 3)]
    for threads, graph in enumerate(graphs, 1):
        build(embeddings, graph, recall=0.8, threads=threads)
    assert len({graph.read_bytes() for graph in graphs}) == 1


@pytest.mark.usefixtures("small")
def test_scratch_files_do_not_change_an_approximate_graph(
    embeddings: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(embeddings, tmp_path / "held", recall=0.8)
    monkeypatch.setattr(building, "_budget", lambda *_: 0)
    # So that few of the rows that are wanted together are read together.
    monkeypatch.setattr(TUNING, "gap_bytes", 64)
    build(embeddings, tmp_path / "scratch", recall=0.8)
    assert (tmp_path / "held").read_bytes() == (tmp_path / "scratch").read_bytes()


@pytest.mark.usefixtures("small")
def test_where_probes_would_cost_more_the_graph_is_exact(
    embeddings: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recall, "most_list_products", lambda rows: rows**2 / 100)
    exact, _ = build(embeddings, tmp_path / "exact")
    found, measures = build(embeddings, tmp_path / "found", recall=0.97)
    assert found == exact
    assert measures == {"recall": 1.0}


@pytest.mark.usefixtures("small")
def test_what_no_sample_could_promise_is_exact_without_a_search(
    embeddings: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Since even one without a miss leaves some doubt."""
    monkeypatch.delattr(ivf.InvertedLists, "search")
    exact, _ = build(embeddings, tmp_path / "exact")
    found, measures = build(embeddings, tmp_path / "found", recall=0.9999)
    assert found == exact
    assert measures == {"recall": 1.0}


@pytest.mark.usefixtures("small")
@pytest.mark.own_memory("sets the limit")
def test_where_the_limit_leaves_too_little_the_graph_is_exact_and_that_is_said(
    embeddings: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact, _ = build(embeddings, tmp_path / "exact")
    monkeypatch.setattr(building, "bytes_for", lambda rows, _: 10**6 * rows)
    options = BuildGraphOptions(k=5, similarity_threshold=0.3, recall=0.7, memory_limit=64_000_000)
    statistics = build_graph([embeddings], str(tmp_path / "found"), options)
    assert exact
    assert (tmp_path / "found").read_bytes() == (tmp_path / "exact").read_bytes()
    assert statistics.measures == {"recall": 1.0}
    said = "--recall takes 3 GB for these nodes and --memory-limit leaves 63.9 MB: all pairs"
    assert any(warning.startswith(said) for warning in statistics.warnings)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_where_edges_are_too_rare_to_judge_by_the_graph_is_exact_and_that_is_said(
    tmp_path: Path, count: int, share: float
) -> None:
    """Of most random rows there is nothing to find, so that they tell nothing of what is missed."""
    random = np.random.default_rng(5)
    vectors = random.normal(size=(count, 64))
    pairs = max(1, int(share * count / 2))
    vectors[:pairs] = vectors[-pairs:] + 0.6 * random.normal(size=(pairs, 64))
    examples = [{"id": [b"%d" % i], "embedding": v} for i, v in enumerate(vectors.tolist())]
    path = write_examples(tmp_path / "e", examples)
    options = {"k": 5, "similarity_threshold": 0.75}
    build_graph([path], str(tmp_path / "exact"), BuildGraphOptions(**options))  # type: ignore[arg-type]
    chosen = BuildGraphOptions(**options, recall=0.9)  # type: ignore[arg-type]
    statistics = build_graph([path], str(tmp_path / "found"), chosen)
    assert (tmp_path / "exact").read_bytes()
    assert (tmp_path / "found").read_bytes() == (tmp_path / "exact").read_bytes()
    assert any("random nodes are too few to judge by" in said for said in statistics.warnings)
    assert statistics.measures == {"recall": 1.0}


@pytest.mark.usefixtures("small")
def test_where_few_rows_have_edges_more_rows_are_drawn(
    tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until they have as many edges as it takes to judge by."""
    judge_by(monkeypatch, count // 30, one_of=1)
    drawn = []
    sampled = recall.Sample

    def noted(*given: object) -> recall.Sample:
        drawn.append(given)
        return sampled(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(recall, "Sample", noted)
    random = np.random.default_rng(5)
    vectors = random.normal(size=(count, 300))
    vectors[: count // 5] = vectors[0] + 0.3 * random.normal(size=(count // 5, 300))
    examples = [{"id": [b"%d" % i], "embedding": v} for i, v in enumerate(vectors.tolist())]
    path = write_examples(tmp_path / "e", examples)
    build(path, tmp_path / "found", recall=0.5)
    ((rows, found, total, most),) = drawn
    assert count // 30 < len(rows) <= count
    assert len(set(rows.tolist())) == len(rows)
    assert (total, most) == (count, 5)
    assert sum(map(len, found)) >= 0.75 * 5 * (count // 30)


def test_a_small_graph_is_exact(embeddings: str, tmp_path: Path) -> None:
    exact, _ = build(embeddings, tmp_path / "exact")
    found, measures = build(embeddings, tmp_path / "found", recall=0.5)
    assert found == exact
    assert measures == {"recall": 1.0}


@pytest.mark.parametrize("options", [{"recall": 0.0}, {"recall": 1.1},
                                     {"recall": 0.9, "lsh_splits": 2}])  # fmt: skip
def test_an_impossible_promise_is_a_usage_error(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=r"--recall: expected .*, received"):
        BuildGraphOptions(**options)  # type: ignore[arg-type]
