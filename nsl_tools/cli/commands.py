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
from nsl_tools.cli.absl_flags import AbslCommand, normalize
from nsl_tools.cli.common import (
    common_options,
    compression_option,
    progress_of,
    reported,
    summarize,
)
from nsl_tools.cli.exit_status import line_of, status_of
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
from nsl_tools.cli.startup import leave_threads_to_us, loading
from nsl_tools.options import (
    DEFAULT_EMBEDDING_FEATURE,
    SPREAD_METHODS,
    BuildGraphOptions,
    PackOptions,
    SpreadOptions,
)


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


def _neighbor_count(_: click.Context, __: click.Parameter, value: str) -> int | None:
    if value == "all":
        return None
    try:
        return int(value)
    except ValueError:
        raise click.BadParameter(f"expected a number or 'all', received {value!r}") from None


@cli.command(
    "build-graph",
    cls=AbslCommand,
    epilog="""\b
Examples:
  nsl-tools build-graph emb.tfr graph.tsv
  nsl-tools build-graph -k all --similarity_threshold=0.9 'emb-*' - | wc -l
""",
)
@click.argument("embeddings", nargs=-1, required=True)
@click.argument("graph")
@click.option(
    "-k",
    "--neighbors",
    "k",
    default="10",
    show_default=True,
    callback=_neighbor_count,
    help="Nearest neighbours per node at most; 'all' for every pair above the threshold, "
    "which is NSL 1.4's graph.",
)
@click.option(
    "--similarity-threshold",
    type=float,
    default=0.8,
    show_default=True,
    help="Smallest cosine similarity of an edge.",
)
@click.option(
    "--seeds",
    multiple=True,
    metavar="LABELED",
    help="Build only the edges that leave the ids of these examples, all that packing them "
    "needs. May be given several times.",
)
@click.option(
    "--embedding-feature-name",
    "embedding_feature",
    default=DEFAULT_EMBEDDING_FEATURE,
    show_default=True,
    help="Feature that holds the embedding: floats.",
)
@click.option(
    "--lsh-splits",
    type=int,
    default=0,
    show_default=True,
    help="Compare only nodes in one bucket of 2^splits, cut by random hyperplanes. "
    "0 compares all: exact.",
)
@click.option(
    "--lsh-rounds",
    type=int,
    default=2,
    show_default=True,
    help="Rounds of bucketing; a pair is compared if it meets in any.",
)
@click.option(
    "--random-seed",
    type=int,
    default=0,
    show_default=True,
    help="Seed of the hyperplanes, and of the cells and the sample for --recall.",
)
@click.option(
    "--ids",
    metavar="FILE",
    help="The ids of EMBEDDINGS that are .npy files: a text file, one id a line, in order.",
)
@click.option(
    "--recall",
    type=float,
    default=1.0,
    show_default=True,
    help="Find at least this share of the exact edges, as measured on random nodes with 99 % "
    "confidence, where that is faster than finding all. 1 is exact.",
)
@click.option("--threads", type=int, help="Threads for the products.  [default: all cores]")
@common_options
def build_graph(
    embeddings: tuple[str, ...],
    graph: str,
    seeds: tuple[str, ...],
    *,
    quiet: bool,
    debug: bool,  # noqa: ARG001 - looked for where errors end the run
    **given: Any,
) -> None:
    """Build the cosine nearest-neighbour graph of EMBEDDINGS and write it to GRAPH.

    EMBEDDINGS are TFRecord files of tf.train.Example with an id and an
    embedding, or .npy files (with --ids), or .parquet files. GRAPH is TSV, one
    edge a line: source, target, similarity; sorted by source (input order), then
    similarity and target id descending.
    """
    options = BuildGraphOptions(**given)
    with loading():
        from nsl_tools.build_graph.pipeline import build_graph as run

    progress = progress_of("build-graph", quiet=quiet)
    ids = [options.ids] if options.ids else []
    inputs = {"embeddings": embeddings, "seeds": seeds, "ids": ids}
    with reported("build-graph", options, inputs, graph) as report:
        statistics = run(embeddings, graph, options, seeds, progress, report)
    summarize(progress, statistics)


@cli.command(
    "pack-nbrs",
    cls=AbslCommand,
    epilog="""\b
Examples:
  nsl-tools pack-nbrs --max_nbrs=5 labeled.tfr unlabeled.tfr graph.tsv merged.tfr
  nsl-tools build-graph emb.tfr - | nsl-tools pack-nbrs l.tfr '' - merged@4
""",
)
@click.argument("labeled")
@click.argument("unlabeled")
@click.argument("graph")
@click.argument("output")
@click.option(
    "--max-nbrs",
    "max_neighbors",
    type=int,
    help="Neighbours per labeled example at most.  [default: all]",
)
@click.option(
    "--add-undirected-edges/--no-add-undirected-edges",
    default=False,
    show_default=True,
    help="Follow each edge backwards too, with the larger weight of both directions.",
)
@click.option(
    "--seed-unlabeled",
    is_flag=True,
    help="Pack unlabeled examples as seeds too, after the labeled ones, and mark all seeds by "
    "NL_label_weight: 1 if labeled, else 0.",
)
@compression_option
@click.option(
    "--rename-weight",
    metavar="NAME",
    help="Pack a neighbour's feature called 'weight', which would clash with the edge's weight, "
    "as NL_nbr_<i>_NAME.  [default: refuse it]",
)
@click.option(
    "--soft-labels",
    metavar="FILE",
    help="Give each seed the class probabilities that spread-labels wrote to FILE, as "
    "NL_soft_label, and its confidence as NL_label_weight.",
)
@common_options
def pack_nbrs(
    labeled: str,
    unlabeled: str,
    graph: str,
    output: str,
    *,
    quiet: bool,
    debug: bool,  # noqa: ARG001 - looked for where errors end the run
    **given: Any,
) -> None:
    """Merge the features of graph neighbours into LABELED and write it to OUTPUT.

    LABELED and UNLABELED are TFRecord files of tf.train.Example with an id;
    UNLABELED may be '' for none. GRAPH is TSV: source, target and optionally a
    weight. Each labeled example gets NL_num_nbrs, and for each neighbour i its
    features as NL_nbr_<i>_<name> and the edge weight as NL_nbr_<i>_weight.
    """
    options = PackOptions(**given)
    with loading():
        from nsl_tools.pack_nbrs.pipeline import pack_nbrs as run

    progress = progress_of("pack-nbrs", quiet=quiet)
    others = [unlabeled] if unlabeled else []
    inputs = {"labeled": [labeled], "unlabeled": others, "graph": [graph]}
    if options.soft_labels:
        inputs["soft labels"] = [options.soft_labels]
    with reported("pack-nbrs", options, inputs, output) as report:
        statistics = run(labeled, unlabeled, graph, output, options, progress, report)
    summarize(progress, statistics)


@cli.command(
    "spread-labels",
    cls=AbslCommand,
    epilog="""\b
Examples:
  nsl-tools spread-labels labeled.tfr graph.tsv spread.tfr
  nsl-tools spread-labels --suspects=doubtful.tsv labeled.tfr graph.tsv spread@4
""",
)
@click.argument("labeled")
@click.argument("graph")
@click.argument("output")
@click.option(
    "--label-feature-name",
    "label_feature",
    default="label",
    show_default=True,
    help="Feature that holds an example's class: one int64 value from 0 on.",
)
@click.option(
    "--classes",
    type=int,
    help="How many classes there are, if no label may show the last.  [default: largest + 1]",
)
@click.option(
    "--method",
    type=click.Choice(SPREAD_METHODS),
    default=SPREAD_METHODS[0],
    show_default=True,
    help="Local and global consistency (Zhou 2004), or harmonic functions (Zhu 2003), where "
    "labels stay as they are.",
)
@click.option(
    "--alpha",
    type=float,
    default=0.9,
    show_default=True,
    help="With consistency: how much a node takes from its neighbours, how far labels reach.",
)
@click.option(
    "--balance/--no-balance",
    default=True,
    show_default=True,
    help="Scale classes so that all nodes together have them as often as the labels do.",
)
@click.option(
    "--tolerance",
    type=float,
    default=1e-6,
    show_default=True,
    help="A class ends when its values change by no more than this share of the largest.",
)
@click.option(
    "--max-iterations", type=int, default=1000, show_default=True, help="Iterations at most."
)
@click.option(
    "--suspects",
    metavar="FILE",
    help="Name the labels that the others contradict, the most doubtful first: id, class, the "
    "other class, and the probabilities of both. Each fold of the labels is held out once.",
)
@click.option("--folds", type=int, default=5, show_default=True, help="Folds for --suspects.")
@click.option("--random-seed", type=int, default=0, show_default=True, help="Seed of the folds.")
@compression_option
@common_options
def spread_labels(
    labeled: str,
    graph: str,
    output: str,
    *,
    quiet: bool,
    debug: bool,  # noqa: ARG001 - looked for where errors end the run
    **given: Any,
) -> None:
    """Spread the classes of LABELED along GRAPH and write those of all nodes to OUTPUT.

    LABELED are TFRecord files of tf.train.Example with an id and a class. GRAPH is TSV:
    source, target and optionally a weight; edges are taken in both directions. OUTPUT are
    examples: the id, the most probable class, the probabilities of all classes, and a
    confidence from 0 to 1. pack-nbrs --soft-labels gives them to training.
    """
    options = SpreadOptions(**given)
    with loading():
        from nsl_tools.spread_labels.pipeline import spread_labels as run

    progress = progress_of("spread-labels", quiet=quiet)
    inputs = {"labeled": [labeled], "graph": [graph]}
    with reported("spread-labels", options, inputs, output) as report:
        statistics = run(labeled, graph, output, options, progress, report)
    summarize(progress, statistics)


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command line and exit; without `args` the process is ours, and ends at once."""
    occupy_closed_descriptors()
    raise_on_signals()
    if args is None:
        leave_threads_to_us()
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
