"""A cluster of Spark on this machine: a master and two workers, each a process of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOPBACK = "127.0.0.1"
WORKERS = 2


class SparkCluster:
    """A master, and workers of one core each.

    Attributes:
        url: of the master.
        workers: the processes of the workers.
    """

    def __init__(self, folder: Path, workers: int = WORKERS) -> None:
        """Start it; it writes its logs to `folder`."""
        import pyspark

        self._home = Path(pyspark.__file__).parent
        self._folder = folder
        self._environment = os.environ | {
            "SPARK_LOCAL_IP": LOOPBACK,
            "SPARK_HOME": str(self._home),
            "PYSPARK_PYTHON": sys.executable,
            "SPARK_WORKER_DIR": str(folder),
        }
        self._port, web = _free_port(), _free_port()
        self.url = f"spark://{LOOPBACK}:{self._port}"
        names = ["--host", LOOPBACK, "--port", str(self._port), "--webui-port", str(web)]
        self._master = self._start("master.Master", *names)
        _wait_for(f"http://{LOOPBACK}:{web}/json/", b'"status" : "ALIVE"')
        self.workers = [self.start_worker() for _ in range(workers)]
        _wait_for(f"http://{LOOPBACK}:{web}/json/", f'"aliveworkers" : {workers}'.encode())

    def start_worker(self) -> subprocess.Popen[bytes]:
        """Start one more worker."""
        size = ["--cores", "1", "--memory", "1g", "--host", LOOPBACK, "--webui-port", "0"]
        return self._start("worker.Worker", *size, self.url)

    def _start(self, name: str, *args: str) -> subprocess.Popen[bytes]:
        command = [
            str(self._home / "bin" / "spark-class"),
            f"org.apache.spark.deploy.{name}",
            *args,
        ]
        with (self._folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    def stop(self) -> None:
        """End all of it."""
        for process in (*self.workers, self._master):
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind((LOOPBACK, 0))
        return int(one.getsockname()[1])


def _wait_for(url: str, expected: bytes) -> None:
    found = b""
    for _ in range(600):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - its own
                found = answer.read()
        except (urllib.error.URLError, ConnectionError):
            found = b""
        if expected in found:
            return
        time.sleep(0.1)
    raise TimeoutError(f"{url}: no {expected!r} after a minute, but {found!r}")


@pytest.fixture(scope="session")
def spark_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    """The cluster; it takes Java, without which there is nothing to test."""
    pytest.importorskip("pyspark")
    if shutil.which("java") is None:
        pytest.skip("no Java")
    cluster = SparkCluster(tmp_path_factory.mktemp("cluster"))
    try:
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def session(spark_master: str) -> Iterator[Any]:
    """A session of Spark on the cluster, which has all of it to itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pyspark.sql import SparkSession

        found = SparkSession.builder.master(spark_master).appName("tests").getOrCreate()
        yield found
        found.stop()


@pytest.fixture(scope="session")
def spark_master(spark_cluster: SparkCluster) -> Iterator[str]:
    """The URL of the master, with the environment that a driver on this machine wants."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_LOCAL_IP", LOOPBACK)
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        yield spark_cluster.url
