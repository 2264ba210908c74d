"""An upload is seen when it is complete, and leaves nothing when it is not."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from fsspec.implementations.arrow import ArrowFSWrapper
from pyarrow.fs import LocalFileSystem

from nsl_tools.files.outputs import Outputs
from nsl_tools.files.publishing import OutputError
from nsl_tools.files.stores.upload import Upload, abort_left_uploads

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from s3_server import S3Server

DATA = random.Random(1).randbytes(12 << 20)  # noqa: S311 - any bytes


@pytest.fixture(autouse=True)
def small_parts() -> Iterator[None]:
    with mock.patch.object(Upload, "part_bytes", 5 << 20):
        yield


@pytest.mark.parametrize("size", [0, 1, 5 << 20, 12 << 20])
def test_nothing_is_seen_before_all_is(s3: S3Server, size: int) -> None:
    s3.put("x", b"old")
    with Outputs() as outputs, outputs.open("s3://box/x") as file:
        for place in range(0, size, 1 << 20):
            file.write(DATA[:size][place : place + (1 << 20)])
            assert s3.get("x") == b"old"
    assert s3.get("x") == DATA[:size]
    assert s3.uploads() == []
    assert [written.bytes for written in outputs.written] == [size]


def test_a_failure_leaves_nothing(s3: S3Server) -> None:
    s3.put("x", b"old")
    with pytest.raises(RuntimeError), Outputs() as outputs, outputs.open("s3://box/x") as file:
        file.write(DATA)
        assert s3.uploads() == ["x"]
        raise RuntimeError
    assert s3.get("x") == b"old"
    assert s3.uploads() == []


def test_an_upload_whose_number_is_not_known_is_removed(s3: S3Server) -> None:
    """As where a signal comes while the store answers."""
    upload = Upload("s3://box/x")
    upload.write(memoryview(DATA))
    assert s3.uploads() == ["x"]
    upload._file.mpu = None
    upload.discard()
    assert s3.uploads() == []


def test_what_a_killed_run_left_is_removed_by_the_next(s3: S3Server) -> None:
    for key in ("x", "x2"):
        s3.client.create_multipart_upload(Bucket="box", Key=key)
    abort_left_uploads(["s3://box/x", "memory://x"])
    assert s3.uploads() == ["x2"]


@pytest.mark.parametrize("fault", ["busy", "broken"])
def test_a_part_is_sent_again(s3: S3Server, fault: str) -> None:
    answers = iter([fault, None, None, fault] + [None] * 100)
    s3.fault = lambda method, _: next(answers) if method in ("PUT", "POST") else None
    with Outputs() as outputs, outputs.open("s3://box/x") as file:
        file.write(DATA)
    assert s3.get("x") == DATA


def test_a_refusal_is_one_line(s3: S3Server) -> None:
    s3.fault = lambda method, _: "token ended" if method in ("PUT", "POST") else None
    said = r"^s3://box/x: cannot be written: .*token has expired"
    with pytest.raises(OutputError, match=said), Outputs() as outputs:  # noqa: SIM117 - its end too
        with outputs.open("s3://box/x") as file:
            file.write(DATA)
    s3.fault = lambda _method, _path: None
    assert s3.keys() == s3.uploads() == []


@pytest.mark.parametrize("fails", [False, True])
def test_hdfs_renames_what_is_complete(tmp_path: Path, fails: bool) -> None:
    """Here by pyarrow's file system of the local disk, which is driven as that of HDFS is."""
    store = ArrowFSWrapper(LocalFileSystem())
    (tmp_path / "x").write_bytes(b"old")
    with mock.patch("nsl_tools.files.stores.upload.store_of", lambda path: (store, path[6:])):
        upload = Upload(f"hdfs:/{tmp_path}/x")
    upload.write(memoryview(b"abc"))
    upload.finish()
    assert (tmp_path / "x").read_bytes() == b"old"
    if not fails:
        upload.commit()
    upload.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_bytes() == (b"old" if fails else b"abc")
