"""Shared fixtures: files of examples, the command line in a child process, TensorFlow as oracle."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest
import support
from hypothesis import settings
from s3_server import s3, s3_of_session  # noqa: F401 - fixtures
from spark_cluster import session, spark_cluster, spark_master  # noqa: F401 - fixtures
from spilling import spill_everywhere, spill_in_children
from users import fill

from nsl_tools.formats.protobuf import example
from nsl_tools.formats.tfrecord.writer import write_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# Half of what hypothesis draws by itself: the runs that spill draw other inputs.
settings.register_profile("default", deadline=None, max_examples=50)
# Those runs test that a block may end anywhere: few inputs tell.
settings.register_profile("spilled", deadline=None, max_examples=20)
# The same examples every run.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--spill",
        type=int,
        metavar="ROWS",
        help="Leave both tools no memory, here and in child processes, and blocks of so many rows.",
    )
    parser.addoption(
        "--all",
        action="store_true",
        help="Also what takes long: tests that are marked slow, and all drawn inputs of others.",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--all"):
        os.environ[support.ALL] = "1"
    if rows := config.getoption("--spill"):
        spill_in_children(rows)
        settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "spilled"))
    # In the background of a shell, or under nohup, children would ignore what tests send them.
    for number, default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, None)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, default or signal.SIG_DFL)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what `--spill` would change the sense of, and what only `--all` runs."""
    left_out = [] if config.getoption("--all") else ["slow", "spark"]
    if config.getoption("--spill"):
        left_out.append("own_memory")
    others = [item for item in items if any(map(item.get_closest_marker, left_out))]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in others]


@pytest.fixture(autouse=True)
def spilled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let both tools put everything into scratch files, if `--spill` says so."""
    if rows := request.config.getoption("--spill"):
        spill_everywhere(monkeypatch, rows)


class WriteExamples(Protocol):
    """Writes Examples, given as maps from name to encoded feature, to `name` in `tmp_path`."""

    def __call__(self, name: str, examples: Iterable[Mapping[bytes, bytes]]) -> str:
        """Return the path."""


class Run(Protocol):
    """Runs the command line in a child process."""

    def __call__(self, *args: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
        """Return what it did; `options` go to `subprocess.run`."""


@pytest.fixture
def write_examples(tmp_path: Path) -> WriteExamples:
    def write(name: str, examples: Iterable[Mapping[bytes, bytes]]) -> str:
        path = str(tmp_path / name)
        payloads = [example.encode(features) for features in examples]
        write_records(path, payloads, len(payloads))
        return path

    return write


@pytest.fixture
def job(tmp_path: Path, write_examples: WriteExamples, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: `labeled`, `unlabeled`, `embeddings` of both, and their `graph`."""
    monkeypatch.chdir(tmp_path)
    nodes = [_node(name, angle) for angle, name in enumerate(["a", "b", "c", "d", "e"])]
    write_examples("labeled", nodes[:2])
    write_examples("unlabeled", nodes[2:])
    write_examples("embeddings", nodes)
    (tmp_path / "graph").write_bytes(b"a\tb\t0.9\na\tc\t0.5\nb\te\t0.8\nd\ta\t0.7\n")
    return tmp_path


def _node(name: str, angle: int) -> example.Features:
    return {
        b"id": example.encode_bytes([name.encode()]),
        b"embedding": example.encode_floats([1.0, angle / 10]),
    }


@pytest.fixture
def run() -> Run:
    def run_child(*args: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "nsl_tools", *args]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.run(command, check=False, **({"timeout": 60} | pipes | options))

    return run_child


@pytest.fixture(scope="session")
def tf() -> Any:
    """TensorFlow on the CPU, without its log."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return importlib.import_module("tensorflow")


@pytest.fixture(params=[0o777, 0o1777], ids=["open", "sticky"])
def shared(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, which all may write: `labeled` and `graph`, for 3 shards."""
    folder = Path(tempfile.mkdtemp())
    monkeypatch.chdir(folder)
    support.write_examples("labeled", [{"id": [b"%d" % i]} for i in range(9)])
    Path("graph").write_text("0\t1\t0.5\n1\t2\t0.5\n8\t4\t0.5\n")
    folder.chmod(request.param)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A folder of root's own, with files as in a staging directory of the set."""
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)
    fill(folder)
    return folder
