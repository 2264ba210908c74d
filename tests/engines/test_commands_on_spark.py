"""The command lines on a cluster of Spark: each starts a session of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Run

pytestmark = [pytest.mark.spark, pytest.mark.own_memory("runs in processes of its own")]


def test_both_commands_give_the_same_files(job: Path, spark_master: str, run: Run) -> None:
    on_spark = ["--engine=spark", f"--spark-master={spark_master}"]
    for name, engine in (("a.tsv", []), ("b.tsv", on_spark)):
        done = run("build-graph", *engine, "embeddings", name, timeout=240)
        assert done.returncode == 0, done.stderr
        packed = name.replace("tsv", "tfr")
        done = run("pack-nbrs", *engine, "labeled", "unlabeled", name, packed, timeout=240)
        assert done.returncode == 0, done.stderr
    for kind in ("tsv", "tfr"):
        assert (job / f"a.{kind}").read_bytes() == (job / f"b.{kind}").read_bytes() != b""
    assert not [path.name for path in job.iterdir() if "nsl-tools" in path.name]


def test_a_master_that_is_not_there_is_told_in_one_line(job: Path, run: Run) -> None:
    on_spark = ["--engine=spark", "--spark-master=yarn-or-not"]
    done = run("build-graph", *on_spark, "embeddings", "out", timeout=240)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(b"build-graph: error: spark: cannot be started:")
    assert not (job / "out").exists()
