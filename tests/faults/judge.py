"""A case: what is given to a command; and the judge of what it did with it."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from nsl_tools.cli import commands
from nsl_tools.files.streams import Source
from nsl_tools.formats.protobuf import example
from nsl_tools.formats.tfrecord.frames import frame
from nsl_tools.formats.tfrecord.reader import read_batches

if TYPE_CHECKING:
    from collections.abc import Mapping

OLD = b"a good old file\n"
Content = bytes | None
"""Of a file, or None for a folder."""


@dataclass(frozen=True)
class Case:
    """A command line over files, and what must come of it.

    Attributes:
        args: the command line; the output is called `out`.
        files: content of each file, by name.
        code: the exit code.
        says: what the error line matches, after `<command>: error: `.
        warns: what the warning lines match, each one, in any order.
        output: the right output: lines of a graph, or packed features.
    """

    args: list[str]
    files: Mapping[str, Content]
    code: int = 0
    says: str = ""
    warns: tuple[str, ...] = ()
    output: object = None
    stdin: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    lines: list[str]


def call(args: list[str]) -> Outcome:
    """Run the command line in this process."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = {number: signal.getsignal(number) for number in signals}
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            commands.main(args)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else -1
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return Outcome(code, said.getvalue().splitlines())


def judge(case: Case) -> None:
    """Run a case in the current folder, without an old output and over one."""
    for name, content in case.files.items():
        if content is None:
            Path(name).mkdir()
        else:
            Path(name).write_bytes(content)
    inputs = _snapshot()
    for old in (None, OLD):
        if old is not None:
            Path("out").write_bytes(old)
        outcome = call(case.args)
        assert outcome.code == case.code, outcome
        if case.code:
            _judge_failure(case, outcome, inputs, old)
        else:
            _judge_success(case, outcome)


def _snapshot() -> dict[str, Content]:
    return {path.name: None if path.is_dir() else path.read_bytes() for path in Path().iterdir()}


def _judge_failure(
    case: Case, outcome: Outcome, inputs: dict[str, Content], old: bytes | None
) -> None:
    """One line that says where and what; the folder is as it was."""
    (line,) = outcome.lines
    prefix = f"{case.args[0]}: error: "
    assert line.startswith(prefix)
    assert re.search(case.says, line.removeprefix(prefix)), line
    assert line.isprintable()
    assert "unexpected" not in line
    assert _snapshot() == inputs | ({} if old is None else {"out": old})


def _judge_success(case: Case, outcome: Outcome) -> None:
    """The right output, and every warning that is due, and no other."""
    mark = f"{case.args[0]}: warning: "
    warnings = [line.removeprefix(mark) for line in outcome.lines if line.startswith(mark)]
    assert len(warnings) == len(case.warns), outcome.lines
    for pattern in case.warns:
        assert any(re.search(pattern, line) for line in warnings), outcome.lines
    assert len(outcome.lines) == len(warnings) + 1, outcome.lines
    found = graph_lines() if case.args[0] == "build-graph" else packed()
    assert found == case.output


@cache
def can_mount() -> bool:
    """Tell whether a child can have a small file system of its own."""
    command = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/tmp"]  # noqa: S108 - its own
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def graph_lines() -> list[str]:
    """Return the lines of the graph `out`."""
    return Path("out").read_bytes().decode().split("\n")[:-1]


def packed() -> list[dict[str, object]]:
    """Return the features of the records in `out`."""
    payloads = [p for batch in read_batches(Source("out")) for p in batch.payloads]
    return [decoded(payload) for payload in payloads]


def decoded(payload: bytes) -> dict[str, object]:
    """Return the features of an example as lists of values."""
    return {
        name.decode(): {
            "bytes": example.decode_bytes,
            "float": lambda f: example.decode_floats(f).tolist(),
            "int64": example.decode_int64,
        }[example.kind_name(feature)](feature)
        for name, feature in example.parse(payload).items()
    }


def features(**values: object) -> bytes:
    """Serialize an Example; a feature given as bytes is taken as encoded already."""
    encoded = {}
    for name, value in values.items():
        if isinstance(value, bytes):
            encoded[name.encode()] = value
        elif isinstance(value, list) and value and isinstance(value[0], float):
            encoded[name.encode()] = example.encode_floats(value)
        elif isinstance(value, list) and value and isinstance(value[0], int):
            encoded[name.encode()] = example.encode_int64(value)
        else:
            encoded[name.encode()] = example.encode_bytes(value)  # type: ignore[arg-type]
    return example.encode(encoded)


def records(*payloads: bytes) -> bytes:
    """Return a TFRecord file."""
    return frame(*payloads)
