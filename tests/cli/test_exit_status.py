"""What is said of an exception that ends a run."""

import errno
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from support import write_examples

from nsl_tools.cli.exit_status import line_of

_REMEDY = ": lower --memory-limit, or raise ulimit -v"


@pytest.mark.parametrize(
    ("err", "line"),
    [
        (MemoryError(), f"out of memory{_REMEDY}"),
        (pa.ArrowMemoryError("malloc failed"), f"out of memory (malloc failed){_REMEDY}"),
        (OSError(errno.ENOMEM, "No"), f"out of memory ([Errno 12] No){_REMEDY}"),
        (ImportError("x.so: failed to map segment"), f"out of memory (x.so: failed to map segment){_REMEDY}"),  # noqa: E501 - one case a line
        (RuntimeError("can't start new thread"), "a thread cannot be started: raise ulimit -u or -v"),  # noqa: E501 - one case a line
        (RuntimeError("other"), "unexpected RuntimeError: other (--debug shows where)"),
        (ImportError("no module"), "unexpected ImportError: no module (--debug shows where)"),
        (OSError(errno.EIO, "No"), "unexpected OSError: [Errno 5] No (--debug shows where)"),
    ],
)  # fmt: skip
def test_what_the_system_does_not_give_is_no_bug(err: Exception, line: str) -> None:
    assert line_of(err) == line


def test_too_little_memory_ends_in_one_line(tmp_path: Path) -> None:
    """Where a run is given less than its vectors take."""
    vector = [1.0] * 1000
    write_examples(tmp_path / "e", ({"id": [b"%d" % i], "embedding": vector} for i in range(3000)))
    program = (
        "import resource, pyarrow, numpy, faiss\n"
        "from nsl_tools.build_graph import pipeline\nfrom nsl_tools.cli import commands\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (1, resource.RLIM_INFINITY))\n"
        "commands.main(['build-graph', '--threads=1', 'e', 'g'])\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("build-graph: error: ")
    assert _REMEDY in done.stderr or "ulimit -u" in done.stderr
    assert done.stderr.count("\n") == 1
