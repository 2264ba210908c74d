"""Options: valid once made; what is refused is refused in one line that names the option."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support import write_examples

from nsl_tools.errors import UsageError
from nsl_tools.files.paths import resolve_inputs
from nsl_tools.memory import parse_size
from nsl_tools.options import BuildGraphOptions, PackOptions

if TYPE_CHECKING:
    from pathlib import Path

_HUGE = 1 << 63


@pytest.mark.parametrize(
    ("kind", "name", "value", "problem"),
    [
        (BuildGraphOptions, "k", _HUGE, "-k: expected at most 2147483647, or all, received 92"),
        (BuildGraphOptions, "k", 0, "-k: expected at least 1, or all"),
        (BuildGraphOptions, "threads", 10**9, "--threads: expected at most 4096"),
        (BuildGraphOptions, "lsh_rounds", _HUGE, "--lsh-rounds: expected at most 92"),
        (BuildGraphOptions, "embedding_feature", "\udcff", "embedding-feature-name: expected U"),
        (BuildGraphOptions, "ids", "", "--ids: expected the name of a file, received ''"),
        (BuildGraphOptions, "ids", "a\0b", r"--ids: expected the name.* 'a\\x00b'"),
        (PackOptions, "max_neighbors", _HUGE, "--max-nbrs: expected at most 92"),
        (PackOptions, "max_errors", _HUGE, "--max-errors: expected at most 92"),
        (PackOptions, "max_errors", int("9" * 4000), "--max-errors: .* received 9{40}[.]{3}$"),
        (PackOptions, "max_record_bytes", _HUGE, "--max-record-bytes: expected at most 92"),
        (PackOptions, "max_record_bytes", 0, "--max-record-bytes: expected at least 1"),
        (PackOptions, "id_feature", "\udcff", r"-name: expected UTF-8, .* '\\udcff'"),
        (PackOptions, "rename_weight", "\udcff", "--rename-weight: expected UTF-8"),
        (PackOptions, "report", "a\0", "--report: expected the name of a file"),
    ],
)  # fmt: skip
def test_what_no_run_can_do_is_refused(kind: type, name: str, value: Any, problem: str) -> None:
    given = {name: value, **({"lsh_splits": 1} if name == "lsh_rounds" else {})}
    with pytest.raises(UsageError, match=problem):
        kind(**given)


def test_sizes_have_an_end() -> None:
    """Those of more digits than a float has room for, too."""
    assert parse_size("99999TB", "--memory-limit") == 99_999 * 10**12
    for text in ("9999999TB", "9" * 400 + "MB"):
        with pytest.raises(UsageError, match="--memory-limit: expected at most 1 EB, received '9"):
            parse_size(text, "--memory-limit")


def test_a_path_without_a_file_name_is_refused() -> None:
    with pytest.raises(UsageError, match=r"the name of a file, .* received 'a\\x00b'"):
        resolve_inputs(["a\0b"])


def test_file_names_may_be_any_bytes(tmp_path: Path) -> None:
    """In messages, reports and manifests, and to be compared by --resume."""
    write_examples(tmp_path / "e", [{"id": [b"a"], "embedding": [1.0]}])
    os.rename(tmp_path / "e", bytes(tmp_path) + b"/e\xff")
    command: list[str | bytes] = [sys.executable, "-m", "nsl_tools", "build-graph", "--resume"]
    command += ["--report=r\udcff".encode("utf-8", "surrogateescape"), b"e\xff", b"g\xff@2"]
    for said in (b"sources", b"2 shards kept"):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
        assert (done.returncode, said in done.stderr) == (0, True), done.stderr
    assert b"e\\udcff" in (tmp_path / "r\udcff").read_bytes()
    command[-2] = b"gone\xff"
    done = subprocess.run(
        command[:4] + command[-2:], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.stderr == b"build-graph: error: gone\\udcff: no such file\n"
