"""An S3 server on loopback (moto's), behind a proxy that can be told to fail as stores do."""

from __future__ import annotations

import contextlib
import http.client
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

BUCKET = "box"

Fault = Callable[[str, str], str | None]
"""Of the method and path of a request: what goes wrong, a key of `_ANSWERS`, `cut`, `short` or
`slow`; None for nothing."""

_ANSWERS = {
    "busy": (503, "SlowDown", "Please reduce your request rate."),
    "broken": (500, "InternalError", "We encountered an internal error. Please try again."),
    "token ended": (400, "ExpiredToken", "The provided token has expired."),
    "denied": (403, "AccessDenied", "Access Denied"),
}


@dataclass
class S3Server:
    """A running server.

    Attributes:
        url: where it listens.
        requests: method and path of each request so far.
        fault: decides what goes wrong with the next ones.
    """

    url: str
    requests: list[tuple[str, str]] = field(default_factory=list)
    fault: Fault = lambda _method, _path: None

    def variables(self) -> dict[str, str]:
        """Return the environment variables by which a client finds it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "VerySecret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @cached_property
    def client(self) -> Any:
        """A client that is not ours."""
        import boto3

        return boto3.client(
            "s3", endpoint_url=self.url, aws_access_key_id="key",
            aws_secret_access_key="x", region_name="us-east-1",  # noqa: S106 - of no account
        )  # fmt: skip

    def put(self, key: str, data: bytes) -> str:
        """Make an object; return its URL."""
        self.client.put_object(Bucket=BUCKET, Key=key, Body=data)
        return f"s3://{BUCKET}/{key}"

    def get(self, key: str) -> bytes:
        """Return what an object holds."""
        found: bytes = self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return found

    def keys(self) -> list[str]:
        """Return the keys of all objects."""
        found = self.client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return [each["Key"] for each in found]

    def objects(self) -> dict[str, bytes]:
        """Return what all objects hold, by their keys."""
        return {key: self.get(key) for key in self.keys()}

    def uploads(self) -> list[str]:
        """Return the keys of all uploads that are not complete."""
        found = self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        return [each["Key"] for each in found]

    def empty(self) -> None:
        """Remove all objects and uploads, and all faults."""
        self.fault = lambda _method, _path: None
        client = self.client
        for key in self.keys():
            client.delete_object(Bucket=BUCKET, Key=key)
        for each in client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []):
            client.abort_multipart_upload(Bucket=BUCKET, Key=each["Key"], UploadId=each["UploadId"])
        self.requests.clear()


@contextlib.contextmanager
def running() -> Iterator[S3Server]:
    """Run a server with one empty bucket."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    moto.start()
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    proxy.moto = moto.get_host_and_port()  # type: ignore[attr-defined]
    proxy.server = server = S3Server(f"http://127.0.0.1:{proxy.server_address[1]}")  # type: ignore[attr-defined]
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    try:
        server.client.create_bucket(Bucket=BUCKET)
        yield server
    finally:
        proxy.shutdown()
        proxy.server_close()
        moto.stop()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        server: S3Server = self.server.server  # type: ignore[attr-defined]
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size) if size else self._chunks()
        server.requests.append((self.command, self.path))
        fault = server.fault(self.command, self.path)
        if fault in _ANSWERS:
            self._refuse(*_ANSWERS[fault])
            return
        if fault == "slow":
            time.sleep(0.5)
        status, headers, data = self._forwarded(body)
        if fault == "short":
            data = data[: len(data) // 2]
            headers["Content-Length"] = str(len(data))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if fault == "cut":
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        else:
            self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _answer  # noqa: N815 - names of the base

    def _chunks(self) -> bytes:
        parts = []
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
        return b"".join(parts)

    def _forwarded(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(*self.server.moto)  # type: ignore[attr-defined]
        headers = {k: v for k, v in self.headers.items() if k.lower() != "transfer-encoding"}
        headers["Content-Length"] = str(len(body))
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        data = answer.read()
        kept = {k: v for k, v in answer.getheaders() if k.lower() not in _OURS}
        if self.command != "HEAD":
            kept["Content-Length"] = str(len(data))
        else:
            kept["Content-Length"] = answer.getheader("Content-Length") or "0"
        connection.close()
        return answer.status, kept, data

    def _refuse(self, status: int, code: str, message: str) -> None:
        data = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


_OURS = ("content-length", "transfer-encoding", "connection", "date", "server")


@pytest.fixture(scope="session")
def s3_of_session() -> Iterator[S3Server]:
    """Run one server for all tests."""
    with running() as server:
        yield server


@pytest.fixture
def s3(s3_of_session: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """Return an S3 server with an empty bucket, which this process and its children find."""
    for name, value in s3_of_session.variables().items():
        monkeypatch.setenv(name, value)
    s3_of_session.empty()
    return s3_of_session
