"""The command line among other processes: pipes, descriptors, signals, closed streams."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nsl_tools.formats.graphs.tsv import INCOMPLETE
from nsl_tools.formats.protobuf import example

if TYPE_CHECKING:
    from conftest import Run, WriteExamples

_TOOL = f"{shlex.quote(sys.executable)} -m nsl_tools"
_PACK = ("pack-nbrs", "labeled", "unlabeled", "graph", "out")
_BUILD = ("build-graph", "-k", "all", "--similarity-threshold=-1", "embeddings")

# Runs the command line with `{patched}` replaced by a function that says so and waits a minute;
# by short waits, since a signal that comes just before a wait is seen only after it.
_STUCK = """
import sys, time, {module}
def stuck(*_):
    print("stuck", file=sys.stderr, flush=True)
    for _ in range(6000):
        time.sleep(0.01)
{module}.{patched} = stuck
from nsl_tools.cli.commands import main
main(sys.argv[1:])
"""


def _shell(script: str) -> subprocess.CompletedProcess[bytes]:
    """Run a bash script in which `tool` is the command line."""
    command = ["bash", "-o", "pipefail", "-c", f'tool() {{ {_TOOL} "$@"; }}\n{script}']
    return subprocess.run(command, capture_output=True, check=False, timeout=60)


@pytest.fixture
def packed(job: Path, run: Run) -> bytes:
    """The reference: what packing the job's files gives; nothing else is added to the folder."""
    assert run(*_PACK).returncode == 0
    data = (job / "out").read_bytes()
    (job / "out").unlink()
    return data


@pytest.fixture
def built(job: Path, run: Run) -> bytes:
    """The reference: the complete graph of the job's embeddings."""
    assert run(*_BUILD, "out").returncode == 0
    data = (job / "out").read_bytes()
    (job / "out").unlink()
    assert data.count(b"\n") == 20
    return data


@pytest.mark.parametrize("place", [1, 2, 3])
def test_any_input_of_packing_may_be_standard_input(
    job: Path, packed: bytes, run: Run, place: int
) -> None:
    """`-` reads it, from a pipe as from a file."""
    args = [*_PACK[:place], "-", *_PACK[place + 1 :]]
    data = (job / _PACK[place]).read_bytes()
    assert run(*args, input=data).returncode == 0
    assert (job / "out").read_bytes() == packed
    with (job / _PACK[place]).open("rb") as file:
        assert run(*args, stdin=file).returncode == 0
    assert (job / "out").read_bytes() == packed


def test_embeddings_and_seeds_may_be_standard_input(job: Path, built: bytes, run: Run) -> None:
    """So may each input of building, compressed too."""
    data = zlib.compress((job / "embeddings").read_bytes())
    assert run(*_BUILD[:-1], "-", "-", input=data).stdout == built
    seeds = (job / "labeled").read_bytes()
    lines = [line for line in built.splitlines(keepends=True) if line[:1] in b"ab"]
    assert run(*_BUILD, "--seeds=-", "-", input=seeds).stdout == b"".join(lines)


@pytest.mark.usefixtures("job")
def test_one_tool_pipes_into_the_other(packed: bytes) -> None:
    """A graph need not be stored; packed examples may go to standard output."""
    assert packed
    script = (
        "tool build-graph -k 3 embeddings g && tool pack-nbrs labeled unlabeled g ref &&"
        "tool build-graph -k 3 embeddings - | tool pack-nbrs labeled unlabeled - - > piped &&"
        "cmp ref piped"
    )
    assert _shell(script).returncode == 0


def test_process_substitution(packed: bytes) -> None:
    """Inputs and outputs may be `/dev/fd/N`, and an input of that kind is read as often as any."""
    done = _shell(
        "tool pack-nbrs <(cat labeled) <(gzip < unlabeled) <(cat graph) >(cat > out; echo end)"
        "| grep -q end; cat out"
    )
    assert done.stdout == packed


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize("args", [[*_BUILD, "-"], [*_PACK[:-1], "-"]])
def test_a_pipe_that_nobody_reads(run: Run, args: list[str]) -> None:
    """The tool dies by SIGPIPE, without a word, as `sort` does."""
    reader, writer = os.pipe()
    os.close(reader)
    done = run(*args, stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, b"")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.usefixtures("job")
def test_the_first_line_is_enough(
    write_examples: WriteExamples, monkeypatch: pytest.MonkeyPatch, unbuffered: str
) -> None:
    """`| head -1` ends a tool that has much more to write by SIGPIPE, however Python buffers."""
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    node = {b"embedding": example.encode_floats([1.0])}
    # Few edges of long ids, 8 MB of them: more than the pipe and the tool's buffers hold.
    ids = [b"%d" % i + b"x" * 1000 for i in range(64)]
    write_examples("many", [node | {b"id": example.encode_bytes([name])} for name in ids])
    done = _shell("tool build-graph -k all many - | head -1; echo ${PIPESTATUS[0]}")
    line, code = done.stdout.splitlines()
    assert line.endswith(b"\t1.000000")
    assert int(code) == 128 + signal.SIGPIPE
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("redirection", "problem"),
    [
        (">&-", "<stdout>: cannot be written: it is closed"),
        ("> /dev/full", "<stdout>: cannot be written: No space left on device"),
    ],
)
@pytest.mark.parametrize("command", ["build-graph embeddings", "pack-nbrs labeled unlabeled graph"])
@pytest.mark.usefixtures("job")
def test_standard_output_that_takes_nothing(redirection: str, problem: str, command: str) -> None:
    """It is an error, in one line."""
    done = _shell(f"tool {command} - {redirection}")
    said = f"{command.split(maxsplit=1)[0]}: error: {problem}\n"
    assert (done.returncode, done.stderr.decode()) == (1, said)


@pytest.mark.usefixtures("job")
def test_closed_standard_input() -> None:
    """It is an error, in one line."""
    done = _shell("tool pack-nbrs - unlabeled graph out <&-")
    said = b"pack-nbrs: error: <stdin>: cannot be read: it is closed\n"
    assert (done.returncode, done.stderr) == (1, said)


@pytest.mark.usefixtures("job")
def test_closed_streams(packed: bytes) -> None:
    """A file that is opened does not become the standard stream that is closed."""
    assert _shell("tool pack-nbrs labeled unlabeled graph out <&- >&- 2>&-").returncode == 0
    assert Path("out").read_bytes() == packed
    assert _shell("tool pack-nbrs labeled unlabeled graph /dev/stdout >&-").returncode == 1


def _stuck(module: str, patched: str, *args: str) -> subprocess.Popen[bytes]:
    """Start a run and return it once it is stuck in `patched`."""
    program = _STUCK.format(module=module, patched=patched)
    command = [sys.executable, "-c", program, *args]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stderr is not None
    assert child.stderr.readline() == b"stuck\n"
    return child


_signals = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])


@pytest.mark.slow
@_signals
@pytest.mark.parametrize("old", [None, b"old content"])
@pytest.mark.parametrize(
    ("module", "patched", "args"),
    [
        ("nsl_tools.formats.graphs.tsv_writer", "edge_lines", [*_BUILD, "out"]),
        ("nsl_tools.pack_nbrs.join", "splice", _PACK),
    ],
    ids=["build-graph", "pack-nbrs"],
)
def test_a_signal_while_writing(
    job: Path, number: int, old: bytes | None, module: str, patched: str, args: list[str]
) -> None:
    """The tool dies by it, quietly; the output is as it was and no other file is there."""
    if old is not None:
        (job / "out").write_bytes(old)
    before = sorted(os.listdir())
    child = _stuck(module, patched, *args)
    assert sorted(os.listdir()) != before, "the temporary file should be there by now"
    child.send_signal(number)
    _, said = child.communicate(timeout=30)
    assert (child.returncode, said) == (-number, b"")
    assert sorted(os.listdir()) == before
    assert old is None or (job / "out").read_bytes() == old


def test_a_signal_while_starting(tmp_path: Path) -> None:
    """No traceback: before anything is begun, the signal ends the program at once."""
    slow = "import sys, time\nprint('importing', flush=True)\ntime.sleep(30)\n"
    (tmp_path / "click.py").write_text(slow)
    command = [sys.executable, "-m", "nsl_tools", *_BUILD, "out"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"importing\n"
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=30)
    assert (child.returncode, said) == (-signal.SIGINT, b"")


# Runs the command line; a signal comes when `{patched}` is first entered.
_SIGNALLED = """
import os, signal, sys
from nsl_tools.files import locking, outputs, staging
from nsl_tools.files.shards import shard_set
from nsl_tools.cli.commands import main
def signalled(*args, **options):
    {patched} = real
    os.kill(os.getpid(), signal.SIGTERM)
    return real(*args, **options)
real = {patched}
{patched} = signalled
main(sys.argv[1:])
"""


_AT_THE_END = [
    "shard_set.ShardSet.__exit__",
    "shard_set.ShardSet.clean_up",
    "staging.StagingDirectory.remove",
    "os.rmdir",
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("patched", "output"),
    [
        *((patched, output) for patched in _AT_THE_END for output in ("out", "out@2")),
        ("locking.LockFile.release", "out@2"),
    ],
)
def test_a_signal_at_the_end(job: Path, patched: str, output: str) -> None:
    """On entering `__exit__`, where nothing is undone yet, and while all is cleaned up."""
    before = set(os.listdir(job))
    program = _SIGNALLED.format(patched=patched)
    command = [sys.executable, "-c", program, *_PACK[:-1], output]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (-signal.SIGTERM, b"")
    assert not [name for name in os.listdir(job) if name.endswith((".tmp", ".resume", "-lock"))]
    # Before it is published nothing appears; after that, all of it.
    appeared = {"out"} if output == "out" else {"out-00000-of-00002", "out-00001-of-00002"}
    assert before | (set() if "__exit__" in patched else appeared) <= set(os.listdir(job))


@pytest.mark.usefixtures("job")
def test_a_graph_that_ends_by_a_signal_is_refused(run: Run) -> None:
    """What a killed build-graph wrote to a pipe ends so that pack-nbrs does not take it."""
    child = _stuck("nsl_tools.formats.graphs.tsv_writer", "edge_lines", *_BUILD, "-")
    child.terminate()
    written, _ = child.communicate(timeout=30)
    assert written.endswith(INCOMPLETE)
    done = run("pack-nbrs", "labeled", "unlabeled", "-", "out", input=b"a\tb\t0.5\na\tc" + written)
    assert done.returncode == 1
    assert b"<stdin>: line 3: the program that wrote this graph failed" in done.stderr
    assert not Path("out").exists()


@_signals
@pytest.mark.usefixtures("job")
def test_a_signal_while_waiting_for_examples(number: int) -> None:
    """A tool that waits for its standard input dies by a signal, too."""
    _dies_waiting(number, "labeled")


@_signals
@pytest.mark.usefixtures("job")
def test_a_signal_while_waiting_for_a_graph(number: int) -> None:
    """So does one that waits for a graph."""
    _dies_waiting(number, "graph")


# Runs the command line; a library turns the exception of a signal into another one.
_CONVERTED = """
import os, signal, sys, time
from nsl_tools.cli.commands import main
import nsl_tools.pack_nbrs.join
def convert(*_):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)
    except BaseException:
        raise ImportError("something is missing") from None
nsl_tools.pack_nbrs.join.splice = convert
main(sys.argv[1:])
"""


@pytest.mark.usefixtures("job")
def test_an_exception_that_a_signal_became_is_that_signal() -> None:
    """Not an error of the program: nothing is said, and parent and report see the signal."""
    command = [sys.executable, "-c", _CONVERTED, *_PACK, "--report=report"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (-signal.SIGTERM, b"")
    report = json.loads(Path("report").read_text())
    assert (report["exit_status"], report["error"]) == (128 + signal.SIGTERM, "ended by SIGTERM")
    assert sorted(os.listdir()) == ["embeddings", "graph", "labeled", "report", "unlabeled"]


def _dies_waiting(number: int, place: str) -> None:
    """Check that packing dies by a signal at once while the input in `place` is still to come."""
    os.mkfifo("fifo")
    args = ["fifo" if arg == place else arg for arg in _PACK]
    child = subprocess.Popen(
        [sys.executable, "-m", "nsl_tools", *args],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    with open("fifo", "wb"):  # waits until the child has opened it
        child.send_signal(number)
        try:
            _, said = child.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            child.kill()
            _, said = child.communicate()
    assert (child.returncode, said) == (-number, b"")
    assert sorted(os.listdir()) == ["embeddings", "fifo", "graph", "labeled", "unlabeled"]


@pytest.mark.usefixtures("job")
def test_an_ignored_signal_stays_ignored() -> None:
    """Under `nohup`, a hang-up does not end the run."""
    done = _shell(
        "trap '' HUP; mkfifo f; tool pack-nbrs f unlabeled graph out & exec 7> f;"
        "kill -HUP $!; cat labeled >&7; exec 7>&-; wait $!"
    )
    assert done.returncode == 0, done.stderr
    assert Path("out").exists()
