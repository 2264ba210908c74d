"""`nsl-tools pack-nbrs`: options in."""

from __future__ import annotations

from typing import Any

import click

from nsl_tools.cli.absl_flags import AbslCommand
from nsl_tools.cli.common import (
    FilePath,
    common_options,
    compression_option,
    dry_run_option,
    engine_options,
    graph_ids_option,
    progress_of,
    reported,
    show_estimate,
    summarize,
)
from nsl_tools.cli.startup import loading


@click.command(
    "pack-nbrs",
    cls=AbslCommand,
    epilog="""\b
Examples:
  nsl-tools pack-nbrs --max_nbrs=5 labeled.tfr unlabeled.tfr graph.tsv merged.tfr
  nsl-tools build-graph emb.tfr - | nsl-tools pack-nbrs l.tfr '' - merged@4
""",
)
@click.argument("labeled", type=FilePath())
@click.argument("unlabeled", type=FilePath())
@click.argument("graph", type=FilePath())
@click.argument("output", type=FilePath())
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
    "--nbr-features",
    metavar="NAMES",
    help="Pack only these features of neighbours, with commas between: their labels and ids cost "
    "as much as the rest, and are rarely wanted.  [default: all]",
)
@graph_ids_option
@click.option(
    "--soft-labels",
    metavar="FILE",
    type=FilePath(),
    help="Give each seed the class probabilities that spread-labels wrote to FILE, as "
    "NL_soft_label, and its confidence as NL_label_weight.",
)
@dry_run_option
@engine_options
@common_options
def pack_nbrs(
    labeled: str,
    unlabeled: str,
    graph: str,
    output: str,
    *,
    dry_run: bool,
    quiet: bool,
    verbose: bool,
    debug: bool,  # noqa: ARG001 - looked for where errors end the run
    **given: Any,
) -> int:
    """Merge the features of graph neighbours into LABELED and write it to OUTPUT.

    LABELED and UNLABELED are TFRecord files of tf.train.Example with an id, or
    tables (Parquet, Arrow, CSV, JSON Lines); UNLABELED may be '' for none. GRAPH
    is what build-graph writes, or TSV: source, target and optionally a weight.
    OUTPUT is TFRecord, or Parquet by its suffix. Each labeled example gets
    NL_num_nbrs, and for each neighbour i its features as NL_nbr_<i>_<name> and
    the edge weight as NL_nbr_<i>_weight.
    """
    from nsl_tools.options import PackOptions  # here, since `--help` does without

    options = PackOptions(**given)
    with loading():
        from nsl_tools.pack_nbrs.pipeline import pack_nbrs as run

        if dry_run:
            from nsl_tools.pack_nbrs.dry_run.estimate import estimate_pack_nbrs

    progress = progress_of("pack-nbrs", quiet=quiet, verbose=verbose)
    others = [unlabeled] if unlabeled else []
    inputs = {"labeled": [labeled], "unlabeled": others, "graph": [graph]}
    if options.soft_labels:
        inputs["soft labels"] = [options.soft_labels]
    with reported("pack-nbrs", options, inputs, output) as report, progress:
        if dry_run:
            paths = labeled, unlabeled, graph, output
            estimate = estimate_pack_nbrs(*paths, options, report.statistics)
            return show_estimate(estimate, progress, report)
        statistics = run(labeled, unlabeled, graph, output, options, progress, report)
    summarize(progress, statistics)
    return 0
