"""Kill both commands at random moments, and check what they leave: all or nothing.

Each run starts with or without a good old output, is ended by a signal, and is
then repeated. Half of the runs are ended at a random moment between their start
and their end, half soon after they begin to write. After the
signal each output file is absent, the old one or the complete new one (a manifest
may say that its set is not complete); after the repetition it is the reference,
and nothing else is in the folder.

With `--resumes`, runs that write many shards are killed, half of them as soon as
some shards are finished, and repeated with `--resume`: the shards that were finished
stay the same files, and the set is the reference.

    python scripts/crash_test.py                    # 200 SIGKILL, 50 of each other, per tool
    python scripts/crash_test.py --kills 4 --others 2 --resumes 4
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from nsl_tools.files.shards import resume as finished_shards
from nsl_tools.formats.protobuf import example
from nsl_tools.formats.tfrecord.writer import write_records

OTHERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
OLD = b"an old file\n"
SIZES = (30, 1000, 4000)
TOOLS = {
    "build-graph": ["build-graph", "-k", "8", "--similarity-threshold=-1", "embeddings"],
    "pack-nbrs": ["pack-nbrs", "labeled", "unlabeled", "graph"],
}
RESUMED = "out@20"
OUTPUTS = {"out": ["out"], "out@3": [f"out-0000{i}-of-00003" for i in range(3)]}


@dataclass(frozen=True)
class Reference:
    """A job: its command, its output files' right content, and how long it takes."""

    inputs: Path
    args: list[str]
    files: dict[str, bytes]
    seconds: float


def make_inputs(folder: Path, nodes: int) -> None:
    """Write the inputs of both tools."""
    folder.mkdir()
    vectors = np.random.default_rng(nodes).normal(size=(nodes, 16)).astype(np.float32)
    payloads = [
        example.encode(
            {b"id": example.encode_bytes([b"%d" % i]), b"embedding": example.encode_floats(vector)}
        )
        for i, vector in enumerate(vectors)
    ]
    half = nodes // 2
    for name, part in (
        ("embeddings", payloads),
        ("labeled", payloads[:half]),
        ("unlabeled", payloads[half:]),
    ):
        write_records(str(folder / name), part, len(part))
    command(folder, [*TOOLS["build-graph"], "graph"]).check_returncode()


def command(folder: Path, args: list[str]) -> subprocess.CompletedProcess[bytes]:
    """Run the command line to its end."""
    return subprocess.run(
        [sys.executable, "-m", "nsl_tools", *args, "-q"],
        cwd=folder, capture_output=True, check=False,
    )  # fmt: skip


def make_reference(inputs: Path, tool: str, output: str) -> Reference:
    """Run a job undisturbed."""
    with tempfile.TemporaryDirectory() as folder:
        args = [*(given(word, inputs) for word in TOOLS[tool]), output]
        start = time.monotonic()
        command(Path(folder), args).check_returncode()
        seconds = time.monotonic() - start
        return Reference(inputs, args, contents(Path(folder)), seconds)


def given(word: str, inputs: Path) -> str:
    """Return the path of an input, and any other word as it is."""
    return str(inputs / word) if (inputs / word).exists() else word


def contents(folder: Path) -> dict[str, bytes]:
    """Return the content of each file in a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@dataclass(frozen=True)
class Disturbance:
    """What is done to a run: the signal, over an old output or none, and when.

    The moment is 0 to 1, of the time that the run takes; if it is `late`, of a tenth of
    that time, from when it begins to write.
    """

    number: signal.Signals
    old: bool
    late: bool
    moment: float


def disturbed(reference: Reference, how: Disturbance) -> str:
    """Run a job, end it by a signal, repeat it.

    Returns:
        How it ended.

    Raises:
        AssertionError: what it left is wrong.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        before = dict.fromkeys(reference.files, OLD) if how.old else {}
        for path, data in before.items():
            (folder / path).write_bytes(data)
        ended, said = interrupt(folder, reference, how)
        left = contents(folder)
        for path, right in reference.files.items():
            neither = left.get(path) not in (before.get(path), right)
            require(not neither or says_incomplete(path, left), f"{path} is neither old nor new")
        if ended == 0:
            require(left == reference.files, "it succeeded with wrong files")
        else:
            require(ended == -how.number, f"it ended with {ended}: {said!r}")
            require(not said, f"it said {said!r}")
        scratch = [path.name for path in folder.iterdir() if path.name not in reference.files]
        require(not scratch or how.number == signal.SIGKILL, f"it left {scratch}")
        require(command(folder, reference.args).returncode == 0, "the repetition failed")
        require(contents(folder) == reference.files, "the repetition gave other files")
        require(len(os.listdir(folder)) == len(reference.files), "scratch files stayed")
    return "finished" if ended == 0 else "killed, scratch left" if scratch else "killed"


def resumed(reference: Reference, told: bool, shards: int | None, moment: float) -> str:
    """Kill a run once so many shards are finished, or at a moment; repeat it with --resume.

    Returns:
        How many shards were kept, in words.

    Raises:
        AssertionError: a shard was written twice, or the set is wrong.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        args = [*reference.args, "--resume"] if told else reference.args
        process = subprocess.Popen([sys.executable, "-m", "nsl_tools", *args, "-q"], cwd=folder)
        start = time.monotonic()
        while process.poll() is None:
            late = time.monotonic() - start >= reference.seconds * moment
            if late if shards is None else len(finished(folder)) >= shards:
                process.kill()
                break
            time.sleep(0.0005)
        process.wait()
        before = finished(folder)
        done = command(folder, [*reference.args, "--resume"])
        require(done.returncode == 0, f"the repetition failed: {done.stderr!r}")
        require(contents(folder) == reference.files, "the repetition gave other files")
        require(len(os.listdir(folder)) == len(reference.files), "scratch files stayed")
        after = finished(folder)
        require(before == {name: after[name] for name in before}, "a shard was written again")
    some = "some" if len(before) < len(after) else "all"
    return f"{some if before else 'no'} shards kept"


def finished(folder: Path) -> dict[str, int]:
    """Return the inodes of the shards that are finished, in place or in a staging."""
    with contextlib.suppress(OSError):
        found = {
            shard.name: os.stat(os.path.join(staging.path, name)).st_ino
            for staging, _ in finished_shards.find(str(folder), RESUMED, Counter())
            for shard, name in finished_shards.finished(staging)
        }
        return found | {path.name: path.stat().st_ino for path in folder.glob("out-*")}
    return {}


def says_incomplete(path: str, left: dict[str, bytes]) -> bool:
    """Tell whether a file is the manifest of a set whose renaming was interrupted."""
    is_manifest = path.endswith(".manifest.json") and path in left
    return is_manifest and json.loads(left[path])["complete"] is False


def interrupt(folder: Path, reference: Reference, how: Disturbance) -> tuple[int, bytes]:
    """Return the exit code and what was said of a run that a signal interrupts."""
    process = subprocess.Popen(
        [sys.executable, "-m", "nsl_tools", *reference.args, "-q"],
        cwd=folder, stderr=subprocess.PIPE,
    )  # fmt: skip
    start = time.monotonic()
    wait_until_signals_are_caught(process)
    if how.late:
        wait_until_it_writes(process, folder)
        time.sleep(reference.seconds / 10 * how.moment)
    else:
        time.sleep(max(0.0, reference.seconds * how.moment - (time.monotonic() - start)))
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(how.number)
    _, said = process.communicate()
    return process.returncode, said


def wait_until_signals_are_caught(process: subprocess.Popen[bytes]) -> None:
    """Wait for our handlers: before them the interpreter starts, and Python's own are there."""
    caught = 1 << (signal.SIGTERM - 1)
    with contextlib.suppress(OSError, StopIteration):
        while process.poll() is None:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            mask = next(line for line in lines if line.startswith("SigCgt:")).split()[1]
            if int(mask, 16) & caught:
                return
            time.sleep(0.001)


def wait_until_it_writes(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait for a staging that holds a file."""
    while process.poll() is None and not any(folder.glob(".*.nsl-tools.tmp/*")):
        time.sleep(0.001)


def require(true: bool, problem: str) -> None:
    """Raise AssertionError with a problem unless it is not one."""
    if not true:
        raise AssertionError(problem)


def main() -> None:
    """Disturb both tools and print what happened; exit with 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="SIGKILL per tool")
    parser.add_argument("--others", type=int, default=50, help="of each other signal, per tool")
    parser.add_argument("--resumes", type=int, default=50, help="SIGKILL and --resume, per tool")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for number in OTHERS:
        # What nohup or a background shell ignores, the children would ignore, too.
        signal.signal(number, signal.default_int_handler)
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        for size in SIZES:
            make_inputs(Path(name) / str(size), size)
        for tool in TOOLS:
            references = [
                make_reference(Path(name) / str(size), tool, output)
                for size in SIZES
                for output in OUTPUTS
            ]
            for number in (signal.SIGKILL, *OTHERS):
                count = options.kills if number == signal.SIGKILL else options.others
                wrong += disturb(tool, number, count, references, options.seed)
            if options.resumes:
                reference = make_reference(Path(name) / str(SIZES[-1]), tool, RESUMED)
                wrong += resume(tool, options.resumes, reference, options.seed)
    sys.exit(1 if wrong else 0)


def disturb(
    tool: str, number: signal.Signals, count: int, references: list[Reference], seed: int
) -> int:
    """Disturb a tool `count` times, and return how often it was wrong."""
    draw = random.Random(f"{tool} {number} {seed}")  # noqa: S311 - repeatable, not secret
    runs = [
        partial(
            disturbed,
            draw.choice(references),
            Disturbance(number, i % 2 == 0, i % 4 < 2, draw.random()),
        )
        for i in range(count)
    ]
    return report(tool, number.name, runs)


def resume(tool: str, count: int, reference: Reference, seed: int) -> int:
    """Kill and resume a tool `count` times, and return how often it was wrong."""
    draw = random.Random(f"{tool} resume {seed}")  # noqa: S311 - repeatable, not secret
    most = len(reference.files) - 1
    runs = [
        partial(
            resumed, reference, i % 4 < 2, draw.randrange(most) if i % 2 else None, draw.random()
        )
        for i in range(count)
    ]  # fmt: skip
    return report(tool, "--resume", runs)


def report(tool: str, what: str, runs: list[partial[str]]) -> int:
    """Do all runs, print how they went, and return how many were wrong."""

    def outcome(run: partial[str]) -> str:
        try:
            return run()
        except AssertionError as err:
            reference, *how = run.args
            print(f"WRONG {tool} {what} {reference.args} {how}: {err}")
            return "wrong"

    with ThreadPoolExecutor(2) as pool:
        outcomes = Counter(pool.map(outcome, runs))
    print(f"{tool:12} {what:8} {len(runs):4} runs: {dict(outcomes)}", flush=True)
    return outcomes["wrong"]


if __name__ == "__main__":
    main()
