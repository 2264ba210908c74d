"""What an estimate cannot be made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nsl_tools.errors import UsageError, printable
from nsl_tools.files.streams import source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nsl_tools.options import EngineOptions


def refuse_streams(paths: Iterable[str]) -> None:
    """Refuse inputs that can be read once only: the run itself would have nothing left of them.

    Raises:
        UsageError: one is such a stream. DataError: one cannot be looked at.
    """
    for path in paths:
        if (found := source(path)).size() is None:
            problem = f"received the stream {found.name}, which can be read only once"
            raise UsageError(printable(f"--dry-run: expected files, {problem}"))


def refuse_engine(options: EngineOptions) -> None:
    """Refuse to estimate for a cluster: what its machines take cannot be timed on this one.

    Raises:
        UsageError: an engine was asked for.
    """
    if options.engine != "local":
        raise UsageError(
            f"--dry-run: expected --engine local, received {options.engine}: how fast a cluster is "
            "cannot be told here; without --engine, the estimate is for this machine alone"
        )
