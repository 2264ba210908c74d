"""spread-labels from files to files: a tiny oracle, spilling, shards, suspects, wrong input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from oracles import right_features
from support import read_payloads, write_examples

from nsl_tools.errors import DataError, UsageError
from nsl_tools.files.publishing import OutputError
from nsl_tools.options import SpreadOptions
from nsl_tools.spread_labels.pipeline import spread_labels

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Run

NODES, CLASSES = 80, 3


@pytest.fixture
def inputs(tmp_path: Path) -> tuple[str, str]:
    """Return labeled examples, one of which is in no edge, and a graph of three groups."""
    random = np.random.default_rng(0)
    names = [f"n{i}" * (1 + i % 3) for i in range(NODES)]
    lines = []
    for _ in range(400):
        source = int(random.integers(0, NODES))
        same = np.arange(source % CLASSES, NODES, CLASSES)
        target = int(random.choice(same if random.random() < 0.9 else np.arange(NODES)))
        lines.append(f"{names[source]}\t{names[target]}\t{random.random() + 0.01:f}")
    lines += ["far\taway\t1.0", "n3n3\tn6\t-0.5", "n3n3\tn6\t0"]
    (tmp_path / "g").write_text("\n".join(lines))
    labeled = [{"id": [names[i].encode()], "label": [i % CLASSES]} for i in range(15)]
    labeled[4]["label"] = [2]  # wrong: node 4 is of group 1
    labeled.append({"id": [b"alone"], "label": [1]})
    return write_examples(tmp_path / "l", labeled), f"{tmp_path}/g"


def rows(path: str) -> dict[str, tuple[int, Any, float]]:
    """Return class, probabilities and confidence by id, in order."""
    found = {}
    for payload in read_payloads(path):
        features: Any = right_features(payload)
        probabilities = np.frombuffer(features[b"probabilities"][1], "<f4")
        (sure,) = np.frombuffer(features[b"confidence"][1], "<f4")
        (name,), (label,) = features[b"id"][1], features[b"label"][1]
        found[name.decode()] = (label, probabilities, float(sure))
    return found


def dense(inputs: tuple[str, str], order: list[str], alpha: float) -> Any:
    """Return the probabilities of nodes in an order, by dense algebra."""
    place = {name: i for i, name in enumerate(order)}
    weights, start = np.zeros((len(order),) * 2), np.zeros((len(order), CLASSES))
    with open(inputs[1]) as file:
        for line in file:
            source, target, text = line.rstrip("\n").split("\t")
            weight = float(np.float32(text))
            if weight > 0 and source != target:
                a, b = place[source], place[target]
                weights[a, b] = weights[b, a] = max(weights[a, b], weight)
    labels = {}
    for payload in read_payloads(inputs[0]):
        features: Any = right_features(payload)
        labels[place[features[b"id"][1][0].decode()]] = features[b"label"][1][0]
    start[list(labels), list(labels.values())] = 1
    degrees = weights.sum(axis=1)
    root = np.divide(1, np.sqrt(degrees), out=np.zeros_like(degrees), where=degrees > 0)
    found = np.linalg.solve(np.eye(len(order)) - alpha * root[:, None] * weights * root, start)
    found *= start.sum(axis=0) / start.sum() / found.sum(axis=0)
    totals = found.sum(axis=1, keepdims=True)
    found = np.where(totals > 1e-12, found / np.maximum(totals, 1e-300), 1 / CLASSES)
    found[list(labels)] = start[list(labels)]
    return found


@pytest.mark.parametrize("alpha", [0.5, 0.9])
def test_probabilities_are_those_of_dense_algebra(
    inputs: tuple[str, str], tmp_path: Path, alpha: float
) -> None:
    output = f"{tmp_path}/out"
    options = SpreadOptions(alpha=alpha, tolerance=1e-9)
    statistics = spread_labels(*inputs, output, options)
    found = rows(output)
    right = dense(inputs, list(found), alpha)
    np.testing.assert_allclose([p for _, p, _ in found.values()], right, atol=1e-5)
    for (label, probabilities, sure), expected in zip(found.values(), right, strict=True):
        assert label == probabilities.argmax()
        entropy = -np.sum(expected * np.log(np.maximum(expected, 1e-300)))
        np.testing.assert_allclose(sure, 1 - entropy / np.log(CLASSES), atol=1e-4)
    assert list(found)[:2] == ["n0", "n1n1"]
    assert found["alone"][2] == 1
    assert found["far"][2] == found["away"][2] == 0
    assert statistics.counts["nodes"] == len(found)
    reached = int((np.ptp(right, axis=1) > 1e-9).sum())
    assert statistics.counts["nodes that a label reached"] == reached < len(found)
    assert statistics.warnings["edges whose weight is not above 0, which carry no label"] == 2
    assert statistics.warnings["labeled examples without an edge in the graph"] == 1


@pytest.mark.parametrize("options", [{}, {"method": "harmonic"}, {"balance": False}])
def test_the_bytes_do_not_depend_on_memory_or_shards(
    inputs: tuple[str, str], tmp_path: Path, run: Run, options: dict[str, Any]
) -> None:
    words = [f"--{name}={value}" for name, value in options.items() if name == "method"]
    words += ["--no-balance"] if "balance" in options else []
    spread_labels(*inputs, f"{tmp_path}/one", SpreadOptions(**options))
    done = run("spread-labels", *words, "--memory-limit=64MB", *inputs, f"{tmp_path}/three@3")
    assert done.returncode == 0, done.stderr
    parts = [(tmp_path / f"three-{i:05}-of-00003").read_bytes() for i in range(3)]
    assert b"".join(parts) == (tmp_path / "one").read_bytes()


def test_classes_without_a_label_have_no_share(inputs: tuple[str, str], tmp_path: Path) -> None:
    spread_labels(*inputs, f"{tmp_path}/out", SpreadOptions())
    spread_labels(*inputs, f"{tmp_path}/more", SpreadOptions(classes=5))
    found, more = rows(f"{tmp_path}/out"), rows(f"{tmp_path}/more")
    for name, (label, probabilities, _) in found.items():
        assert more[name][0] == label
        if np.ptp(probabilities):  # else no label reached it, and all classes are alike
            np.testing.assert_array_equal(more[name][1][:3], probabilities)
            assert not more[name][1][3:].any()


def test_a_wrong_label_is_suspected(inputs: tuple[str, str], tmp_path: Path) -> None:
    options = SpreadOptions(suspects=f"{tmp_path}/suspects")
    statistics = spread_labels(*inputs, f"{tmp_path}/out", options)
    first = (tmp_path / "suspects").read_text().splitlines()[0].split("\t")
    assert first[:3] == ["n4n4", "2", "1"]
    assert 0.5 < statistics.measures["accuracy on labels held out"] < 1


@pytest.mark.parametrize(
    ("options", "graph", "problem"),
    [
        ({}, "", "no edge: give --allow-empty"),
        ({}, "a\tb\tx\n", "line 1: column 3: expected a decimal number"),
    ],
)
def test_wrong_graphs_are_refused(
    inputs: tuple[str, str], tmp_path: Path, options: Any, graph: str, problem: str
) -> None:
    (tmp_path / "g").write_text(graph)
    with pytest.raises(DataError, match=problem):
        spread_labels(*inputs, f"{tmp_path}/out", SpreadOptions(**options))
    assert not (tmp_path / "out").exists()


def test_a_graph_without_edges_may_be_allowed(inputs: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "g").write_text("")
    spread_labels(*inputs, f"{tmp_path}/out", SpreadOptions(allow_empty=True))
    assert len(rows(f"{tmp_path}/out")) == 16


@pytest.mark.parametrize(
    "options",
    [{"alpha": 1.0}, {"alpha": 0.0}, {"method": "other"}, {"folds": 1}, {"tolerance": 1.0},
     {"max_iterations": 0}, {"classes": 0}, {"label_feature": "id"}, {"suspects": ""}],
)  # fmt: skip
def test_options_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="expected"):
        SpreadOptions(**options)


def test_an_input_is_not_replaced(inputs: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises((UsageError, OutputError), match="input"):
        spread_labels(*inputs, inputs[1], SpreadOptions())
    with pytest.raises((UsageError, OutputError), match="input"):
        spread_labels(*inputs, f"{tmp_path}/out", SpreadOptions(suspects=inputs[0]))


def test_the_end_before_convergence_is_said(inputs: tuple[str, str], tmp_path: Path) -> None:
    statistics = spread_labels(*inputs, f"{tmp_path}/out", SpreadOptions(max_iterations=2))
    assert statistics.warnings["classes not converged after 2 iterations"] == CLASSES
