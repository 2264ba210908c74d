"""The programs behind docs/results.md: what chooses, what is measured, that nothing is repeated."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import claim_attack
import claim_few_labels as few
from claim_few_labels import ALL, BASE, LABELED, SPREAD, UNSEEN, Setting


def cora_like(path: Path) -> few.Problem:
    """Return two classes of papers, each with words and citations of its own."""
    labels = np.arange(60) % 2
    words = np.random.default_rng(0).random((60, 8)) < np.where(labels == 0, 0.2, 0.8)[:, None]
    rows, columns = np.nonzero(words)
    np.savez(
        path,
        x_data=np.ones(len(rows)),
        x_indices=columns,
        x_indptr=np.r_[0, np.cumsum(words.sum(axis=1))],
        x_shape=[60, 8],
        y=labels,
        edges=[(i, i + 2) for i in range(58)],
        val=np.arange(40, 50),
        test=np.arange(50, 60),
    )
    graph = {row: [Setting(0.01, 1.0)] for row in (LABELED, ALL, UNSEEN)}
    problem = few.cora(str(path))
    assert problem.features.sum() == words.sum()
    settings = {BASE: [Setting(0.01), Setting(0.02)], **graph}
    return replace(problem, labeled={0.1: 6}, settings=settings, epochs=(2, 2))


@pytest.mark.slow
def test_every_row_is_measured_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    problem = cora_like(tmp_path / "cora.npz")
    log = few.Log(str(tmp_path / "log"))
    few.measure(problem, 1, list(problem.settings), log)
    # Two settings of the base and one of three rows, and the base with all labels.
    assert len(log.curves) == 2 + 3 + 2
    assert {curve.shape for curve in log.curves.values()} == {(2, 2)}
    table = few.table(problem, log)
    for row in (BASE, LABELED, ALL, UNSEEN):
        assert f"| 6 (10.0%) | {row} | " in table
    assert "| all 40 | base | " in table
    capsys.readouterr()
    few.measure(problem, 1, list(problem.settings), again := few.Log(str(tmp_path / "log")))
    assert "draw" not in capsys.readouterr().out
    assert few.table(problem, again) == table


@pytest.mark.slow
def test_seeds_without_label_weigh_nothing_and_test_papers_may_be_unseen(tmp_path: Path) -> None:
    problem = cora_like(tmp_path / "cora.npz")
    graph = few.make_graph(problem, tmp_path)
    labeled = np.arange(6)
    for row, seeds in ((BASE, 6), (LABELED, 6), (ALL, 60), (UNSEEN, 40)):
        data = few.pack(problem, row, labeled, graph, tmp_path)
        assert len(data.y) == seeds
        np.testing.assert_array_equal(data.weight > 0, np.arange(seeds) < 6)
        assert data.weight.sum() == pytest.approx(seeds)
        assert any(name.startswith("NL_nbr_") for name in data.x) == (row != BASE)


def test_spread_labels_are_targets_that_count_by_confidence(tmp_path: Path) -> None:
    problem = cora_like(tmp_path / "cora.npz")
    graph = few.make_graph(problem, tmp_path)
    data = few.pack(problem, SPREAD, np.arange(6), graph, tmp_path, alpha=0.9)
    assert data.y.shape == (60, 2)
    np.testing.assert_array_equal(data.y[:6], np.eye(2)[np.arange(6) % 2])
    assert data.weight[:6].min() == data.weight.max() > 0
    assert set(data.x) == {"x"}


def test_validation_chooses_and_test_does_not() -> None:
    better_on_test = np.array([[[0.5, 1.0], [0.4, 1.0]]] * 2)
    better_on_validation = np.array([[[0.6, 0.1], [0.7, 0.2]], [[0.6, 0.3], [0.7, 0.4]]])
    curves = {Setting(0.1): better_on_test, Setting(0.2): better_on_validation}
    setting, epoch, test = few.chosen(curves)
    assert (setting, epoch) == (Setting(0.2), 1)
    np.testing.assert_array_equal(test, [0.2, 0.4])


def test_an_attack_that_leaves_its_ball_is_refused() -> None:
    x = np.full((2, 3), 0.5, np.float32)
    attack = {"pgd_epsilon": 0.2, "adv_step_size": 0.1}
    claim_attack.check_moved(x, x + 0.2, attack)
    for moved in (x + 0.21, x - 0.51):
        with pytest.raises(ValueError, match=r"more than 0\.2 or out of"):
            claim_attack.check_moved(x, moved, attack)


@pytest.mark.slow
def test_attacks_lower_the_accuracy_of_a_model(tmp_path: Path) -> None:
    """On images whose upper or lower half is bright."""
    labels = np.arange(200) % 2
    images = np.random.default_rng(0).integers(0, 100, (200, 28, 28), np.uint8)
    images[:, :14] += 60 * labels[:, None, None].astype(np.uint8)
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    arguments = [str(path), "--epochs=2", "--attack-steps=3", "--train=200", "--test=100"]
    options: Any = claim_attack.parse_options(arguments)
    lines: list[str] = []
    data = claim_attack.load(options.path, options.train, options.test)
    results = claim_attack.measure(0, data, options, lines.append)
    assert list(results) == ["base", "FGSM-trained", "PGD-trained"]
    assert results["base"]["clean"] > results["base"]["FGSM"]
    assert len(lines) == 3
    assert claim_attack.table([results]).count("\n") == 4
