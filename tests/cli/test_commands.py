"""The command line: help, spellings of options, exit codes, one line for an error."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Protocol

import pytest

from nsl_tools import __version__
from nsl_tools.cli import commands
from nsl_tools.cli.absl_flags import AbslCommand
from nsl_tools.cli.process import USAGE_ERROR
from nsl_tools.files.streams import Source
from nsl_tools.formats.tfrecord.reader import read_batches

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Run, WriteExamples

_HELP_SECONDS = 0.2
_HEAVY = ("tensorflow", "keras", "faiss", "numpy", "pyarrow", "pandas", "scipy", "sklearn")
_COMMANDS = ("build-graph", "pack-nbrs")
_PACK = ("pack-nbrs", "labeled", "unlabeled", "graph", "out")


class Call(Protocol):
    """Runs the command line in this process."""

    def __call__(self, *args: str) -> tuple[int, str]:
        """Return the exit code and standard error."""


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Iterator[Call]:
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = [signal.getsignal(number) for number in signals]

    def call_here(*args: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            commands.main(list(args))
        assert isinstance(ended.value.code, int)
        return ended.value.code, capsys.readouterr().err

    yield call_here
    for number, handler in zip(signals, handlers, strict=True):
        signal.signal(number, handler)


def _loaded_after(*args: str) -> set[str]:
    """Return the heavy packages that a run of the command line imports."""
    program = (
        "import sys\n"
        "from nsl_tools.cli.commands import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "print('modules:', *sys.modules)"
    )
    command = [sys.executable, "-c", program, *args]
    output = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    modules = output[output.rindex("modules:") :].split()
    assert "nsl_tools.cli.commands" in modules
    return {module.partition(".")[0] for module in modules} & set(_HEAVY)


@pytest.mark.parametrize("args", [("--help",), *((command, "--help") for command in _COMMANDS)])
def test_help_loads_nothing_heavy(args: tuple[str, ...]) -> None:
    """Help is there at once, and in a bare installation."""
    assert _loaded_after(*args) == set()


def test_the_data_tools_do_not_load_tensorflow(job: Path) -> None:
    """Building and packing do without TensorFlow and Keras."""
    loaded = _loaded_after("build-graph", "embeddings", "out") | _loaded_after(*_PACK)
    assert "numpy" in loaded
    assert not loaded & {"tensorflow", "keras"}
    assert (job / "out").exists()


def test_packing_does_not_load_pandas(job: Path, run: Run) -> None:
    """Where it is installed, pyarrow would: it takes longer than packing thousands of records."""
    (job / "pandas.py").write_text("raise SystemExit('pandas was imported')")
    (job / "graph").write_bytes(b"a\tb\t0.5\na\tc\t0.5\nb\te\t0.8\n")  # ids decide
    path = os.pathsep.join(filter(None, [str(job), os.environ.get("PYTHONPATH")]))
    ended = run(*_PACK, env={**os.environ, "PYTHONPATH": path})
    assert (ended.returncode, (job / "out").exists()) == (0, True), ended.stderr


def test_help_takes_little_cpu_time(run: Run) -> None:
    """The best of several runs is far from noticeable."""

    def cpu_seconds() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    def help_seconds() -> float:
        before = cpu_seconds()
        assert run("--help").returncode == 0
        return cpu_seconds() - before

    assert any(help_seconds() < _HELP_SECONDS for _ in range(10))


@pytest.mark.parametrize("command", _COMMANDS)
def test_every_option_has_a_help_text(command: str, run: Run) -> None:
    """Help names the command, each option and its meaning, and examples."""
    text = run(command, "--help").stdout.decode()
    assert f"Usage: nsl-tools {command} " in text
    assert "Examples:" in text
    parameters = commands.cli.commands[command].params
    for option in (p for p in parameters if p.param_type_name == "option"):
        assert option.opts[-1] in text
        assert getattr(option, "help", None), option.name


def test_the_version(run: Run) -> None:
    """`--version` says which release this is."""
    assert run("--version").stdout.decode() == f"nsl-tools, version {__version__}\n"


def _packed(path: Path) -> list[bytes]:
    return [payload for batch in read_batches(Source(str(path))) for payload in batch.payloads]


@pytest.mark.parametrize(
    "args",
    [
        ["pack-nbrs", "--max-nbrs", "1", "--add-undirected-edges"],
        ["pack_nbrs", "--max_nbrs=1", "--add_undirected_edges"],
        ["pack-nbrs", "--max-nbrs=1", "--add_undirected_edges=true"],
        ["pack-nbrs", "--max_nbrs", "1", "--add_undirected_edges=True", "--debug=false"],
        ["pack-nbrs", "--add-undirected-edges=1", "--max-nbrs=1", "--id_feature_name=id"],
        ["pack-nbrs", "--noadd_undirected_edges", "--add_undirected_edges", "--max_nbrs=1"],
        ["pack-nbrs", "--max_nbrs=1", "--add-undirected-edges", "--memory_limit=64MiB"],
    ],
)
def test_spellings_that_mean_the_same(job: Path, call: Call, args: list[str]) -> None:
    """NSL's and absl's spellings are the hyphenated ones."""
    reference = ["--max-nbrs=1", "--add-undirected-edges", "labeled", "unlabeled", "graph", "ref"]
    assert call("pack-nbrs", *reference)[0] == 0
    assert call(*args, *_PACK[1:])[0] == 0
    assert _packed(job / "out") == _packed(job / "ref")
    assert call("pack-nbrs", *_PACK[1:4], "default")[0] == 0
    assert _packed(job / "out") != _packed(job / "default")


@pytest.mark.parametrize(
    "switch",
    [
        [],
        ["--noadd_undirected_edges"],
        ["--no-add-undirected-edges"],
        ["--no_add_undirected_edges"],
        ["--add_undirected_edges=false"],
        ["--add-undirected-edges=f"],
        ["--add_undirected_edges", "--noadd_undirected_edges"],
        ["--noquiet", "--allow_empty=false"],
    ],
)
def test_spellings_that_switch_off(job: Path, call: Call, switch: list[str]) -> None:
    """The last of several spellings counts; a flag that is off anyway may be switched off."""
    assert call("pack-nbrs", *switch, *_PACK[1:])[0] == 0
    assert call("pack-nbrs", *_PACK[1:4], "ref")[0] == 0
    assert (job / "out").read_bytes() == (job / "ref").read_bytes()


def test_words_that_only_look_like_flags_are_left_alone() -> None:
    """After `--`, and as values and names, underscores and equal signs are just characters."""
    command = commands.cli.commands["pack-nbrs"]
    assert isinstance(command, AbslCommand)
    words = ["--id-feature-name=my_id", "--", "l_1", "--quiet=false", "g=true", "--noquiet"]
    given = command.make_context("pack-nbrs", words).params
    assert given["id_feature"] == "my_id"
    paths = [given[name] for name in ("labeled", "unlabeled", "graph", "output")]
    assert paths == ["l_1", "--quiet=false", "g=true", "--noquiet"]


def test_a_run_that_succeeds(job: Path, call: Call) -> None:
    """It exits with 0, with the counts as one line on standard error, or none if quiet."""
    code, said = call(*_PACK)
    assert code == 0
    assert said.startswith("pack-nbrs: 2 labeled examples, 3 unlabeled examples, 4 edges")
    assert said.count("\n") == 1
    assert call(*_PACK, "--quiet") == (0, "")
    assert (job / "out").exists()


def test_no_command_is_a_usage_error_that_prints_the_help(call: Call) -> None:
    status, said = call()
    assert status == USAGE_ERROR
    assert said.startswith("Usage: nsl-tools [OPTIONS] [COMMAND] [ARGS]...")
    assert "build-graph" in said


def test_shards_that_a_shell_did_not_find_are_said(
    job: Path, call: Call, write_examples: WriteExamples
) -> None:
    names = ["e-00000-of-00003", "e-00002-of-00003"]
    (job / names[0]).write_bytes((job / "embeddings").read_bytes())
    write_examples("e-00002-of-00003", [])
    said = (
        "build-graph: warning: shards not named, e-00001-of-00003 the first: "
        "for all of them name e@3 (1)\n"
    )
    assert call("build-graph", *names, "g", "-q") == (0, said)


def test_a_warning_is_one_line_even_if_quiet(job: Path, call: Call) -> None:
    """What is accepted but doubtful is said, with a count."""
    with (job / "graph").open("ab") as graph:
        graph.write(b"a\tz\t1\na\ty\t1\n")
    said = "pack-nbrs: warning: edges dropped: no example for their source or target (2)\n"
    assert call(*_PACK, "--quiet") == (0, said)


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (["mend"], "nsl-tools: error: No such command 'mend'. (--help shows the usage)"),
        (["pack-nbrs", "labeled"], "pack-nbrs: error: Missing argument 'UNLABELED'."),
        (["build_graph"], "build-graph: error: Missing argument"),
        ([*_PACK, "--nope"], "pack-nbrs: error: No such option"),
        ([*_PACK, "--max_nbrs=x"], "pack-nbrs: error: Invalid value for '--max"),
        ([*_PACK, "--max_nbrs=-1"], "pack-nbrs: error: --max-nbrs: expected at least 0"),
        ([*_PACK, "--memory_limit=1MB"], "pack-nbrs: error: --memory-limit: expected at least 32"),
        ([*_PACK, "--memory-limit=big"], "pack-nbrs: error: --memory-limit: expected a size"),
        ([*_PACK, "--quiet=maybe"], "pack-nbrs: error: Option '--quiet' takes true or false"),
        ([*_PACK, "--compression=lz4"], "pack-nbrs: error: Invalid value for '--compression'"),
        (["build-graph", "-k", "0", "a", "b"], "build-graph: error: -k: expected at least 1"),
        (["build-graph", "-k", "x", "a", "b"], "build-graph: error: Invalid value for '-k'"),
        (
            ["build-graph", "a", "b", "--similarity_threshold=nan"],
            "build-graph: error: --similarity-threshold: expected a cosine between -1 and 1",
        ),
        (
            ["build-graph", "a", "b", "--similarity_threshold=1.5"],
            "build-graph: error: --similarity-threshold: expected a cosine between -1 and 1",
        ),
        (
            ["pack-nbrs", "labeled", "unlabeled", "graph", "labeled"],
            "pack-nbrs: error: labeled: the output is also an input (labeled)",
        ),
        (["pack-nbrs", "-", "-", "graph", "out"], "pack-nbrs: error: input named 2 times: -"),
        (["build-graph", "-", "--seeds", "-", "g"], "build-graph: error: input named 2 times: -"),
        (["build-graph", "embeddings", "labeled"], "build-graph: error: labeled: is an exist"),
        (["build-graph", "--seeds=-", "-", "g"], "build-graph: error: input named 2 times: -"),
        (["build-graph", "--ids=a", "embeddings", "g"], "build-graph: error: --ids: expected none"),
        ([*_PACK, "--rename-weight=\udcff"], r"pack-nbrs: error: --rename-weight: expected UTF-8"),
        ([*_PACK, "--nope\udcff"], r"pack-nbrs: error: No such option '--nope\udcff'"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("job")
def test_usage_errors(call: Call, args: list[str], problem: str) -> None:
    """Exit code 2, one line, nothing written."""
    code, said = call(*args)
    assert code == 2
    assert said.startswith(problem)
    assert said.count("\n") == 1
    assert sorted(os.listdir()) == ["embeddings", "graph", "labeled", "unlabeled"]


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (["pack-nbrs", "gone", "", "graph", "out"], "pack-nbrs: error: gone: no such file"),
        (
            ["pack-nbrs", "graph", "", "graph", "out"],
            "pack-nbrs: error: graph: record 0 at byte 0: not a TFRecord file",
        ),
        (
            ["pack-nbrs", "labeled", "", "labeled", "out"],
            "pack-nbrs: error: labeled: line 1: expected 2 or 3 columns separated by tabs",
        ),
        ([*_PACK[:4], "gone/out"], "pack-nbrs: error: gone/out: there is no folder"),
        ([*_PACK[:4], "."], "pack-nbrs: error: .: is a folder, expected a file name"),
        ([*_PACK[:4], "/dev/full"], "pack-nbrs: error: /dev/full: cannot be written: No space"),
        (["build-graph", "embed*s", "gone/g"], "build-graph: error: gone/g: there is no folder"),
        (
            ["build-graph", "embeddings", "g", "--id_feature_name=name"],
            "build-graph: error: embeddings: record 0 at byte 0: no feature 'name', expected one",
        ),
        (
            ["build-graph", "embeddings", "g", "--embedding_feature_name=id"],
            "build-graph: error: embeddings: record 0 at byte 0: feature 'id' is bytes, expected",
        ),
        (["build-graph", "/dev/null", "g"], "build-graph: error: /dev/null: no record: give --all"),
        (["pack-nbrs", "a\nb\x1b2", "", "g", "o"], r"pack-nbrs: error: a\nb\x1b2: no such"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("job")
def test_data_and_output_errors(call: Call, args: list[str], problem: str) -> None:
    """Exit code 1, one line that names the file and the place, nothing written."""
    code, said = call(*args)
    assert code == 1
    assert said.startswith(problem)
    assert said.count("\n") == 1
    assert sorted(os.listdir()) == ["embeddings", "graph", "labeled", "unlabeled"]


@pytest.mark.usefixtures("job")
def test_debug_shows_the_traceback(run: Run) -> None:
    """Without `--debug` there is none."""
    args = ("pack-nbrs", "gone", "", "graph", "out")
    assert b"Traceback" not in run(*args).stderr
    assert b"Traceback" in run(*args, "--debug").stderr
