"""What all commands share: options, progress, the report, and what is said at the end."""

from __future__ import annotations

import contextlib
import textwrap
from typing import TYPE_CHECKING, Any, get_args

import click

from nsl_tools.choices import DEFAULT_ID_FEATURE, DEFAULT_MAX_RECORD_BYTES, EngineName, OnDuplicate
from nsl_tools.cli.exit_status import line_of, status_of
from nsl_tools.cli.process import DATA_ERROR, say
from nsl_tools.errors import NslToolsError, UsageError
from nsl_tools.memory import parse_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from click.shell_completion import CompletionItem

    from nsl_tools.estimates.run_estimate import RunEstimate
    from nsl_tools.files.run_report import Report
    from nsl_tools.options import RunOptions
    from nsl_tools.progress import Progress
    from nsl_tools.statistics import Statistics


class FilePath(click.ParamType):  # type: ignore[type-arg] # of Click before 8.2 it has none
    """The name of a file or what stands for several: any text, of which a shell completes files."""

    name = "path"

    def shell_complete(
        self, _: click.Context, __: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Leave it to the shell."""
        from click.shell_completion import CompletionItem  # here, since a run does without

        return [CompletionItem(incomplete, type="file")]


def _size(_: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    return None if value is None else parse_size(value, parameter.opts[0])


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of every command that reads."""
    options = (
        click.option("--debug", is_flag=True, help="Show a traceback when something fails."),
        click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors and warnings."),
        click.option(
            "-v",
            "--verbose",
            is_flag=True,
            help="Say at the end how long each phase took, and what was decided, and why.",
        ),
        click.option(
            "--memory-limit",
            metavar="SIZE",
            callback=_size,
            help="Memory to stay within, beside the libraries' own: 512MB, 2GB, 1GiB. What does "
            "not fit goes to scratch files in TMPDIR.  [default: half of what there is]",
        ),
        click.option(
            "--id-feature-name",
            "id_feature",
            default=DEFAULT_ID_FEATURE,
            show_default=True,
            help="Feature that holds an example's id: one bytes value.",
        ),
        click.option(
            "--max-record-bytes",
            type=int,
            default=DEFAULT_MAX_RECORD_BYTES,
            show_default=True,
            help="The longest record to accept.",
        ),
    )
    for option in options:
        command = option(command)
    return command


def common_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of every command that reads and writes."""
    options = (
        click.option(
            "--allow-empty", is_flag=True, help="Accept inputs without any record or edge."
        ),
        click.option(
            "--max-errors",
            type=int,
            default=0,
            show_default=True,
            help="Skip up to this many records and lines that are not usable, and count them.",
        ),
        click.option(
            "--on-duplicate",
            type=click.Choice(get_args(OnDuplicate)),
            default="error",
            show_default=True,
            help="Of examples of one input with the same id, take the first or the last.",
        ),
        click.option(
            "--resume",
            is_flag=True,
            help="Go on from the shards that the same command finished before it was ended: "
            "write only the others. Keep what is finished if this run is ended too.",
        ),
        click.option(
            "--report",
            metavar="FILE.json",
            type=FilePath(),
            help="Write what was read, written, counted, dropped and skipped, and why it failed.",
        ),
    )
    for option in options:
        command = option(command)
    return reading_options(command)


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of commands that run on one machine or on many."""
    options = (
        click.option(
            "--engine",
            type=click.Choice(get_args(EngineName)),
            default="local",
            show_default=True,
            help="What runs the work: this machine, or a cluster of Apache Spark. The output is "
            "the same.",
        ),
        click.option(
            "--spark-master",
            metavar="URL",
            help="Master of the cluster.  [default: what Spark is configured for]",
        ),
        click.option(
            "--work-dir",
            metavar="FOLDER",
            type=FilePath(),
            help="Folder that all machines of the cluster see, for what its tasks leave there.  "
            "[default: the folder of the output]",
        ),
    )
    for option in options:
        command = option(command)
    return command


def compression_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add the option of commands that write records."""
    add = click.option(
        "--compression",
        type=click.Choice(["auto", "none", "gzip", "zlib"]),
        default="auto",
        show_default=True,
        help="Compression of the output; auto: GZIP if the name ends in .gz.",
    )
    return add(command)


def dry_run_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option of commands that can tell what they would do."""
    add = click.option(
        "--dry-run",
        is_flag=True,
        help="Only say what the run would do and take, by a sample and short timings: edges, "
        "memory, scratch, output, time. Exit status 1 if it would not fit.",
    )
    return add(command)


def graph_ids_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add the option of commands that read a graph."""
    add = click.option(
        "--graph-ids",
        metavar="FILE",
        type=FilePath(),
        help="The ids of the nodes that GRAPH gives by their numbers (.npz, HDF5, whole numbers in "
        "Parquet), as --ids of build-graph reads them.  [default: the numbers]",
    )
    return add(command)


def progress_of(command: str, *, quiet: bool, verbose: bool = False) -> Progress:
    """Return how a command reports its progress.

    Raises:
        UsageError: it is to say both less and more.
    """
    from nsl_tools.progress import Progress

    if quiet and verbose:
        raise UsageError("--verbose: expected none with --quiet")
    return Progress(command, quiet=quiet, verbose=verbose)


@contextlib.contextmanager
def reported(
    command: str, options: RunOptions, inputs: Mapping[str, Sequence[str]], output: str
) -> Iterator[Report]:
    """Report a run, if that is asked for, even if it fails."""
    from nsl_tools.files.run_report import Report

    report = Report(command, options, inputs, output)
    try:
        yield report
    except BaseException as err:
        line = line_of(err)
        try:
            report.fail(status_of(err), line)
        except NslToolsError as other:
            if str(other) != line:
                say(f"{command}: warning: {other}")
        raise


def show_estimate(estimate: RunEstimate, progress: Progress, report: Report) -> int:
    """Show an estimate on standard output, and put it into the report; return the exit status."""
    lines = [
        (fact.label, f"{fact.shown}; {fact.why}" if fact.why else fact.shown)
        for fact in estimate.facts
    ]
    lines.append(("fits", "no" if estimate.problems else "yes"))
    lines += [("missing", problem) for problem in estimate.problems]
    width = 2 + max(len(label) for label, _ in lines)
    for label, text in lines:
        click.echo(_aligned(label, text, width))
    tell_end(progress, report.statistics)
    status = DATA_ERROR if estimate.problems else 0
    report.of_estimate(status, estimate.problems, estimate.as_json())
    return status


def _aligned(label: str, text: str, width: int) -> str:
    """Return lines of at most 80 columns, unless a word is longer, with a text beside a label."""
    return textwrap.fill(
        text, 80, initial_indent=f"{label:<{width}}", subsequent_indent=" " * width,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def summarize(progress: Progress, statistics: Statistics) -> None:
    """Say what a run warned of, how it went if that is asked for, and what it counted."""
    tell_end(progress, statistics)
    if not progress.quiet:
        say(f"{progress.command}: {statistics.summary()}")


def tell_end(progress: Progress, statistics: Statistics) -> None:
    """Say what a run warned of, and how it went if that is asked for."""
    for reason, count in statistics.warnings.items():
        say(f"{progress.command}: warning: {reason} ({count:,})")
    if progress.verbose:
        for line in progress.report():
            say(f"{progress.command}: {line}")
