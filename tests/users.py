"""Two users in one folder: what the tests of shared folders need. Only root can be two users."""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OTHER = 12345
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")


def other_user_does(script: str, folder: Path) -> None:
    """Run a shell script in `folder` as a user of no rights."""
    subprocess.run(
        ["/bin/sh", "-euc", script],
        cwd=folder, check=True, user=OTHER, group=OTHER, extra_groups=[], umask=0o022,
    )  # fmt: skip


@contextlib.contextmanager
def as_other_user() -> Iterator[None]:
    """Let this process have the rights of that user, and no others, for a while."""
    groups, group = os.getgroups(), os.getegid()
    os.setgroups([])
    os.setegid(OTHER)
    os.seteuid(OTHER)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)
