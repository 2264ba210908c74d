"""pack-nbrs --soft-labels: probabilities of spread-labels become the targets of seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from oracles import right_features
from support import read_payloads, write_examples

from nsl_tools.errors import DataError, UsageError
from nsl_tools.options import PackOptions, SpreadOptions
from nsl_tools.pack_nbrs.pipeline import pack_nbrs
from nsl_tools.spread_labels.pipeline import spread_labels

if TYPE_CHECKING:
    from pathlib import Path

LABELED = [{"id": [b"l%d" % i], "label": [i % 2], "x": [0.5] * i} for i in range(4)]
UNLABELED = [{"id": [b"u%d" % i], "x": [1.0] * (i % 3)} for i in range(5)]
GRAPH = "".join(f"u{i}\tl{i % 4}\t0.9\nl{i % 4}\tu{i}\t0.8\n" for i in range(4))


@pytest.fixture
def paths(tmp_path: Path) -> tuple[str, str, str]:
    (tmp_path / "g").write_text(GRAPH)
    examples = [{k: v for k, v in row.items() if v} for row in LABELED + UNLABELED]
    labeled = write_examples(tmp_path / "l", examples[:4])
    return labeled, write_examples(tmp_path / "u", examples[4:]), f"{tmp_path}/g"


def spread(paths: tuple[str, str, str], output: str) -> str:
    spread_labels(paths[0], paths[2], output, SpreadOptions())
    return output


def features(path: str) -> list[Any]:
    return [right_features(payload) for payload in read_payloads(path)]


def floats(row: Any, name: str) -> list[float]:
    return np.frombuffer(row[name.encode()][1], "<f4").tolist()


def test_seeds_get_what_spread_labels_found(paths: tuple[str, str, str], tmp_path: Path) -> None:
    """In a set of shards as in a file; an unlabeled seed that the graph lacks counts nothing."""
    right = {
        row[b"id"][1][0]: (floats(row, "probabilities"), floats(row, "confidence"))
        for row in features(spread(paths, f"{tmp_path}/s"))
    }
    spread(paths, f"{tmp_path}/s@3")
    for soft in ("s", "s@3"):
        options = PackOptions(seed_unlabeled=True, soft_labels=f"{tmp_path}/{soft}")
        statistics = pack_nbrs(*paths, f"{tmp_path}/m{len(soft)}", options)
        packed = features(f"{tmp_path}/m{len(soft)}")
        assert len(packed) == 9
        for row in packed:
            expected = right.get(row[b"id"][1][0], ([0.0, 0.0], [0.0]))
            assert (floats(row, "NL_soft_label"), floats(row, "NL_label_weight")) == expected
        assert statistics.warnings["seeds without soft labels, which get weight 0"] == 1
    own = [floats(row, "NL_soft_label") for row in packed[:4]]
    assert own == [[1.0, 0.0], [0.0, 1.0]] * 2


def test_labeled_seeds_alone_get_theirs_too(paths: tuple[str, str, str], tmp_path: Path) -> None:
    soft = spread(paths, f"{tmp_path}/s")
    pack_nbrs(*paths, f"{tmp_path}/m", PackOptions(soft_labels=soft))
    assert [floats(row, "NL_label_weight") for row in features(f"{tmp_path}/m")] == [[1.0]] * 4


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([{"id": [b"l0"], "probabilities": [1.0], "confidence": [1.0]}],
         "s: no record of the labeled example 'l1': expected what spread-labels makes"),
        ([{"id": [b"l%d" % i], "confidence": [1.0]} for i in range(4)], "no feature 'probab"),
        ([{"id": [b"l%d" % i], "probabilities": [1], "confidence": [1.0]} for i in range(4)],
         "feature 'probabilities' is int64, expected floats"),
        ([{"id": [b"l%d" % i], "probabilities": [1.0] * (1 + i // 3), "confidence": [1.0]}
          for i in range(4)], "record 3 .* has 2 values, expected 1|2 classes, earlier"),
        ([{"id": [b"l%d" % i], "probabilities": [1.0], "confidence": [1.0, 2.0]}
          for i in range(4)], "feature 'confidence' has several values"),
    ],
)  # fmt: skip
def test_other_files_are_refused(
    paths: tuple[str, str, str], tmp_path: Path, rows: list[dict[str, Any]], problem: str
) -> None:
    soft = write_examples(tmp_path / "s", rows)
    with pytest.raises(DataError, match=problem):
        pack_nbrs(*paths, f"{tmp_path}/m", PackOptions(soft_labels=soft))
    assert not (tmp_path / "m").exists()


def test_a_seed_that_has_a_soft_label_is_refused(
    paths: tuple[str, str, str], tmp_path: Path
) -> None:
    soft = spread(paths, f"{tmp_path}/s")
    rows = [{**row, "NL_soft_label": [1.0]} for row in LABELED]
    labeled = write_examples(tmp_path / "l", [{k: v for k, v in r.items() if v} for r in rows])
    with pytest.raises(DataError, match="already has feature 'NL_soft_label'"):
        pack_nbrs(labeled, *paths[1:], f"{tmp_path}/m", PackOptions(soft_labels=soft))


@pytest.mark.own_memory("gives a limit that is too small")
def test_soft_labels_that_do_not_fit_are_refused(
    paths: tuple[str, str, str], tmp_path: Path
) -> None:
    classes = 300_000
    rows = [{"id": [b"l%d" % i], "probabilities": [0.1] * classes, "confidence": [1.0]}
            for i in range(4)]  # fmt: skip
    options = PackOptions(soft_labels=write_examples(tmp_path / "s", rows), memory_limit=64_000_000)
    with pytest.raises(UsageError, match="for the soft labels of 4 seeds, received 64 MB"):
        pack_nbrs(*paths, f"{tmp_path}/m", options)
