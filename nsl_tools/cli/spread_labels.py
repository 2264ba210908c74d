"""`nsl-tools spread-labels`: options in."""

from __future__ import annotations

from typing import Any, get_args

import click

from nsl_tools.choices import SpreadMethod
from nsl_tools.cli.absl_flags import AbslCommand
from nsl_tools.cli.common import (
    FilePath,
    common_options,
    compression_option,
    graph_ids_option,
    progress_of,
    reported,
    summarize,
)
from nsl_tools.cli.startup import loading


@click.command(
    "spread-labels",
    cls=AbslCommand,
    epilog="""\b
Examples:
  nsl-tools spread-labels labeled.tfr graph.tsv spread.tfr
  nsl-tools spread-labels --suspects=doubtful.tsv labeled.tfr graph.tsv spread@4
""",
)
@click.argument("labeled", type=FilePath())
@click.argument("graph", type=FilePath())
@click.argument("output", type=FilePath())
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
    type=click.Choice(get_args(SpreadMethod)),
    default="consistency",
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
@graph_ids_option
@click.option(
    "--suspects",
    metavar="FILE",
    type=FilePath(),
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
    verbose: bool,
    debug: bool,  # noqa: ARG001 - looked for where errors end the run
    **given: Any,
) -> None:
    """Spread the classes of LABELED along GRAPH and write those of all nodes to OUTPUT.

    LABELED are TFRecord files of tf.train.Example, or tables, with an id and a class.
    GRAPH is what build-graph writes, or TSV: source, target and optionally a weight;
    edges are taken in both directions. OUTPUT are examples: the id, the most probable
    class, the probabilities of all classes, and a confidence from 0 to 1. pack-nbrs
    --soft-labels gives them to training.
    """
    from nsl_tools.options import SpreadOptions  # here, since `--help` does without

    options = SpreadOptions(**given)
    with loading():
        from nsl_tools.spread_labels.pipeline import spread_labels as run

    progress = progress_of("spread-labels", quiet=quiet, verbose=verbose)
    inputs = {"labeled": [labeled], "graph": [graph]}
    with reported("spread-labels", options, inputs, output) as report, progress:
        statistics = run(labeled, graph, output, options, progress, report)
    summarize(progress, statistics)
