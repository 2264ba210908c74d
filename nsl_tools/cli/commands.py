"""The `nsl-tools` command: options in, exit code out; the only place that knows either.

The pipelines are imported inside the commands, so that `--help` loads neither
numpy nor pyarrow, and no data tool ever loads TensorFlow.

Exit codes: 0 done, 1 data or I/O error, 2 usage error; a signal ends the
program by that signal, after removing what was half-written.
"""

from __future__ import annotations

import signal
import sys
from typing import Any, NoReturn

import click

from nsl_tools import __version__
from nsl_tools.cli.absl_flags import normalize
from nsl_tools.cli.build_graph import build_graph
from nsl_tools.cli.check import check
from nsl_tools.cli.convert import convert
from nsl_tools.cli.exit_status import line_of, status_of
from nsl_tools.cli.inspect import inspect
from nsl_tools.cli.pack_nbrs import pack_nbrs
from nsl_tools.cli.process import (
    USAGE_ERROR,
    Signalled,
    die_by,
    exit_with,
    occupy_closed_descriptors,
    raise_on_signals,
    say,
    signal_behind,
)
from nsl_tools.cli.spread_labels import spread_labels
from nsl_tools.cli.startup import leave_threads_to_us, let_arrow_reserve_nothing
from nsl_tools.cli.version import version_command


class _Group(click.Group):
    """A group that dies by SIGPIPE, as `sort` does, where Click would exit with 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise Signalled(signal.SIGPIPE) from None


@click.group(
    cls=_Group,
    context_settings={
        "token_normalize_func": normalize,
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
    },
    invoke_without_command=True,
)
@click.version_option(__version__, prog_name="nsl-tools")
@click.pass_context
def cli(context: click.Context) -> None:
    """Neural Structured Learning: similarity graphs and neighbour packing.

    A path is a file, a glob, a shard set base@N (base-00000-of-0000N, ...), or
    - for standard input or output. GZIP and ZLIB input is recognised by content.
    Options may be spelled as NSL 1.4 does (--max_nbrs=5) or with hyphens.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(USAGE_ERROR)


for _command in (build_graph, pack_nbrs, spread_labels, convert, inspect, check, version_command):
    cli.add_command(_command)


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command line and exit; without `args` the process is ours, and ends at once."""
    occupy_closed_descriptors()
    raise_on_signals()
    if args is None:
        leave_threads_to_us()
        let_arrow_reserve_nothing()
    status = _run(sys.argv[1:] if args is None else args)
    exit_with(status, at_once=args is None)


def _run(arguments: list[str]) -> int:
    """Return the exit status."""
    try:
        # Click returns the status of what ends early (help, version), else what the command does.
        return cli.main(arguments, prog_name="nsl-tools", standalone_mode=False) or 0
    except BaseException as err:
        if (number := signal_behind(err)) is not None:
            from nsl_tools.files.staging import remove_all

            remove_all()
            die_by(number)
        if not isinstance(err, Exception) or "--debug" in arguments:
            raise
        command = next((normalize(a) for a in arguments if normalize(a) in cli.commands), None)
        say(f"{command or 'nsl-tools'}: error: {line_of(err)}")
        return status_of(err)
