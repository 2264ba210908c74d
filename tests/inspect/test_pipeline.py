"""`nsl-tools inspect`: what kind of files these are, and what the command says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import support

from nsl_tools.errors import UsageError
from nsl_tools.inspect.pipeline import inspect
from nsl_tools.options import InspectOptions

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Run


@pytest.mark.parametrize("suffix", ["tsv", "parquet", "npz", "h5"])
def test_a_graph_of_any_format(job: Path, run: Run, suffix: str) -> None:
    assert run("build-graph", "embeddings", f"g.{suffix}").returncode == 0
    done = run("inspect", f"g.{suffix}", "--json", "--examples=embeddings")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["kind"] == "graph"
    assert found["overview"]["edges"] == 20
    assert found["overview"]["reciprocity"] == 1
    # Matrices have no ids.
    assert (found["overview"]["nodes"] == 5) == (suffix in ("tsv", "parquet"))
    assert job.joinpath(f"g.{suffix}").exists()


def test_what_files_hold_decides(job: Path) -> None:
    np.save(job / "v.npy", np.eye(3, dtype=np.float32))
    np.savez(job / "v.npz", a=np.eye(3, dtype=np.float32), b=np.eye(2, dtype=np.float32))
    support.write_examples("merged", [{"id": [b"a"], "NL_num_nbrs": [0], "embedding": [1.0]}])
    support.write_examples("others", [{"id": [b"a"], "x": [1.0]}])
    for path, kind in (
        ("embeddings", "embeddings"),
        ("v.npy", "embeddings"),
        ("v.npz:b", "embeddings"),
        ("graph", "graph"),
        ("merged", "packed examples"),
        ("others", "examples"),
    ):
        found, _ = inspect([path], InspectOptions())
        assert found.kind == kind, path
    found, _ = inspect(["v.npz:b"], InspectOptions())
    assert found.as_json()["overview"]["dimension"] == 2


def test_options_for_another_kind_are_refused(job: Path) -> None:
    with pytest.raises(UsageError, match="--examples: expected a graph"):
        inspect(["embeddings"], InspectOptions(), ["labeled"])
    support.write_examples("others", [{"id": [b"a"], "x": [1.0]}])
    refused: list[tuple[str, dict[str, Any], str]] = [
        ("others", {"labels": "labeled"}, "--labels: expected a graph or embeddings, received ex"),
        ("others", {"sample": 9}, "--sample: expected embeddings, received examples"),
        ("graph", {"array": "a"}, "--array: expected embeddings, received graph"),
        ("graph", {"random_seed": 1}, "--random-seed: expected embeddings, received graph"),
        ("graph", {"ids": "x"}, "--ids: expected embeddings, or --labels by row, received graph"),
        ("graph", {"label_feature": "y"}, "--label-feature-name: expected --labels, or examples"),
        ("embeddings", {"graph_ids": "x"}, "--graph-ids: expected a graph, received embeddings"),
    ]
    for path, options, said in refused:
        with pytest.raises(UsageError, match=said):
            inspect([path], InspectOptions(**options))
    assert job.exists()


def test_a_graph_from_a_pipe(job: Path, run: Run) -> None:
    done = run("inspect", "-", input=job.joinpath("graph").read_bytes())
    assert done.returncode == 0, done.stderr
    assert b"4  edges\n" in done.stdout


def test_what_is_wrong_is_one_line(job: Path, run: Run) -> None:
    for args, status, problem in (
        (["nowhere"], 1, b"inspect: error: nowhere: no such file"),
        (["graph", "embeddings"], 2, b"inspect: error: INPUTS: expected files that hold the same"),
        (["embeddings", "--sample=0"], 2, b"inspect: error: --sample: expected"),
    ):
        done = run("inspect", *args)
        assert (done.returncode, done.stdout) == (status, b"")
        assert done.stderr.startswith(problem), done.stderr
        assert done.stderr.count(b"\n") == 1
    assert job.exists()


def test_records_that_cannot_be_used_are_told(job: Path, run: Run) -> None:
    support.write_examples("e", [{"id": [b"a"], "embedding": [1.0, 2.0]}, {"id": [b"b"]}])
    done = run("inspect", "e")
    assert done.returncode == 0
    assert b"1  records that cannot be used\n" in done.stdout
    assert done.stderr == b"inspect: warning: skipped: embedding not usable (1)\n"
    assert job.exists()
