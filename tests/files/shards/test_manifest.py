"""The manifest of a shard set: what it says is so, and a set that differs from it is refused."""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import google_crc32c
import pytest

from nsl_tools.errors import DataError
from nsl_tools.files.paths import resolve_inputs
from nsl_tools.files.streams import source
from nsl_tools.formats.tfrecord.frames import frame
from nsl_tools.formats.tfrecord.reader import read_batches
from nsl_tools.formats.tfrecord.writer import write_records

if TYPE_CHECKING:
    from conftest import Run

_MANIFEST = ".set@3.manifest.json"
_SHARDS = [f"set-0000{i}-of-00003" for i in range(3)]
_PAYLOADS = [b"record %d" % i for i in range(9)]
_OTHERS = [b"differs%d" % i for i in range(9)]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set of 3 shards of 3 equally long records each, in the current folder."""
    monkeypatch.chdir(tmp_path)
    write_records("set@3", _PAYLOADS, len(_PAYLOADS))
    return tmp_path


def _read(path: str = "set@3") -> list[bytes]:
    return [
        payload
        for name in resolve_inputs([path])
        for batch in read_batches(source(name))
        for payload in batch.payloads
    ]


def test_it_says_what_each_shard_holds() -> None:
    """And no glob of the shards catches it."""
    found = json.loads(Path(_MANIFEST).read_text())
    assert (found["format"], found["complete"], found["run"]) == (1, True, None)
    assert found["shards"] == [
        {
            "name": name,
            "bytes": os.path.getsize(name),
            "records": 3,
            "crc32c": f"{google_crc32c.value(Path(name).read_bytes()):08x}",
        }
        for name in _SHARDS
    ]
    assert sorted(glob.glob("set*")) == sorted(glob.glob("*")) == _SHARDS
    assert _read() == _read("set-*") == _PAYLOADS


@pytest.mark.parametrize(
    ("compression", "spec"), [("none", "plain@2"), ("gzip", "packed@2"), ("zlib", "zlib@2")]
)
def test_compressed_sets_are_compared_too(compression: str, spec: str) -> None:
    """By the bytes of the file."""
    write_records(spec, _PAYLOADS, len(_PAYLOADS), compression)
    assert _read(spec) == _PAYLOADS
    second = Path(f"{spec[:-2]}-00001-of-00002")
    shutil.copyfile(f"{spec[:-2]}-00000-of-00002", second)
    with pytest.raises(DataError, match=re.escape(second.name)):
        _read(spec)


def _cut() -> None:
    path = Path(_SHARDS[1])
    path.write_bytes(path.read_bytes()[: 2 * len(frame(_PAYLOADS[0]))])


def _swap() -> None:
    os.rename(_SHARDS[1], "aside")
    os.rename(_SHARDS[2], _SHARDS[1])
    os.rename("aside", _SHARDS[2])


def _mix() -> None:
    Path(_SHARDS[1]).write_bytes(frame(*_OTHERS[3:6]))


def _lose() -> None:
    os.unlink(_SHARDS[1])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_cut, "48 bytes long, expected 72 (3 records) as .set@3.manifest.json says: "),
        (_swap, f"the content is that of {_SHARDS[2]}, expected 3 records of checksum "),
        (_mix, "the content is of checksum "),
        (_lose, "shard missing from set@3"),
    ],
)
def test_a_set_that_differs_is_refused(spoil: object, said: str) -> None:
    """Whether all of it is read or that shard alone; without a manifest it is read as it is."""
    assert callable(spoil)
    spoil()
    with pytest.raises(DataError) as caught:
        _read()
    assert str(caught.value).startswith(f"{_SHARDS[1]}: {said}")
    assert "\n" not in str(caught.value)
    if spoil is not _lose:
        with pytest.raises(DataError, match=_SHARDS[1]):
            _read(_SHARDS[1])
        os.unlink(_MANIFEST)
        assert len(_read()) == 9 - (spoil is _cut)


_SHARD = b'{"name": "a", "bytes": 1, "records": 1, "crc32c": "0"}'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is no JSON"),
        (b"\xff", "it is no JSON"),
        (b"[" * 1_000_000, "it is nested too deeply"),
        (b"[]", "the file: expected an object, found a list"),
        (b"{}", "shards: expected a list, found nothing"),
        (b'{"shards": {}}', "shards: expected a list, found an object"),
        (b'{"shards": []}', "complete: expected true or false, found nothing"),
        (b'{"shards": [], "complete": 1}', "complete: expected true or false, found a number"),
        (b'{"shards": [], "complete": true}', "run: expected an object, found nothing"),
        (b'{"shards": [], "complete": true, "run": 1.5}', "run: expected an object, found a num"),
        (b'{"shards": [{}], "complete": true, "run": null}', "name of a shard: expected a text"),
        (b'{"shards": [7], "complete": true, "run": null}', "a shard: expected an object"),
        *(
            (
                b'{"shards": [%s], "complete": true, "run": null}' % _SHARD.replace(was, wrong),
                said,
            )
            for was, wrong, said in (
                (b'"bytes": 1', b'"bytes": -1', "bytes of a shard: expected a whole number"),
                (b'"bytes": 1', b'"bytes": true', "bytes of a shard: expected a whole number"),
                (b'"records": 1', b'"records": "1"', "records of a shard: expected a whole n"),
                (b'"crc32c": "0"', b'"crc32c": 0', "crc32c of a shard: expected a text"),
            )
        ),
        *(
            (b'{"shards": [], "complete": true, "run": %s}' % run, said)
            for run, said in (
                (b"{}", "options of the run: expected an object, found nothing"),
                (b'{"options": {}, "inputs": []}', "inputs of the run: expected an object"),
                (b'{"options": {}, "inputs": {"a": 1}}', "inputs of the run: expected lists"),
                (b'{"options": {}, "inputs": {"a": ["b"]}}', "an input of the run: expected an"),
                (b'{"options": {}, "inputs": {"a": [{}]}}', "name of an input: expected a text"),
            )
        ),
    ],
)
def test_what_is_not_a_manifest_is_refused(content: bytes, said: str, run: Run) -> None:
    """By its name, with what it lacks and what to do, in readers and in `--resume`."""
    Path(_MANIFEST).write_bytes(content)
    line = rf"\.set@3\.manifest\.json: is not a manifest of shards: {said}"
    with pytest.raises(DataError, match=rf"{line}.*: write the set again, or remove that file"):
        _read()
    Path("graph").write_text("a\tb\n")
    done = run("pack-nbrs", "set-00000-of-00003", "", "graph", "set@3", "--resume")
    assert done.returncode != 0
    assert done.stderr.count(b"\n") == 1
    assert b"Traceback" not in done.stderr


def test_names_that_only_look_like_shards_of_the_set() -> None:
    """They are read as they are."""
    for name in ("set-00007-of-00003", "set-000001-of-00003", "other-00000-of-00003"):
        shutil.copyfile(_SHARDS[0], name)
        assert _read(name) == _PAYLOADS[:3]


# Writes a set, and dies without any cleaning up at the given call of a function of `os`.
_DYING = """
import os, sys
from nsl_tools.formats.tfrecord.writer import write_records
name, count = sys.argv[1], int(sys.argv[2])
real, calls = getattr(os, name), [0]
def dying(*args, **options):
    calls[0] += 1
    if calls[0] == count:
        os._exit(9)
    return real(*args, **options)
setattr(os, name, dying)
write_records("set@3", [b"differs%d" % i for i in range(9)], 9)
"""


@pytest.mark.slow
@pytest.mark.parametrize("old", [True, False])
def test_a_run_that_dies_at_any_moment_leaves_a_set_that_is_whole_or_refused(old: bool) -> None:
    """At each rename and sync; all shards are equally long, so that sizes tell nothing."""
    outcomes, said = [], []
    for call, most in (("replace", 6), ("fsync", 9)):
        for count in range(1, most + 1):
            for name in (*_SHARDS, _MANIFEST):
                Path(name).unlink(missing_ok=True)
            if old:
                write_records("set@3", _PAYLOADS, 9)
            command = [sys.executable, "-c", _DYING, call, str(count)]
            died = subprocess.run(command, check=False).returncode == 9
            try:
                found = _read()
            except DataError as err:
                outcomes.append("refused")
                said.append(str(err))
                assert died
            else:
                outcomes.append("old" if found == _PAYLOADS else "new")
                assert found in (_PAYLOADS, _OTHERS)
    assert not any("\n" in line for line in said)
    assert set(outcomes) == ({"old", "new", "refused"} if old else {"new", "refused"})


def test_both_tools_read_and_write_manifests(job: Path, run: Run) -> None:
    """A graph that is cut between two lines is refused, and so are packed examples."""
    assert run("build-graph", "-k", "2", "embeddings", "g@2").returncode == 0
    manifest = json.loads((job / ".g@2.manifest.json").read_text())
    lines = [(job / shard["name"]).read_bytes().count(b"\n") for shard in manifest["shards"]]
    assert [shard["records"] for shard in manifest["shards"]] == lines
    assert manifest["run"]["tool"] == "build-graph"
    assert manifest["run"]["options"]["k"] == 2
    (state,) = manifest["run"]["inputs"]["embeddings"]
    assert (state["name"], state["bytes"]) == ("embeddings", (job / "embeddings").stat().st_size)
    assert run("pack-nbrs", "labeled", "unlabeled", "g@2", "out@2").returncode == 0
    shard = job / "g-00001-of-00002"
    shard.write_bytes(b"".join(shard.read_bytes().splitlines(keepends=True)[:-1]))
    done = run("pack-nbrs", "labeled", "unlabeled", "g@2", "out")
    assert done.returncode == 1
    assert done.stderr.startswith(b"pack-nbrs: error: g-00001-of-00002: ")
    assert done.stderr.count(b"\n") == 1
    assert not (job / "out").exists()
