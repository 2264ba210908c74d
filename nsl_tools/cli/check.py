"""`nsl-tools check`: options in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from nsl_tools.cli.absl_flags import AbslCommand
from nsl_tools.cli.common import FilePath, progress_of, reading_options, summarize
from nsl_tools.cli.process import DATA_ERROR, say
from nsl_tools.cli.startup import loading

if TYPE_CHECKING:
    from nsl_tools.errors import DataError


@click.command(
    "check",
    cls=AbslCommand,
    epilog="""\b
Examples:
  nsl-tools check merged@16 graph.tsv
  nsl-tools check --quick s3://bucket/merged@1000
""",
)
@click.argument("paths", nargs=-1, required=True, type=FilePath())
@click.option("--quick", is_flag=True, help="Look at sizes, manifests and first bytes alone.")
@click.option("--array", help="Array to read, where a file holds several.")
@reading_options
def check(
    paths: tuple[str, ...],
    *,
    quiet: bool,
    verbose: bool,
    debug: bool,  # noqa: ARG001 - looked for where errors end the run
    **given: Any,
) -> int:
    """Tell whether files are right: exit status 0, or else 1, and the first fault of each.

    PATHS hold examples, embeddings or graphs of any format. Checksums, lengths, manifests,
    records, ids and weights are looked at, and that each id occurs once in what a path
    stands for.
    """
    from nsl_tools.options import CheckOptions  # here, since `--help` does without

    options = CheckOptions(**given)
    with loading():
        from nsl_tools.check.pipeline import check as run

    progress = progress_of("check", quiet=quiet, verbose=verbose)

    def tell(fault: DataError) -> None:
        with progress.silence():
            say(f"check: error: {fault}")

    with progress:
        statistics = run(paths, options, tell, progress)
    summarize(progress, statistics)
    return DATA_ERROR if statistics.counts["faults"] else 0
