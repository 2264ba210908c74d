"""What a run writes to its output path: on disk or in a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nsl_tools.files.shards.shard_set import ShardSet
from nsl_tools.files.shards.store_set import StoreSet
from nsl_tools.files.stores.store import is_remote

if TYPE_CHECKING:
    from nsl_tools.files.run_report import Report
    from nsl_tools.files.shards.manifest import Provenance
    from nsl_tools.options import RunOptions
    from nsl_tools.statistics import Statistics


def run_output(
    path: str,
    run: Provenance,
    options: RunOptions,
    statistics: Statistics,
    report: Report | None,
    compression: str = "auto",
) -> ShardSet:
    """Return what a run with `options` writes to `path`: a file, `base@N` or `-`.

    Args:
        path: as it was asked for.
        run: what decides about the content, for the manifest of a set.
        options: of the run.
        statistics: count what is left alone, and what is kept of runs before.
        report: to be published with the files, if there is one.
        compression: of the files.

    Raises:
        UsageError: `--resume` is asked for where that cannot be done.
    """
    kind = StoreSet if is_remote(path) else ShardSet
    return kind(
        path, compression, run, resume=options.resume, report=report, warnings=statistics.warnings
    )
