"""Fuzz a reader, guided by the coverage of its code: any bytes are refused or read right.

The targets and what they judge are in tests/fuzz/targets.py. A finding is
printed, with the traceback and the file that holds the input, and ends the run;
so does an input that takes more than 5 seconds of the processor, or more than
256 MB of address space beyond what the program had a little before (a Parquet file
may take what its limit of memory lets it take, and be refused for it).

    pip install -e '.[fuzz]'                          # atheris, libFuzzer for Python
    python scripts/fuzz.py records --runs 1000000
    python scripts/fuzz.py parquet --plain            # no atheris: inputs near the corpus
    python scripts/fuzz.py graph --replay crash-0123  # one input again; with --plain, too
    python scripts/fuzz.py graph --finds DIR          # keep inputs that reach new code
    python scripts/fuzz.py graph --add DIR            # add to the corpus what it lacks of them
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from _typeshed import TraceFunction

TESTS = Path(__file__).parents[1] / "tests"
CORPUS = TESTS / "fuzz" / "corpus"
MOST_SECONDS = 5.0
MOST_BYTES = 256_000_000
RUNS_PER_LIMIT = 10_000
LONGEST_INPUT = 320
LONGEST_PARQUET = 4096


def watched(target: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """Return the target, with limits on the time and the memory that an input may take."""
    runs = count()

    def run(data: bytes) -> None:
        if next(runs) % RUNS_PER_LIMIT == 0:
            limit_memory()
        start = time.process_time()
        target(data)
        if time.process_time() - start > MOST_SECONDS:
            raise TimeoutError("the input takes too long")

    return run


def limit_memory() -> None:
    """Let no more than `MOST_BYTES` be allocated beyond what is in use.

    Done again now and then: libFuzzer itself takes half a kB for each input.
    """
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


def jumps(target: Callable[[bytes], None], data: bytes) -> set[tuple[str, int, int]]:
    """Return each step from line to line that our code takes for an input."""
    found = set()

    def trace(frame: FrameType, *_: object) -> TraceFunction | None:
        name, last = frame.f_code.co_filename, frame.f_lineno
        if "nsl_tools" not in name:
            return None

        def step(frame: FrameType, *_: object) -> TraceFunction:
            nonlocal last
            found.add((name, last, frame.f_lineno))
            last = frame.f_lineno
            return step

        return step

    sys.settrace(trace)
    try:
        target(data)
    finally:
        sys.settrace(None)
    return found


def add(target: Callable[[bytes], None], corpus: Path, more: Path) -> None:
    """Add the inputs, the shortest first, that take a step which none before them took."""
    known: set[tuple[str, int, int]] = set()
    paths = [*corpus.iterdir(), *sorted(more.iterdir(), key=lambda path: path.stat().st_size)]
    for path in paths:
        data = path.read_bytes()
        found = jumps(target, data)
        if not found <= known and path.parent != corpus:
            (corpus / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)
        known |= found


def fuzz(target: Callable[[bytes], None], words: list[str]) -> NoReturn:
    """Hand the target to libFuzzer, which ends the program."""
    import atheris

    atheris.Setup([sys.argv[0], *words], watched(target))
    atheris.Fuzz()
    raise AssertionError("libFuzzer does not return")


def mutate(target: Callable[[bytes], None], name: str, runs: int, seed: int) -> None:
    """Hand the target inputs near its corpus, without regard to what they reach."""
    from mutations import mutations

    checked, data = watched(target), b""
    try:
        for data in mutations(name, runs, seed):
            checked(data)
    except BaseException:
        path = f"crash-{hashlib.sha256(data).hexdigest()[:12]}"
        Path(path).write_bytes(data)
        print(f"{path} holds the input", file=sys.stderr)
        raise
    print(f"{runs:,} inputs, none of which did harm")


def main() -> None:
    """Do what is asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", choices=("records", "examples", "graph", "npy", "parquet"))
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--finds", type=Path)
    parser.add_argument("--add", type=Path)
    parser.add_argument("--replay", type=Path)
    given = parser.parse_args()
    corpus = CORPUS / given.target
    if given.add:
        add(load(given.target), corpus, given.add)
        return
    if given.plain and given.replay:
        load(given.target)(given.replay.read_bytes())
        return
    if given.plain:
        mutate(load(given.target), given.target, given.runs, given.seed)
        return
    target = load_instrumented(given.target)
    if given.replay:
        fuzz(target, [str(given.replay)])
    # A run may be stopped for any time: `watched` looks at the time of the processor instead.
    longest = LONGEST_PARQUET if given.target == "parquet" else LONGEST_INPUT
    limits = [f"-max_len={longest}", "-timeout=3600", "-report_slow_units=3600"]
    runs = [f"-seed={given.seed}", f"-runs={given.runs}", "-print_final_stats=1"]
    with tempfile.TemporaryDirectory() as folder:
        finds = given.finds or Path(folder)
        finds.mkdir(exist_ok=True)
        fuzz(target, [*limits, *runs, str(finds), str(corpus)])


def load(name: str) -> Callable[[bytes], None]:
    """Return a target."""
    sys.path[:0] = [str(TESTS), str(TESTS / "fuzz")]
    from targets import TARGETS

    target: Callable[[bytes], None] = TARGETS[name]
    return target


def load_instrumented(name: str) -> Callable[[bytes], None]:
    """Return a target over code that tells libFuzzer where it goes."""
    import atheris

    with atheris.instrument_imports(include=["nsl_tools"]):
        return load(name)


if __name__ == "__main__":
    main()
