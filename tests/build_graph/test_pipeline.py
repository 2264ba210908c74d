"""Graphs against a brute force in float64 that anyone can check by reading it."""

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from support import drawn, write_examples

from nsl_tools.arrays import ids
from nsl_tools.build_graph import pipeline as building
from nsl_tools.build_graph.edges import Edges
from nsl_tools.build_graph.pipeline import build_graph
from nsl_tools.build_graph.search import block_products
from nsl_tools.build_graph.search.exact import NearestNeighbors
from nsl_tools.errors import DataError, UsageError
from nsl_tools.files.paths import split_evenly
from nsl_tools.memory_budget import SHARES, MemoryBudget
from nsl_tools.options import BuildGraphOptions
from nsl_tools.spill.matrix import Rows
from nsl_tools.tuning import TUNING

Nodes = list[tuple[str, list[float]]]

GRAPHS = drawn(300)
IDS = st.text(
    st.characters(exclude_characters="\t\r\n\0", exclude_categories=["Cs"]), min_size=1, max_size=3
)
SMALL = st.integers(-3, 3).map(float)
FLOATS = st.floats(-1e3, 1e3, width=32)


@st.composite
def nodes(draw: st.DrawFn) -> Nodes:
    """Up to 12 nodes with ties, duplicates and zero vectors among them."""
    ids = draw(st.lists(IDS, max_size=12, unique=True))
    dimension = draw(st.integers(1, 4))
    element = draw(st.sampled_from([SMALL, FLOATS]))
    vectors = st.lists(element, min_size=dimension, max_size=dimension)
    return [(node, draw(vectors)) for node in ids]


def cosine(x: list[float], y: list[float]) -> float:
    """Return the float64 dot product of x and y, each divided by its norm."""
    x_norm, y_norm = (math.sqrt(math.fsum(v * v for v in vector)) for vector in (x, y))
    dot = math.fsum((a / x_norm) * (b / y_norm) for a, b in zip(x, y, strict=True))
    return max(-1.0, min(1.0, dot))


def oracle(graph: Nodes, k: int | None, threshold: float, seeds: set[str] | None) -> str:
    """Build the graph as the contract reads, pair by pair."""
    lines = []
    for source, x in graph:
        edges = []
        for target, y in graph:
            if source == target or not any(x) or not any(y):
                continue
            weight = cosine(x, y)
            assume(abs(weight - threshold) > 1e-9 or threshold == -1.0)
            assume(abs(weight * 1e6 % 1 - 0.5) > 1e-6)
            if weight >= threshold:
                edges.append((float(f"{weight:.6f}"), target.encode(), f"{source}\t{target}\t"))
        edges.sort(reverse=True)
        if seeds is None or source in seeds:
            lines += [(text, weight) for weight, _, text in edges[:k]]
    return "".join(f"{text}{weight:.6f}\n" for text, weight in lines)


def without_signed_zeros(text: str) -> str:
    """The sign of a weight that rounds to zero is noise: -1e-17 prints as -0.000000."""
    return text.replace("\t-0.000000\n", "\t0.000000\n")


def build(
    folder: Path, graph: Nodes, options: BuildGraphOptions, seeds: list[str] | None = None
) -> str:
    embeddings = write_examples(
        folder / "e", [{"id": [n.encode()], "embedding": v} for n, v in graph]
    )
    seed_files = []
    if seeds is not None:
        seed_files = [write_examples(folder / "s", [{"id": [n.encode()]} for n in seeds])]
    build_graph([embeddings], str(folder / "g"), options, seed_files)
    return (folder / "g").read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graphs")


@pytest.mark.thorough
@settings(max_examples=GRAPHS, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    graph=nodes(),
    k=st.sampled_from([1, 2, 5, 100, None]),
    threshold=st.sampled_from([-1.0, -0.001, 0.3, 0.8, 0.97]),
    block=st.sampled_from([1, 7, 1024]),
    budget=st.sampled_from([0, 1 << 20]),
    data=st.data(),
)
def test_a_graph_is_what_brute_force_finds(
    folder: Path,
    graph: Nodes,
    k: int | None,
    threshold: float,
    block: int,
    budget: int,
    data: st.DataObject,
) -> None:
    """Ties, duplicates, zero vectors, n of 0 and 1, k beyond n, seeds, blocks of any size.

    With a budget of 0 everything goes by way of scratch files.
    """
    ids = [node for node, _ in graph]
    seeds = data.draw(st.none() | st.lists(st.sampled_from([*ids, "?"]), unique=True))
    expected = oracle(graph, k, threshold, None if seeds is None else set(seeds))
    options = BuildGraphOptions(k=k, similarity_threshold=threshold, allow_empty=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TUNING, "tile_rows", block)
        patch.setattr(building, "_budget", lambda *_: budget)
        found = build(folder, graph, options, seeds)
    assert without_signed_zeros(found) == without_signed_zeros(expected)


def clustered(n: int, d: int, seed: int = 0) -> Nodes:
    """Return n nodes around n / 20 centres, some of them exact duplicates."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(n // 20 + 1, d))
    vectors = centres[random.integers(0, len(centres), n)] + 0.3 * random.normal(size=(n, d))
    vectors[random.integers(0, n, n // 10)] = vectors[0]
    vectors = vectors.astype(np.float32)
    return [(f"n{i}", v) for i, v in enumerate(vectors.tolist())]


@pytest.mark.slow
@pytest.mark.parametrize("k", [3, 10, None])
@pytest.mark.parametrize("tile", [7, 50, 1024])
@pytest.mark.parametrize("budget", [0, 20_000, 1 << 30])
def test_a_larger_graph_is_what_brute_force_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, k: int | None, tile: int, budget: int
) -> None:
    """Floors rise while candidates pass, with many duplicates among them: nothing is lost."""
    monkeypatch.setattr(TUNING, "tile_rows", tile)
    monkeypatch.setattr(building, "_budget", lambda *_: budget)
    graph = clustered(600, 24)
    vectors = np.array([v for _, v in graph], np.float64)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    weights = unit @ unit.T
    expected = []
    for i, (source, _) in enumerate(graph):
        row = sorted(
            ((float(f"{weights[i, j]:.6f}"), graph[j][0]) for j in range(len(graph))
             if j != i and weights[i, j] >= 0.5), reverse=True,
        )  # fmt: skip
        expected += [f"{source}\t{target}\t{weight:.6f}\n" for weight, target in row[:k]]
    options = BuildGraphOptions(k=k, similarity_threshold=0.5)
    assert build(tmp_path, graph, options) == "".join(expected)
    # A rectangle of tiles: other queries than base.
    seeds = [node for node, _ in graph[::2]]
    some = [line for line in expected if line.split("\t")[0] in seeds]
    assert build(tmp_path, graph, options, seeds) == "".join(some)


def test_the_threshold_includes_an_exact_hit(tmp_path: Path) -> None:
    """cos((3, 4), (1, 0)) is exactly 0.6."""
    graph = [("a", [3.0, 4.0]), ("b", [1.0, 0.0])]
    options = BuildGraphOptions(similarity_threshold=0.6)
    assert build(tmp_path, graph, options) == "a\tb\t0.600000\nb\ta\t0.600000\n"


def test_extreme_norms_count_as_any_other(tmp_path: Path) -> None:
    """float32 squares overflow at 3e38 and vanish at 1e-30; float64 ones do not."""
    graph = [("a", [3e38, 3e38]), ("b", [1e-30, 1e-30]), ("z", [0.0, 0.0])]
    assert build(tmp_path, graph, BuildGraphOptions()) == "a\tb\t1.000000\nb\ta\t1.000000\n"


def test_all_vectors_equal_gives_the_largest_ids(tmp_path: Path) -> None:
    """With nothing but ties, the k neighbours are the largest ids, without self."""
    graph = [(f"{i:03}", [1.0, 2.0]) for i in range(200)]
    lines = build(tmp_path, graph, BuildGraphOptions(k=2)).splitlines()
    assert lines[:2] == ["000\t199\t1.000000", "000\t198\t1.000000"]
    assert lines[-2:] == ["199\t198\t1.000000", "199\t197\t1.000000"]


def bucket_oracle(graph: Nodes, splits: int, rounds: int, seed: int) -> set[tuple[str, str]]:
    """Return the pairs that share a bucket, with NSL 1.4's draws and bits."""
    random = np.random.RandomState(seed)
    pairs = set()
    for _ in range(rounds):
        planes = random.rand(splits, len(graph[0][1])) * 2 - 1
        sides = {n: tuple(planes @ (np.array(v) / np.linalg.norm(v)) > 0) for n, v in graph}
        pairs |= {(a, b) for a in sides for b in sides if sides[a] == sides[b]}
    return pairs


@pytest.mark.slow
@pytest.mark.parametrize(("splits", "rounds", "seed"), [(1, 1, 0), (3, 2, 7), (5, 4, 1)])
@pytest.mark.parametrize(("k", "budget"), [(2, 0), (2, 1 << 30), (None, 0)])
@pytest.mark.parametrize(("small", "pairs_at_once"), [(0, 1), (4, 10), (128, 1 << 18)])
def test_bucketing_keeps_the_edges_within_a_bucket(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    splits: int,
    rounds: int,
    seed: int,
    k: int | None,
    budget: int,
    small: int,
    pairs_at_once: int,
) -> None:
    """LSH compares the pairs that share a bucket in any round, and no others.

    Whatever buckets are small ones, and for seeds too.
    """
    monkeypatch.setattr(building, "_budget", lambda *_: budget)
    monkeypatch.setattr(TUNING, "small_bucket", small)
    monkeypatch.setattr(TUNING, "bucket_pairs", pairs_at_once)
    graph = clustered(80, 6)
    pairs = bucket_oracle(graph, splits, rounds, seed)
    everything = build(tmp_path, graph, BuildGraphOptions(k=None, similarity_threshold=0.2))
    expected: dict[str, list[str]] = {}
    for line in everything.splitlines():
        source, target, _ = line.split("\t")
        if (source, target) in pairs:
            expected.setdefault(source, []).append(line)
    options = BuildGraphOptions(
        k=k, similarity_threshold=0.2, lsh_splits=splits, lsh_rounds=rounds, random_seed=seed
    )
    best = {source: lines[:k] for source, lines in expected.items()}
    found = build(tmp_path, graph, options).splitlines()
    assert found == [line for lines in best.values() for line in lines]
    seeds = [node for node, _ in graph[1::3]]
    found = build(tmp_path, graph, options, seeds).splitlines()
    assert found == [line for node in seeds for line in best.get(node, [])]


def test_bytes_do_not_depend_on_threads_shards_or_hash_seed(tmp_path: Path) -> None:
    """The same input and options give the same bytes, however it is run."""
    graph = clustered(200, 16)
    examples = [{"id": [n.encode()], "embedding": v} for n, v in graph]
    write_examples(tmp_path / "one", examples)
    write_examples(f"{tmp_path}/many@7", examples)
    outputs = set()
    for threads, path in ((1, "one"), (2, "one"), (2, "many@7")):
        command = [sys.executable, "-m", "nsl_tools", "build-graph", "-q", f"--threads={threads}"]
        done = subprocess.run(
            [*command, f"{tmp_path}/{path}", "-"],
            check=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": str(threads)},
        )  # fmt: skip
        outputs.add(done.stdout)
    build_graph([f"{tmp_path}/one"], f"{tmp_path}/g@7", BuildGraphOptions())
    shards = sorted(tmp_path.glob("g-*"))
    assert outputs == {b"".join(path.read_bytes() for path in shards)}
    assert len(shards) == 7


@pytest.mark.parametrize("shards", [1, 3, 31, 40])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"k": None, "similarity_threshold": 0.9},
        {"similarity_threshold": -1.0},
        {"lsh_splits": 3},
    ],
)
def test_a_shard_holds_the_edges_of_its_nodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shards: int, options: dict[str, float]
) -> None:
    """The files change within blocks and between, some without an edge, from one search."""
    monkeypatch.setattr(TUNING, "tile_rows", 7)
    graph = clustered(31, 2)
    chosen = BuildGraphOptions(**options)  # type: ignore[arg-type]
    lines = build(tmp_path, graph, chosen).splitlines(keepends=True)
    searches = []
    edges = NearestNeighbors.edges

    def counted(nearest: NearestNeighbors, queries: Rows, base: Rows) -> Iterator[Edges]:
        searches.append(base)
        return edges(nearest, queries, base)

    monkeypatch.setattr(NearestNeighbors, "edges", counted)
    build_graph([f"{tmp_path}/e"], f"{tmp_path}/s@{shards}", chosen)
    for shard, part in enumerate(split_evenly(len(graph), shards)):
        own = {graph[row][0] for row in part}
        text = (tmp_path / f"s-{shard:05d}-of-{shards:05d}").read_text()
        assert text == "".join(line for line in lines if line.split("\t")[0] in own)
    assert len(searches) == 1 or chosen.lsh_splits


BAD_EXAMPLES = {
    "no feature 'embedding'": {"id": [b"b"]},
    "has dimension 3, the first record's has 2": {"id": [b"b"], "embedding": [1.0, 2.0, 3.0]},
    "is int64, expected floats": {"id": [b"b"], "embedding": [1, 2]},
    "is bytes, expected floats": {"id": [b"b"], "embedding": [b"1"]},
    "holds nan at position 1": {"id": [b"b"], "embedding": [1.0, math.nan]},
    "holds -inf at position 0": {"id": [b"b"], "embedding": [-math.inf, 1.0]},
    "no feature 'id'": {"embedding": [1.0, 2.0]},
    "has 2 values, expected one": {"id": [b"b", b"c"], "embedding": [1.0, 2.0]},
    "the id is empty": {"id": [b""], "embedding": [1.0, 2.0]},
    "holds a tab": {"id": [b"a\tb"], "embedding": [1.0, 2.0]},
    "is not UTF-8": {"id": [b"\xff"], "embedding": [1.0, 2.0]},
    "is int64, expected one bytes value": {"id": [1], "embedding": [1.0, 2.0]},
}


@pytest.mark.parametrize("problem", BAD_EXAMPLES)
def test_a_bad_example_is_refused_by_place(tmp_path: Path, problem: str) -> None:
    """The message names the file, the record and the byte, and what was expected."""
    good = {"id": [b"a"], "embedding": [1.0, 2.0]}
    path = write_examples(tmp_path / "e", [good, BAD_EXAMPLES[problem]])
    with pytest.raises(DataError, match=f"{path}: record 1 at byte [0-9]+: .*{problem}"):
        build_graph([path], str(tmp_path / "g"), BuildGraphOptions())
    assert not (tmp_path / "g").exists()


def test_a_repeated_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="e: record 2: the id 'a' has occurred before"):
        build(tmp_path, [("a", [1.0]), ("b", [1.0]), ("a", [2.0])], BuildGraphOptions())


def test_an_existing_tfrecord_is_not_replaced(tmp_path: Path) -> None:
    """`build-graph a.tfr b.tfr` forgot the output: b.tfr must survive."""
    paths = [write_examples(tmp_path / name, [{"id": [b"a"], "embedding": [1.0]}]) for name in "ab"]
    with pytest.raises(UsageError, match="is the output argument missing"):
        build_graph(paths[:1], paths[1], BuildGraphOptions())


@pytest.mark.parametrize(
    "options",
    [{"k": 0}, {"similarity_threshold": math.nan}, {"similarity_threshold": 1.5},
     {"lsh_splits": -1}, {"lsh_splits": 1, "lsh_rounds": 0}, {"threads": 0}],
)  # fmt: skip
def test_an_impossible_option_is_a_usage_error(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=r"expected .*, received"):
        BuildGraphOptions(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("k", "recall", "seeds", "copies"),
    [(5, 0.9, None, 2), (5, 0.9, ["a"], 1), (None, 0.9, None, 1), (5, 1.0, None, 1)],
)
def test_scratch_space_for_a_second_copy_is_claimed_only_where_one_may_be_made(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    k: int | None,
    recall: float,
    seeds: list[str] | None,
    copies: int,
) -> None:
    """In the order of cells, which only the approximate search of all nodes reads."""
    claimed: list[int] = []
    monkeypatch.setattr(building, "memory_of", lambda _: MemoryBudget(1))
    monkeypatch.setattr(building, "refuse_wide", lambda *_: None)
    monkeypatch.setitem(SHARES, "ids", 1000)
    monkeypatch.setattr(building, "claim_space", lambda size, *_: claimed.append(size))
    graph = [("a", [1.0, 0.0]), ("b", [1.0, 1.0])]
    build(tmp_path, graph, BuildGraphOptions(k=k, recall=recall), seeds)
    assert claimed == [copies * os.path.getsize(tmp_path / "e")]


@pytest.mark.own_memory("sets the limit")
def test_vectors_too_wide_for_the_limit_are_a_usage_error(tmp_path: Path) -> None:
    """Which says what they need."""
    graph = [("a", [1.0] * 600_000), ("b", [2.0] * 600_000)]
    with pytest.raises(UsageError, match=r"--memory-limit: expected at least 38.4 MB for vectors "):
        build(tmp_path, graph, BuildGraphOptions(memory_limit=32_000_000))
    found = build(tmp_path, graph, BuildGraphOptions(memory_limit=64_000_000))
    assert found == "a\tb\t1.000000\nb\ta\t1.000000\n"


@pytest.mark.own_memory("sets the limit")
@pytest.mark.parametrize("limit", [32_000_000, 40_000_000])
def test_ids_too_long_for_the_limit_are_a_usage_error(tmp_path: Path, limit: int) -> None:
    """Which says what they need; if they are one less, they fit."""
    most = limit * 7 // 8
    lengths = [most // 2, most - most // 2 - 2 * 24 + 1]
    graph = [("a" * lengths[0], [1.0]), ("b" * lengths[1], [2.0])]
    needed = f"{limit / 1e6:.3g} MB for the ids of 2 nodes, {(most - 48) / 1e6:.3g} MB together"
    expected = f"--memory-limit: expected at least {needed}, received {limit / 1e6:.3g} MB"
    options = BuildGraphOptions(memory_limit=limit)
    with pytest.raises(UsageError, match=expected):
        build(tmp_path, graph, options)
    with pytest.raises(UsageError, match=expected):
        build(tmp_path, [("a", [1.0]), ("b", [1.0])], options, [node for node, _ in graph])
    graph[1] = graph[1][0][1:], [2.0]
    assert build(tmp_path, graph, options).count("1.000000") == 2


def test_ids_too_long_for_an_array_are_a_data_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much memory there is."""
    monkeypatch.setattr(ids, "MOST_BYTES", 1000)
    graph = [("a" * 500, [1.0]), ("b" * 501, [2.0])]
    problem = r"e: the ids of 2 nodes, 1 kB together, expected 1 kB at most: shorten them"
    with pytest.raises(DataError, match=problem):
        build(tmp_path, graph, BuildGraphOptions())
    graph[1] = "b" * 500, [2.0]
    assert build(tmp_path, graph, BuildGraphOptions()).count("1.000000") == 2


@pytest.mark.own_memory("sets the limit")
def test_threads_that_the_limit_does_not_hold_are_not_started_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []
    started = building.workers
    monkeypatch.setattr(building, "workers", lambda count: counts.append(count) or started(count))
    path = write_examples(tmp_path / "e", [{"id": [b"a"], "embedding": [1.0]}])
    said = [
        build_graph(
            [path],
            str(tmp_path / "g"),
            BuildGraphOptions(threads=threads, memory_limit=limit, allow_empty=True),
        ).warnings
        for threads, limit in ((64, 64_000_000), (2, 64_000_000), (64, 10**10))
    ]
    assert counts == [5, 2, 64]
    assert "--threads 64: --memory-limit leaves memory for 5" in said[0]
    assert not any("--threads" in line for warnings in said[1:] for line in warnings)


@pytest.mark.parametrize("width", [1, 300, 5000, 400_000])
def test_wide_rows_make_low_tiles(width: int) -> None:
    height = block_products.tile_height(4_000_000, width)
    assert 1 <= height <= TUNING.tile_rows
    assert height == 1 or height * width * 4 <= 1 << 20
