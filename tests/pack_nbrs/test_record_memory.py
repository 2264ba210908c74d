"""What long records, and records that are all different, may take: measured by the system."""

from __future__ import annotations

import re
import subprocess
import sys
import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nsl_tools.files.streams import Source
from nsl_tools.formats.protobuf import example
from nsl_tools.formats.protobuf.example_columns import ExampleParser
from nsl_tools.formats.protobuf.wire import write_field
from nsl_tools.formats.tfrecord.frames import frame
from nsl_tools.formats.tfrecord.reader import read_batches
from nsl_tools.memory import COPIES, longest_record

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow  # records of many megabytes

_LIMIT, _LIBRARIES = 64_000_000, 200_000_000
_LENGTH = 20_000_000
_PACK = ["pack-nbrs", "-q", "--memory-limit=64MB"]
_BUILD = ["build-graph", "-q", "--memory-limit=64MB"]

# A small process of its own: a child's peak begins with the memory of whoever forks it.
_MEASURE = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss * 1024)
sys.exit(status != 0)
"""


def _measured(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a child process; its output is the peak of its resident bytes."""
    command = [sys.executable, "-c", _MEASURE, sys.executable, "-m", "nsl_tools", *args]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def _peak(folder: Path, *args: str) -> float:
    """Return the peak of what ends well."""
    done = _measured(folder, *args)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def _record(node: bytes, length: int, kind: str = "floats") -> bytes:
    """Return an example of one long feature."""
    features = {b"id": example.encode_bytes([node])}
    if kind == "floats":
        features[b"embedding"] = example.encode_floats(np.ones(length // 4, np.float32))
    else:
        features[b"embedding"] = write_field(example.Kind.INT64, write_field(10, b"\1" * length))
    return example.encode(features)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two short examples, and a graph from each of them to `big` and back."""
    (tmp_path / "small").write_bytes(frame(_record(b"a", 40), _record(b"b", 40)))
    (tmp_path / "graph").write_bytes(b"a\tbig\t0.9\nb\tbig\t0.8\nbig\ta\t0.5\n")
    return tmp_path


@pytest.mark.own_memory("sets the limit itself")
@pytest.mark.parametrize("kind", ["floats", "int64"])
@pytest.mark.parametrize("inputs", [["big", "small"], ["small", "big"]], ids=["seed", "neighbour"])
def test_the_longest_record_that_is_packed_keeps_the_limit(
    folder: Path, inputs: list[str], kind: str
) -> None:
    """Alone, as a seed and as a neighbour of two; a list of numbers is no list of objects."""
    (folder / "big").write_bytes(frame(_record(b"big", _LENGTH, kind)))
    assert _peak(folder, *_PACK, *inputs, "graph", "out") < _LIMIT + _LIBRARIES


@pytest.mark.own_memory("sets the limit itself")
def test_a_page_of_long_rows_is_refused_before_it_is_there(folder: Path) -> None:
    """Arrow unpacks it at once: a file of half a megabyte, a page of 100 MB."""
    rows = [f"n{i}" for i in range(200)]
    texts = [(f"{i:03d} " * 125_000)[: 400_000 + 1000 * i] for i in range(200)]
    pq.write_table(pa.table({"id": rows, "text": texts}), folder / "long.parquet")
    done = _measured(folder, *_PACK, "long.parquet", "", "graph", "out")
    assert re.search(r"rows take more memory than --memory-limit 64 MB leaves", done.stderr)
    assert float(done.stdout) < _LIMIT + _LIBRARIES


@pytest.mark.own_memory("sets the limit itself")
def test_many_of_the_longest_records_keep_the_limit(folder: Path) -> None:
    """One after the other, some of them on their way at once."""
    nodes = [b"n%d" % i for i in range(10)]
    (folder / "big").write_bytes(frame(*(_record(node, _LENGTH) for node in nodes)))
    (folder / "graph").write_bytes(b"".join(b"%b\ta\t0.5\n" % node for node in nodes))
    assert _peak(folder, *_PACK, "big", "small", "graph", "out") < _LIMIT + _LIBRARIES


@pytest.mark.own_memory("sets the limit itself")
def test_the_longest_embedding_keeps_the_limit(folder: Path) -> None:
    """That is as wide as the search allows with this limit."""
    (folder / "big").write_bytes(frame(_record(b"big", _LENGTH)))
    peak = _peak(folder, "build-graph", "-q", "--memory-limit=320MB", "big", "out")
    assert peak < 320_000_000 + _LIBRARIES


@pytest.mark.own_memory("sets the limit itself")
@pytest.mark.parametrize(
    "args",
    [
        [*_PACK, "small", "big", "graph", "out"],
        [*_PACK, "big", "small", "graph", "out"],
        [*_BUILD, "big", "out"],
        [*_BUILD, "--seeds=big", "small", "out"],
    ],
    ids=["neighbour", "seed", "embedding", "seed of a graph"],
)
def test_a_record_that_takes_more_is_refused_by_its_header(folder: Path, args: list[str]) -> None:
    """The line says which, what it takes, what there is, and which limit would do."""
    (folder / "big").write_bytes(frame(_record(b"a", 40), _record(b"big", 30_000_000)))
    command = [sys.executable, "-m", "nsl_tools", *args]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    found = re.fullmatch(
        f"{args[0]}: error: big: record 1 at byte [0-9]+: 300000[0-9]+ bytes long, which takes "
        "180 MB of memory, and --memory-limit 64 MB leaves 132 MB: raise it to 360 MB\n",
        done.stderr,
    )
    assert found, done.stderr
    assert not (folder / "out").exists()


@pytest.mark.own_memory("sets the limit itself")
def test_a_seed_that_is_too_long_with_its_neighbours_is_refused(folder: Path) -> None:
    """Each record is short enough; the line says what there is to do."""
    nodes = [b"n%d" % i for i in range(6)]
    (folder / "big").write_bytes(frame(*(_record(node, 4_000_000) for node in nodes)))
    lines = (b"b\t%b\t0.5\n" % node for node in nodes)
    (folder / "graph").write_bytes(b"a\tn0\t1\n" + b"".join(lines))
    command = [sys.executable, "-m", "nsl_tools", *_PACK, "small", "big", "graph", "out"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    found = re.fullmatch(
        "pack-nbrs: error: small: record 1 at byte [0-9]+: 'b' with its 6 neighbours makes a "
        "record of 24 MB, which takes 144 MB of memory, and --memory-limit 64 MB leaves 132 MB: "
        "raise it to 288 MB, or lower --max-nbrs\n",
        done.stderr,
    )
    assert found, done.stderr
    assert not (folder / "out").exists()
    fewer = _peak(folder, *_PACK, "--max-nbrs=4", "small", "big", "graph", "out")
    assert fewer < _LIMIT + _LIBRARIES


@pytest.mark.own_memory("sets the limit itself")
def test_a_long_line_keeps_the_limit_or_is_refused(folder: Path) -> None:
    """A line holds two ids, of any length."""
    longest = longest_record(_LIMIT)
    args = [*_PACK, "--allow-empty", "small", "", "graph", "out"]
    (folder / "graph").write_bytes(b"i" * (longest - 5) + b"\ta\t1\na\tb\n")
    assert _peak(folder, *args) < _LIMIT + _LIBRARIES
    (folder / "graph").write_bytes(b"i" * (longest + (4 << 20)) + b"\ta\t1\na\tb\n")
    command = [sys.executable, "-m", "nsl_tools", *args]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    said = f"graph: a line is longer than {longest} bytes: not a graph, or one for a larger"
    assert f"pack-nbrs: error: {said} --memory-limit\n" == done.stderr


def test_the_limit_that_is_named_is_enough(tmp_path: Path) -> None:
    """Nobody is sent to a second refusal."""
    (tmp_path / "f").write_bytes(frame(bytes(30_000_000)))
    source = Source(f"{tmp_path}/f", memory_limit=360_000_000)
    assert len(list(read_batches(source))) == 1


def _encoded(kind: str, length: int) -> bytes:
    """Return a feature that is not in canonical form, or nearly as many values as bytes."""
    return {
        "unpacked floats": write_field(example.Kind.FLOAT, b"\x0d\0\0\x80\x3f" * (length // 5)),
        "unpacked int64": write_field(example.Kind.INT64, b"\x08\xff\xff\1" * (length // 4)),
        "packed int64": write_field(example.Kind.INT64, write_field(10, b"\1" * length)),
        "padded lengths": write_field(example.Kind.BYTES, b"\x0a\x82\x00xy" * (length // 5)),
        "given twice": write_field(example.Kind.BYTES, b"\x0a\x02xy" * (length // 8)) * 2,
    }[kind]


@pytest.mark.parametrize(
    "kind", ["unpacked floats", "unpacked int64", "packed int64", "padded lengths", "given twice"]
)
def test_a_feature_is_parsed_without_an_object_for_each_value(kind: str) -> None:
    """Within the bytes that any record may take for each of its own."""
    payload = example.encode({b"x": _encoded(kind, 400_000)})
    tracemalloc.start()
    features = example.parse(payload)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < COPIES * len(payload)
    assert example.parse(example.encode(features)) == features


def test_what_parsing_keeps_of_many_names_is_no_multiple_of_the_records() -> None:
    """Even where all names differ."""
    payloads = [
        example.encode({b"%d_%d" % (i, j): example.encode_floats([1.0] * j) for j in range(9)})
        for i in range(500)
    ]
    ends = np.cumsum(list(map(len, payloads)))
    tracemalloc.start()
    parsed = ExampleParser().parse(b"".join(payloads), ends - list(map(len, payloads)), ends)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(parsed.known) == 9 * 500
    assert kept < 1.5 * (parsed.nbytes + ends[-1])
