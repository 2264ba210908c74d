"""Sets of shards in a store: complete or said not to be, and taken up again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nsl_tools.errors import DataError
from nsl_tools.files.paths import resolve_inputs
from nsl_tools.files.publishing import OutputError
from nsl_tools.files.shards.provenance import provenance_of
from nsl_tools.files.shards.run_output import run_output
from nsl_tools.options import PackOptions
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from s3_server import S3Server

    from nsl_tools.files.shards.manifest import Provenance
    from nsl_tools.files.shards.shard_set import ShardSet

SHARDS = [f"out-{i:05d}-of-00003" for i in range(3)]
MANIFEST = ".out@3.manifest.json"


def our_run(tool: str = "pack-nbrs") -> Provenance:
    return provenance_of(tool, PackOptions(), {})


def a_set(*, resume: bool = False, run: Provenance | None = None) -> ShardSet:
    options = PackOptions(resume=resume)
    return run_output("s3://box/out@3", run or our_run(), options, Statistics(), None)


def write(shards: ShardSet, text: str, fail_at: int | None = None) -> list[str]:
    """Write what is not there yet; return the names of that."""
    written = []
    with shards:
        for name, rows in shards.parts(6):
            if fail_at is not None and name.endswith(SHARDS[fail_at]):
                raise RuntimeError
            with shards.open_part(name) as part:
                part.write(f"{text} {rows.start}".encode())
                part.records = len(rows)
            written.append(name.rpartition("/")[2])
    return written


def test_a_set_is_written_and_read(s3: S3Server) -> None:
    assert write(a_set(), "a") == SHARDS
    assert sorted(s3.keys()) == sorted([*SHARDS, MANIFEST])
    assert [s3.get(name) for name in SHARDS] == [b"a 0", b"a 2", b"a 4"]
    assert resolve_inputs(["s3://box/out@3"]) == [f"s3://box/{name}" for name in SHARDS]


def test_a_run_that_fails_changes_nothing(s3: S3Server) -> None:
    write(a_set(), "a")
    before = s3.objects()
    with pytest.raises(RuntimeError):
        write(a_set(), "b", fail_at=2)
    assert s3.objects() == before
    assert s3.uploads() == []


def test_a_run_is_taken_up(s3: S3Server) -> None:
    with pytest.raises(RuntimeError):
        write(a_set(resume=True), "a", fail_at=2)
    with pytest.raises(DataError, match=r"missing|not all shards"):
        resolve_inputs(["s3://box/out@3"])
    assert write(a_set(resume=True), "a") == SHARDS[2:]
    assert [s3.get(name) for name in SHARDS] == [b"a 0", b"a 2", b"a 4"]
    resolve_inputs(["s3://box/out@3"])
    assert write(a_set(resume=True), "a") == []


def test_a_set_of_the_same_run_is_complete(s3: S3Server) -> None:
    write(a_set(), "a")
    before = s3.objects()
    assert write(a_set(resume=True), "b") == []
    assert s3.objects() == before


def test_shards_that_are_not_as_they_were_are_written_again(s3: S3Server) -> None:
    with pytest.raises(RuntimeError):
        write(a_set(resume=True), "a", fail_at=2)
    s3.put(SHARDS[0], b"x 0")
    assert write(a_set(resume=True), "a") == [SHARDS[0], SHARDS[2]]


@pytest.mark.usefixtures("s3")
def test_shards_of_another_run_are_not_taken_up() -> None:
    with pytest.raises(RuntimeError):
        write(a_set(resume=True), "a", fail_at=2)
    with pytest.raises(OutputError, match="there are shards of another run: tool was 'pack-nbrs'"):
        write(a_set(resume=True, run=our_run("convert")), "a")


def test_what_a_killed_run_left_is_removed(s3: S3Server) -> None:
    for name in (*SHARDS, MANIFEST, "another"):
        s3.client.create_multipart_upload(Bucket="box", Key=name)
    write(a_set(), "a")
    assert s3.uploads() == ["another"]


@pytest.mark.slow
@pytest.mark.parametrize("refused", range(5))
def test_a_store_that_refuses_to_complete_leaves_a_set_that_says_so(
    s3: S3Server, refused: int
) -> None:
    """The manifest is first and last: whatever comes between, no reader takes a mixed set."""
    write(a_set(), "old")
    calls = [0]

    def fault(method: str, path: str) -> str | None:
        if method == "POST" and "uploadId" in path:
            calls[0] += 1
            return "denied" if calls[0] > refused else None
        return None

    s3.fault = fault
    with pytest.raises(OutputError, match="cannot be written: Access Denied"):
        write(a_set(), "new")
    s3.fault = lambda _method, _path: None
    assert s3.uploads() == []
    if refused:
        with pytest.raises(DataError, match="not all shards of this set are in place"):
            resolve_inputs(["s3://box/out@3"])
    else:
        assert [s3.get(name) for name in SHARDS] == [b"old 0", b"old 2", b"old 4"]
