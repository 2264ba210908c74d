"""Rows that are nearly parallel: what float32 cannot tell apart is cut, and nothing is lost."""

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from support import drawn, write_examples

from nsl_tools.arrays.cosines import PARALLEL
from nsl_tools.arrays.edge_weights import MICRO, as_written
from nsl_tools.build_graph import pipeline as building
from nsl_tools.build_graph.pipeline import build_graph
from nsl_tools.build_graph.search import block_products
from nsl_tools.options import BuildGraphOptions
from nsl_tools.spill.matrix import MatrixStore
from nsl_tools.tuning import TUNING

Floats = npt.NDArray[np.float32]
Written = list[tuple[str, str, int]]


def brute_force(ids: list[str], vectors: Floats, k: int, threshold: float) -> Written:
    """Return the edges as the contract reads: weights in float64, ranked as written, then by id."""
    wide = vectors.astype(np.float64)
    norms = np.sqrt((wide * wide).sum(axis=1))
    ranks = np.argsort(np.argsort(np.array([node.encode() for node in ids], object)))
    edges = []
    for i in np.flatnonzero(norms).tolist():
        cosines = np.full(len(ids), -2.0)
        others = np.flatnonzero(norms)
        cosines[others] = wide[others] @ wide[i] / (norms[others] * norms[i])
        cosines[cosines >= PARALLEL] = 1.0
        cosines[i] = -2.0
        near = np.flatnonzero(np.maximum(cosines, -2) >= threshold)
        written = as_written(cosines[near])
        best = np.lexsort((-ranks[near], -written))[:k].tolist()
        edges += [(ids[i], ids[near[place]], int(written[place])) for place in best]
    return edges


def decided_by_rounding(vectors: Floats) -> bool:
    """Tell whether the last bits of a product decide about a pair: both answers are right."""
    wide = vectors[vectors.any(axis=1)].astype(np.float64)
    norms = np.sqrt((wide * wide).sum(axis=1))
    cosines = wide @ wide.T / np.outer(norms, norms)
    return bool((abs(cosines - PARALLEL) < 2.0**-50).any())


def build(folder: Path, ids: list[str], vectors: Floats, options: BuildGraphOptions) -> Written:
    examples = [
        {"id": [n.encode()], "embedding": v} for n, v in zip(ids, vectors.tolist(), strict=True)
    ]
    build_graph([write_examples(folder / "e", examples)], str(folder / "g"), options)
    lines = (line.split("\t") for line in (folder / "g").read_text().splitlines())
    return [(source, target, round(float(weight) * MICRO)) for source, target, weight in lines]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ties")


@st.composite
def nearly_parallel(draw: st.DrawFn) -> tuple[list[str], Floats]:
    """A few directions with noise of many sizes, scaled, some rows apart, some zero."""
    random = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    rows, dimension = draw(st.integers(2, 400)), draw(st.integers(1, 12))
    centers = random.normal(size=(draw(st.integers(1, 5)), dimension))
    vectors = centers[random.integers(0, len(centers), rows)] * random.choice(
        [1.0, 2.0, 3.0], size=(rows, 1)
    )
    sizes = 10.0 ** -random.uniform(3, 9, size=(rows, 1))
    noisy = random.random((rows, 1)) < draw(st.sampled_from([0.0, 0.5, 1.0]))
    vectors += sizes * noisy * random.normal(size=vectors.shape)
    apart = random.random(rows) < draw(st.sampled_from([0.0, 0.1, 0.5]))
    vectors[apart] = random.normal(size=(apart.sum(), dimension))
    vectors[random.random(rows) < draw(st.sampled_from([0.0, 0.05]))] = 0
    names = {
        "rising": [f"{i:05}" for i in range(rows)],
        "falling": [f"{i:05}" for i in reversed(range(rows))],
        "shuffled": [f"{i}" for i in random.permutation(rows).tolist()],
    }
    return names[draw(st.sampled_from(sorted(names)))], vectors.astype(np.float32)


@pytest.mark.own_memory("sets tiles and the budget")
@pytest.mark.thorough
@settings(max_examples=drawn(100), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    nodes=nearly_parallel(),
    k=st.sampled_from([1, 2, 5, 10]),
    threshold=st.sampled_from([-1.0, 0.5, 0.8, 0.999999, 0.9999995, 1.0]),
    tile=st.sampled_from([5, 32, 1008]),
    seeds=st.sampled_from([1, 12, 1024]),
    budget=st.sampled_from([0, 5000, 1 << 24]),
)
def test_a_graph_of_nearly_parallel_rows_is_what_brute_force_finds(
    folder: Path,
    nodes: tuple[list[str], Floats],
    k: int,
    threshold: float,
    tile: int,
    seeds: int,
    budget: int,
) -> None:
    """Whatever the order of the ids, the sizes of tiles and the memory for candidates."""
    assume(not decided_by_rounding(nodes[1]))
    expected = brute_force(*nodes, k, threshold)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TUNING, "tile_rows", tile)
        patch.setattr(TUNING, "strip_rows", 3)
        patch.setattr(TUNING, "tied_rows", seeds)
        patch.setattr(building, "_budget", lambda *_: budget)
        options = BuildGraphOptions(k=k, similarity_threshold=threshold)
        assert build(folder, *nodes, options) == expected


@pytest.mark.slow
@pytest.mark.own_memory("sets tiles and the budget")
@pytest.mark.parametrize("kind", ["one direction", "sixty directions", "a line", "half and half"])
@pytest.mark.parametrize("budget", [1 << 16, 1 << 26])
def test_nearly_parallel_rows_do_not_make_pairs_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, budget: int
) -> None:
    """What waits for its turn, and what goes to scratch files, grows with the rows, not squared."""
    rows, random = 4000, np.random.default_rng(3)
    vectors = {
        "one direction": random.normal(size=8) + 1e-4 * random.normal(size=(rows, 8)),
        "sixty directions": random.normal(size=(60, 8))[random.integers(0, 60, rows)]
        + 1e-6 * random.normal(size=(rows, 8)),
        "a line": random.integers(1, 1000, size=(rows, 1)),
        "half and half": np.where(
            random.random((rows, 1)) < 0.5, random.normal(size=(rows, 8)), np.ones(8)
        )
        + 1e-7 * random.normal(size=(rows, 8)),
    }[kind].astype(np.float32)
    monkeypatch.setattr(TUNING, "tile_rows", 100)
    monkeypatch.setattr(building, "_budget", lambda *_: budget)
    proposed = [0]
    add, file = block_products.Pending.add, MatrixStore.file

    def counted(pending: block_products.Pending, tile: int, pairs: block_products.Pairs) -> int:
        proposed[0] += len(pairs)
        return add(pending, tile, pairs)

    monkeypatch.setattr(block_products.Pending, "add", counted)
    files = []
    monkeypatch.setattr(MatrixStore, "file", lambda store: files.append(file(store)) or files[-1])
    ids = [f"{i:05}" for i in range(rows)]
    found = build(tmp_path, ids, vectors, BuildGraphOptions(k=5))
    assert found == brute_force(ids, vectors, 5, 0.8)
    assert proposed[0] < 150 * rows < rows * rows / 20
    assert sum(file.size for file in files) < 2000 * rows
    assert os.path.getsize(tmp_path / "g")


@pytest.mark.parametrize("dimension", [1, 3, 100, 768])
def test_equal_vectors_have_cosine_1(tmp_path: Path, dimension: int) -> None:
    """Though the product of two roots need not be the number they are roots of."""
    random = np.random.default_rng(0)
    vectors = np.repeat(random.normal(size=(100, dimension)), 2, axis=0).astype(np.float32)
    ids = [f"{i}" for i in range(len(vectors))]
    options = BuildGraphOptions(k=1 if dimension > 1 else None, similarity_threshold=1.0)
    found = {(source, target) for source, target, _ in build(tmp_path, ids, vectors, options)}
    expected = {(str(i), str(i ^ 1)) for i in range(200)}
    assert found == expected if dimension > 1 else found > expected
    assert {(target, source) for source, target in found} == found


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    vectors=st.integers(1, 4).flatmap(
        lambda d: st.lists(
            st.lists(st.integers(-9, 9), min_size=d, max_size=d), min_size=2, max_size=12
        )
    ),
    scale=st.sampled_from([1.0, 0.1, 3.7e5, 1e-9]),
)
def test_parallel_vectors_have_cosine_1_and_no_others(
    folder: Path, vectors: list[list[int]], scale: float
) -> None:
    """By exact arithmetic; a scale that float32 rounds leaves them parallel."""
    ids = [f"{i:02}" for i in range(len(vectors))]
    expected = [
        (a, b, MICRO)
        for a, x in zip(ids, vectors, strict=True)
        for b, y in reversed(list(zip(ids, vectors, strict=True)))
        if a != b and any(x) and _parallel(x, y)
    ]
    options = BuildGraphOptions(k=None, similarity_threshold=1.0, allow_empty=True)
    scaled = (scale * np.array(vectors)).astype(np.float32)
    assert build(folder, ids, scaled, options) == expected


def _parallel(x: list[int], y: list[int]) -> bool:
    def dot(a: list[int], b: list[int]) -> int:
        return sum(p * q for p, q in zip(a, b, strict=True))

    return dot(x, y) > 0 and dot(x, y) ** 2 == dot(x, x) * dot(y, y)
