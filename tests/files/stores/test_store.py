"""What is at a URL, and what is said where nothing is."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import fsspec
import pytest

from nsl_tools.errors import UsageError
from nsl_tools.files.filesystem import (
    exists,
    files_within,
    first_bytes,
    is_folder,
    matching,
    state_of,
)
from nsl_tools.files.stores.store import is_remote, state_at, store_errors, store_of

if TYPE_CHECKING:
    from pathlib import Path

    from s3_server import S3Server


@pytest.mark.parametrize(
    ("path", "remote"),
    [("s3://b/k", True), ("https://h/x", True), ("memory://x", True), ("a:/b", False)]
    + [(name, False) for name in ("f", "/a//b", "./s3://b", "://x", "9p://x", "x y://b", "")],
)
def test_a_url_has_a_scheme(path: str, remote: bool) -> None:
    assert is_remote(path) == remote


def test_an_object_and_what_holds_it(s3: S3Server) -> None:
    for key in ("a/x.tfr", "a/y.tfr", "a/b/z.npy", "ab"):
        s3.put(key, key.encode())
    assert state_of("s3://box/a/x.tfr").is_regular
    assert state_of("s3://box/a/x.tfr").size == 7
    assert is_folder("s3://box/a")
    assert not is_folder("s3://box/ab")
    assert not is_folder("s3://box/c")
    assert exists("s3://box/ab")
    assert not exists("s3://box/abc")
    assert files_within("s3://box/a/") == [f"s3://box/a/{n}" for n in ("b/z.npy", "x.tfr", "y.tfr")]
    assert matching("s3://box/a/*.tfr") == ["s3://box/a/x.tfr", "s3://box/a/y.tfr"]
    assert matching("s3://box/ab") is None
    assert first_bytes("s3://box/ab", 1) == b"a"
    assert first_bytes("s3://box/none", 1) == b""


def test_another_version_has_another_state(s3: S3Server) -> None:
    s3.put("x", b"one")
    before = state_at("s3://box/x")
    assert state_at("s3://box/x") == before
    s3.put("x", b"two")
    assert state_at("s3://box/x") != before
    assert state_at("s3://box/x").identity == before.identity
    s3.put("y", b"two")
    assert state_at("s3://box/y").identity != before.identity


def test_a_question_mark_of_a_web_server_is_no_pattern() -> None:
    assert matching("https://h/f?sig=*") is None


def test_any_store_of_fsspec_serves() -> None:
    fsspec.filesystem("memory").pipe("/a/b", b"abc")
    assert state_of("memory://a/b").size == 3
    assert files_within("memory://a") == ["memory://a/b"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("foo://b/k", "foo://b/k: expected s3, gs, az, hdfs or https, received foo"),
        ("file:///x", "file:///x: expected the path of a local file, without file://"),
    ],
)
def test_an_unknown_store_is_a_usage_error(path: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        store_of(path)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("url", "package", "extra"),
    [
        ("s3://b/k", "s3fs", "s3"),
        ("gs://b/k", "gcsfs", "gcs"),
        ("az://b/k", "adlfs", "azure"),
        ("s3://b/k", "fsspec", "s3"),
        ("http://h/k", "fsspec", "stores"),
    ],
)
def test_what_is_not_installed_is_said(url: str, package: str, extra: str) -> None:
    lacking = (
        f"import sys; sys.modules[{package!r}] = None; sys.argv[1:] = {['build-graph', url, 'x']}"
    )
    program = f"{lacking}; from nsl_tools.cli.entry import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert f"pip install 'nsl-tools[{extra}]'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_whatever_a_package_raises_is_one_line() -> None:
    with pytest.raises(OSError, match=r"^.Errno 5. one$"), store_errors():
        raise RuntimeError("one\ntwo")
    with pytest.raises(OSError, match="odd"), store_errors():
        raise ValueError("odd")
    with pytest.raises(OSError, match="KeyboardTrouble"), store_errors():
        raise type("KeyboardTrouble", (Exception,), {})
    with pytest.raises(FileNotFoundError), store_errors():
        raise FileNotFoundError(2, "x")


def test_a_path_with_a_scheme_is_never_looked_up_on_disk(tmp_path: Path) -> None:
    """A store that is not reached is said to be so."""
    with pytest.raises(UsageError):
        exists(f"nothing://{tmp_path}")
