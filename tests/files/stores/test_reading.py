"""Bytes of a store are those of the object, whatever the store does on the way."""

from __future__ import annotations

import http.server
import io
import random
import threading
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nsl_tools.errors import DataError
from nsl_tools.files.filesystem import open_buffered, open_to_read, state_of
from nsl_tools.files.readings import opened
from nsl_tools.files.stores.reading import StoredFile
from nsl_tools.files.streams import read_exactly, rereadable, source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from s3_server import S3Server

DATA = random.Random(1).randbytes(10_000)  # noqa: S311 - any bytes


@pytest.fixture(autouse=True)
def small_pages() -> Iterator[None]:
    with mock.patch.object(StoredFile, "page_bytes", 500), mock.patch("time.sleep"):
        yield


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 11_000), st.integers(0, 3000), st.sampled_from([0, 1, 2])),
        max_size=8,
    )
)
def test_any_place_is_read_as_in_memory(s3: S3Server, steps: list[tuple[int, int, int]]) -> None:
    if not s3.keys():
        s3.put("x", DATA)
    expected = io.BytesIO(DATA)
    with open_buffered("s3://box/x") as file:
        for place, size, whence in steps:
            back = -min(place, 10_000) if whence == 2 else place
            assert file.seek(back, whence) == expected.seek(back, whence)
            assert file.read(size) == expected.read(size)


def ranges_of(s3: S3Server) -> list[str]:
    return [path for method, path in s3.requests if method == "GET"]


def test_more_and_more_is_asked_for_ahead_of_a_reader_in_order(s3: S3Server) -> None:
    s3.put("x", DATA)
    with open_to_read("s3://box/x") as file:
        s3.requests.clear()
        assert file.read(10) == DATA[:10]
        assert len(ranges_of(s3)) == 1
        assert read_exactly(file, 10_000) == DATA[10:]
    assert len(ranges_of(s3)) == 7  # of 1, 1, 2, 4, 4, 4 and 4 pages of 500 bytes


def test_what_is_far_away_is_read_alone(s3: S3Server) -> None:
    s3.put("x", DATA)
    with open_to_read("s3://box/x") as file:
        file.read(10)
        for place in (9000, 100, 5000, 4999):
            s3.requests.clear()
            file.seek(place)
            assert file.read(10)[:1] == DATA[place : place + 1]
            assert len(ranges_of(s3)) == 1


@pytest.mark.parametrize("fault", ["busy", "broken", "short", "cut", "slow"])
def test_a_store_that_fails_now_and_then_is_asked_again(s3: S3Server, fault: str) -> None:
    s3.put("x", DATA)
    answers = iter([None, fault, None, fault, None, fault, fault] + [None] * 100)
    s3.fault = lambda method, path: next(answers) if method == "GET" and "/x" in path else None
    with source("s3://box/x").open() as file:
        assert read_exactly(file, 20_000) == DATA


@pytest.mark.parametrize(
    ("fault", "said"),
    [("token ended", "The provided token has expired."), ("denied", "Access Denied")],
)
def test_what_does_not_pass_is_one_line(s3: S3Server, fault: str, said: str) -> None:
    s3.put("x", DATA)
    with (
        pytest.raises(DataError, match=f"^s3://box/x: cannot be read: .*{said}"),
        source("s3://box/x").open() as file,
    ):
        file.read(10)
        s3.fault = lambda method, _: fault if method == "GET" else None
        read_exactly(file, 20_000)


def test_an_object_that_changes_meanwhile_is_refused(s3: S3Server) -> None:
    s3.put("x", DATA)
    changed = "s3://box/x: changed while it was read"
    with pytest.raises(DataError, match=changed), source("s3://box/x").open() as file:
        file.read(10)
        s3.put("x", DATA[::-1])
    with pytest.raises(DataError, match=f"{changed}: it is 3 bytes long"), opened("s3://box/x"):
        s3.put("x", b"new")


def test_an_object_that_changes_between_readings_is_refused(s3: S3Server) -> None:
    s3.put("x", DATA)
    once = source("s3://box/x")
    with once.open() as file:
        read_exactly(file, 20_000)
    s3.put("x", DATA[::-1])
    with pytest.raises(DataError, match="changed"), once.open():
        pass


def test_spans_are_read_from_their_places(s3: S3Server) -> None:
    s3.put("x", DATA)
    buffer = bytearray(2000)
    source("s3://box/x").read_spans(buffer, [(10, 500), (5000, 1500)])
    assert buffer == DATA[10:510] + DATA[5000:6500]


class _Web(http.server.SimpleHTTPRequestHandler):
    """A server that sends whole files only."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_web_server_without_parts_is_read_as_a_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").write_bytes(DATA)
    monkeypatch.chdir(tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Web) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_address[1]}/x?token=a"
            assert state_of(url).is_pipe
            checked: list[bytes] = []
            with rereadable(source(url), lambda _, head: checked.append(head)) as copy:
                for _ in range(2):
                    with copy.open() as file:
                        assert read_exactly(file, 20_000) == DATA
            assert checked == [DATA[:4096]]
        finally:
            server.shutdown()
            thread.join()


def test_a_folder_is_not_opened(s3: S3Server) -> None:
    s3.put("a/x", DATA)
    with pytest.raises(DataError, match="Is a directory"), source("s3://box/a").open():
        pass
