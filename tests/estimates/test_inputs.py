"""`estimates.inputs`: what no estimate can be made of is refused, in one line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from nsl_tools.errors import UsageError
from nsl_tools.estimates.inputs import refuse_engine, refuse_streams
from nsl_tools.options import BuildGraphOptions

if TYPE_CHECKING:
    from pathlib import Path


def test_streams_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    refuse_streams([str(tmp_path / "file")])
    os.mkfifo(tmp_path / "pipe")
    for path, name in (("-", "<stdin>"), (str(tmp_path / "pipe"), "pipe")):
        with pytest.raises(UsageError, match=f"--dry-run: expected files, received .*{name}"):
            refuse_streams([path])


def test_engines_are_refused() -> None:
    refuse_engine(BuildGraphOptions())
    with pytest.raises(UsageError, match="--dry-run: expected --engine local, received spark"):
        refuse_engine(BuildGraphOptions(engine="spark"))
