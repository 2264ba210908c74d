"""What decides about the content of a set: told from what does not, and in words."""

from __future__ import annotations

import json
import os
from dataclasses import fields, replace
from pathlib import Path

import pytest

from nsl_tools import __version__
from nsl_tools.files.shards import provenance
from nsl_tools.files.shards.provenance import difference, input_state, provenance_of, streams_of
from nsl_tools.options import BuildGraphOptions, PackOptions

_FREE = {
    "memory_limit": 10**9, "threads": 2, "resume": True, "report": "r.json",
    "engine": "spark", "spark_master": "spark://x:7077", "work_dir": "w",
}  # fmt: skip
_OTHERS: dict[str, object] = {
    "k": None, "similarity_threshold": 0.5, "embedding_feature": "e", "lsh_splits": 1,
    "lsh_rounds": 3, "random_seed": 1, "ids": "i", "recall": 0.5, "id_feature": "i",
    "array": "a", "embedding_columns": "e*", "weights": "distance", "edge_ids": "rows",
    "allow_empty": True, "max_errors": 1, "on_duplicate": "last", "max_record_bytes": 1,
}  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the files `a` and `b`."""
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        Path(name).write_bytes(b"0123456789")
        os.utime(name, (1, 1))
    return tmp_path


def run_of(*files: str, **options: object) -> provenance.Provenance:
    """Return the provenance of a run over files."""
    given = replace(BuildGraphOptions(), **options)  # type: ignore[arg-type]
    return provenance_of("build-graph", given, {"embeddings": files, "seeds": []})


def test_it_can_be_written_as_json() -> None:
    """It is equal once it is read again."""
    run = run_of("a", "b")
    assert run["version"] == __version__
    assert difference(json.loads(json.dumps(run)), run) == ""


def test_options_that_change_no_byte_do_not_matter() -> None:
    assert difference(run_of("a"), run_of("a", **_FREE)) == ""


def test_any_other_option_matters() -> None:
    """By its name, with its values."""
    assert {field.name for field in fields(BuildGraphOptions)} == _FREE.keys() | _OTHERS.keys()
    old = run_of("a")
    for name, value in _OTHERS.items():
        was = getattr(BuildGraphOptions(), name)
        # LSH and recall exclude each other, and so on: what a run was given is not checked here.
        new = {**run_of("a"), "options": {**old["options"], name: value}}
        assert difference(old, new) == f"option {name} was {was!r}, is {value!r}"
        assert difference(new, new) == ""


def test_tool_and_version_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    old = provenance_of("build-graph", PackOptions(), {})
    monkeypatch.setattr(provenance, "__version__", "0.0")
    said = difference(old, provenance_of("pack-nbrs", PackOptions(), {}))
    version = f"version was {__version__!r}, is '0.0'"
    assert said == f"tool was 'build-graph', is 'pack-nbrs'; {version}"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["a", "b"], ""),
        (["a"], "embeddings: files was 'a b', is 'a'"),
        (["a", "b", "b"], "embeddings: files was 'a b', is 'a b b'"),
        (["b", "a"], "embeddings: files was 'a b', is 'b a'"),
        ([], "embeddings: files was 'a b', is ''"),
    ],
)
def test_more_or_other_files_are_noticed(files: list[str], said: str) -> None:
    """By their names, in their order."""
    assert difference(run_of("a", "b"), run_of(*files)) == said


def test_files_of_another_kind_are_noticed() -> None:
    old = provenance_of("build-graph", BuildGraphOptions(), {"embeddings": ["a"]})
    assert difference(old, {**run_of("a"), "inputs": {"embeddings": [], "seeds": []}})
    new = provenance_of("build-graph", BuildGraphOptions(), {"embeddings": ["a"], "seeds": ["b"]})
    assert difference(old, new) == "seeds: files was '', is 'b'"


def test_a_file_that_changed_is_noticed() -> None:
    """By its size or one of its times, of which nobody can set that of the inode."""
    old = run_of("a", "b")
    said = "embeddings: b has changed since"
    while (now := run_of("a", "b")) == old:  # a tick of the clock
        os.utime("b", (1, 1))
    assert difference(old, now) == said
    os.utime("b", (2, 2))
    assert difference(now, run_of("a", "b")) == said
    Path("b").write_bytes(b"01234")
    assert difference(old, run_of("a", "b")) == said


def test_a_file_is_told_wherever_it_lies(folder: Path) -> None:
    """By its name alone, so that a set may be moved with its inputs."""
    state = input_state("a")
    assert state == input_state(f"{folder}/a")
    assert state["name"] == "a"
    assert state["bytes"] == 10
    assert (state["mtime_ns"], state["ctime_ns"] > 10**9) == (10**9, True)


def test_streams_can_be_read_only_once() -> None:
    """What is there and no file, and what is not there."""
    os.mkfifo("pipe")
    assert streams_of(run_of("a", "-", "pipe", "b")) == ["-", "pipe"]
    assert streams_of(run_of("a")) == []
    assert input_state("pipe") == {"name": "pipe"}


def test_of_what_nothing_is_known_is_not_taken_for_the_same() -> None:
    assert difference(None, run_of("a")) == "it is not known of which"
    assert "tool was None, is 'build-graph'" in difference({"x": 1}, run_of("a"))
