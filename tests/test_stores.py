"""Both commands from and to a store: the same bytes as on disk, whatever happens on the way."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nsl_tools.options import PackOptions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from s3_server import S3Server

pytestmark = pytest.mark.slow  # processes, and a server in Python

SAMPLES = "data/samples"
INPUTS = ("embeddings.tfr", "labeled.tfr", "unlabeled.tfr")


def run(*args: str, ok: bool = True) -> str:
    """Run a command; return what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "nsl_tools", *args], check=False, capture_output=True, text=True
    )
    assert (done.returncode == 0) == ok, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """Return a folder with what both commands write on disk."""
    run("build-graph", "-q", f"{SAMPLES}/embeddings.tfr", f"{tmp_path}/g.tsv")
    pack = ["--max-nbrs=5", f"{SAMPLES}/labeled.tfr", f"{SAMPLES}/unlabeled.tfr"]
    run("pack-nbrs", "-q", *pack, f"{tmp_path}/g.tsv", f"{tmp_path}/m")
    return tmp_path


def put_samples(s3: S3Server) -> None:
    for name in INPUTS:
        with open(f"{SAMPLES}/{name}", "rb") as file:
            s3.put(f"in/{name}", file.read())


def pack_of(graph: str, output: str, *options: str) -> list[str]:
    inputs = ["s3://box/in/labeled.tfr", "s3://box/in/unlabeled.tfr"]
    return ["pack-nbrs", "--max-nbrs=5", *options, *inputs, graph, output]


def test_bytes_are_those_of_the_disk(s3: S3Server, local: Path) -> None:
    put_samples(s3)
    run("build-graph", "s3://box/in/embeddings.tfr", "s3://box/g.tsv", "--report=s3://box/r.json")
    assert s3.get("g.tsv") == (local / "g.tsv").read_bytes()
    report = json.loads(s3.get("r.json"))
    assert report["inputs"]["embeddings"][0]["name"] == "s3://box/in/embeddings.tfr"
    assert report["outputs"][0]["bytes"] == len(s3.get("g.tsv"))
    run(*pack_of("s3://box/g.tsv", "s3://box/m@3"))
    shards = [s3.get(f"m-{i:05d}-of-00003") for i in range(3)]
    assert b"".join(shards) == (local / "m").read_bytes()
    run(*pack_of("s3://box/g.tsv", "s3://box/m.gz", "--resume"), ok=False)
    run("convert", "-q", "s3://box/m@3", f"{local}/all")
    assert (local / "all").read_bytes() == (local / "m").read_bytes()


def test_tables_are_packed_within_a_store(s3: S3Server, local: Path) -> None:
    put_samples(s3)
    run("convert", "-q", "s3://box/in/labeled.tfr", "s3://box/in/labeled.parquet")
    table = pq.read_table(pa.BufferReader(s3.get("in/labeled.parquet")))
    run("convert", "-q", f"{SAMPLES}/labeled.tfr", f"{local}/labeled.parquet")
    assert table.equals(pq.read_table(local / "labeled.parquet"))
    args = ["s3://box/in/labeled.parquet", "s3://box/in/unlabeled.tfr", f"{local}/g.tsv"]
    run("pack-nbrs", "-q", "--max-nbrs=5", *args, "s3://box/m.parquet")
    run("convert", "-q", "s3://box/m.parquet", "s3://box/m")
    assert len(pq.read_table(pa.BufferReader(s3.get("m.parquet")))) == len(table)


def test_labels_are_spread_within_a_store(s3: S3Server, local: Path) -> None:
    put_samples(s3)
    s3.put("g.tsv", (local / "g.tsv").read_bytes())
    run("spread-labels", "-q", "s3://box/in/labeled.tfr", "s3://box/g.tsv", "s3://box/p")
    run("spread-labels", "-q", f"{SAMPLES}/labeled.tfr", f"{local}/g.tsv", f"{local}/p")
    assert s3.get("p") == (local / "p").read_bytes()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["build-graph", "s3://box/none", "s3://box/g"], "s3://box/none: no such file"),
        (["build-graph", "s3://none/x", "s3://box/g"], "s3://none/x: no such file"),
        (["build-graph", "s3://box/*.x", "s3://box/g"], "s3://box/*.x: no file matches this"),
        (
            ["build-graph", "s3://box/in", "s3://none/g"],
            "s3://none/g: there is no bucket s3://none",
        ),
        (["build-graph", "s3://box/in", "s3://box/in/g/"], "is a folder, expected a file name"),
        (["build-graph", "s3://box/in", "https://h/g"], "expected a store that takes files"),
        (
            ["build-graph", f"{SAMPLES}/embeddings.tfr", "s3://box/in/embeddings.tfr"],
            "is an existing TFRecord file",
        ),
        (
            ["build-graph", "s3://box/in/embeddings.tfr", "s3://box/in/embeddings.tfr"],
            "the output is also an input (s3://box/in/embeddings.tfr)",
        ),
        (
            ["build-graph", "s3://box/in/labeled.tfr", "s3://box/in/labeled.tfr", "s3://box/g"],
            "input named 2 times: s3://box/in/labeled.tfr",
        ),
    ],
)
def test_what_is_wrong_is_one_line(s3: S3Server, args: Sequence[str], said: str) -> None:
    put_samples(s3)
    lines = run(*args, ok=False)
    assert said in lines
    assert lines.count("\n") == 1
    assert sorted(s3.keys()) == sorted(f"in/{name}" for name in INPUTS)


def test_no_secret_is_in_any_message_or_report(s3: S3Server, tmp_path: Path) -> None:
    put_samples(s3)
    s3.fault = lambda method, _: "denied" if method in ("GET", "HEAD") else None
    lines = run("build-graph", "s3://box/in/embeddings.tfr", "x", ok=False)
    assert "VerySecret" not in lines
    web = f"{s3.url.replace('://', '://me:pass@')}/box/none?X-Amz-Signature=hidden"
    report = tmp_path / "report.json"
    lines += run("build-graph", web, f"{tmp_path}/x", f"--report={report}", ok=False)
    for text in (lines, report.read_text() if report.exists() else ""):
        assert not any(secret in text for secret in ("pass", "hidden", "VerySecret"))
    assert "://***@" in lines


@pytest.mark.slow
@pytest.mark.parametrize("output", ["s3://box/g", "s3://box/g@4"])
def test_a_killed_run_leaves_all_or_nothing(s3: S3Server, output: str) -> None:
    put_samples(s3)
    command = [sys.executable, "-m", "nsl_tools", "build-graph", "-q", "s3://box/in/embeddings.tfr"]
    draw = random.Random(3)  # noqa: S311 - moments
    run(*command[3:], output)
    whole = s3.objects()
    for signaled in [signal.SIGKILL, signal.SIGTERM] * 5:
        child = subprocess.Popen([*command, output], stderr=subprocess.DEVNULL)
        time.sleep(draw.uniform(0.5, 2.0))
        child.send_signal(signaled)
        child.wait()
        found = s3.objects()
        if "@" not in output:
            assert found == whole
    run(*command[3:], output)
    assert s3.objects() == whole
    assert s3.uploads() == []


def test_options_of_a_store_decide_about_no_byte(s3: S3Server, local: Path) -> None:
    """With little memory, what is asked for ahead stays small."""
    put_samples(s3)
    assert PackOptions().memory_limit is None
    run(*pack_of(f"{local}/g.tsv", "s3://box/m", "--memory-limit=32MB"))
    assert s3.get("m") == (local / "m").read_bytes()
