"""`nsl-tools build-graph`: options in."""

from __future__ import annotations

from typing import Any, get_args

import click

from nsl_tools.choices import DEFAULT_EMBEDDING_FEATURE, EdgeIds, WeightKind
from nsl_tools.cli.absl_flags import AbslCommand
from nsl_tools.cli.common import (
    FilePath,
    common_options,
    dry_run_option,
    engine_options,
    progress_of,
    reported,
    show_estimate,
    summarize,
)
from nsl_tools.cli.startup import loading


def _neighbor_count(_: click.Context, __: click.Parameter, value: str) -> int | None:
    if value == "all":
        return None
    try:
        return int(value)
    except ValueError:
        raise click.BadParameter(f"expected a number or 'all', received {value!r}") from None


@click.command(
    "build-graph",
    cls=AbslCommand,
    epilog="""\b
Examples:
  nsl-tools build-graph emb.tfr graph.tsv
  nsl-tools build-graph -k all --similarity_threshold=0.9 'emb-*' - | wc -l
""",
)
@click.argument("embeddings", nargs=-1, required=True, type=FilePath())
@click.argument("graph", type=FilePath())
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
    type=FilePath(),
    help="Build only the edges that leave the ids of these examples, or of this list of ids: all "
    "that packing them needs. May be given several times.",
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
    type=FilePath(),
    help="The ids of EMBEDDINGS that hold none, in order: a text file, one a line, a .npy array, "
    "or table.parquet:column.  [default: the rows' numbers]",
)
@click.option(
    "--array",
    metavar="NAME",
    help="Which array, of EMBEDDINGS that hold several: .npz, HDF5, safetensors. Or name it as "
    "file.h5:/name.",
)
@click.option(
    "--embedding-columns",
    metavar="PATTERNS",
    help="Columns of a table that are a dimension each, in its order: 'e*' or 'x,y,z'.",
)
@click.option(
    "--recall",
    type=float,
    default=1.0,
    show_default=True,
    help="Find at least this share of the exact edges, as measured on random nodes with 99 % "
    "confidence, where that is faster than finding all. 1 is exact.",
)
@click.option(
    "--weights",
    type=click.Choice(get_args(WeightKind)),
    default="similarity",
    show_default=True,
    help="What an edge has: the cosine, or the distance, 1 less the cosine.",
)
@click.option(
    "--edge-ids",
    type=click.Choice(get_args(EdgeIds)),
    default="ids",
    show_default=True,
    help="In Parquet, nodes by their ids, or by the numbers of their rows.",
)
@click.option("--threads", type=int, help="Threads for the products.  [default: all cores]")
@dry_run_option
@engine_options
@common_options
def build_graph(
    embeddings: tuple[str, ...],
    graph: str,
    seeds: tuple[str, ...],
    *,
    dry_run: bool,
    quiet: bool,
    verbose: bool,
    debug: bool,  # noqa: ARG001 - looked for where errors end the run
    **given: Any,
) -> int:
    """Build the cosine nearest-neighbour graph of EMBEDDINGS and write it to GRAPH.

    EMBEDDINGS are TFRecord files of tf.train.Example with an id and an
    embedding, tables (Parquet, Arrow, CSV, JSON Lines) with a column of each, or
    matrices (.npy, .npz, HDF5, safetensors, .fbin), recognised by content. GRAPH
    is TSV, one edge a line, or by its suffix .parquet, .npz or .h5: source,
    target, similarity; sorted by source (input order), then similarity and
    target id descending.
    """
    from nsl_tools.options import BuildGraphOptions  # here, since `--help` does without

    options = BuildGraphOptions(**given)
    with loading():
        from nsl_tools.build_graph.pipeline import build_graph as run

        if dry_run:
            from nsl_tools.build_graph.dry_run.estimate import estimate_build_graph

    progress = progress_of("build-graph", quiet=quiet, verbose=verbose)
    ids = [options.ids] if options.ids else []
    inputs = {"embeddings": embeddings, "seeds": seeds, "ids": ids}
    with reported("build-graph", options, inputs, graph) as report, progress:
        if dry_run:
            estimate = estimate_build_graph(embeddings, graph, options, seeds, report.statistics)
            return show_estimate(estimate, progress, report)
        statistics = run(embeddings, graph, options, seeds, progress, report)
    summarize(progress, statistics)
    return 0
