"""`nsl-tools convert`: options in."""

from __future__ import annotations

from typing import Any, get_args

import click

from nsl_tools.choices import DEFAULT_EMBEDDING_FEATURE, WeightKind
from nsl_tools.cli.absl_flags import AbslCommand
from nsl_tools.cli.common import (
    FilePath,
    common_options,
    compression_option,
    progress_of,
    reported,
    summarize,
)
from nsl_tools.cli.startup import loading


@click.command(
    "convert",
    cls=AbslCommand,
    epilog="""\b
Examples:
  nsl-tools convert frame.parquet examples.tfr
  nsl-tools convert 'part-*.csv' examples.tfr@16
  nsl-tools convert merged.tfr merged.parquet
  nsl-tools convert vectors.npy --ids ids.txt examples.tfr
  nsl-tools convert graph.tsv --graph-ids ids.txt graph.npz
""",
)
@click.argument("inputs", nargs=-1, required=True, type=FilePath())
@click.argument("output", type=FilePath())
@click.option(
    "--ids", type=FilePath(), help="File of the ids of the rows of matrices, as for build-graph."
)
@click.option("--array", help="Array to read, where a file holds several.")
@click.option(
    "--embedding-feature-name",
    "embedding_feature",
    default=DEFAULT_EMBEDDING_FEATURE,
    show_default=True,
    help="Feature, or column, that holds an embedding.",
)
@click.option(
    "--embedding-columns",
    metavar="PATTERNS",
    help="Columns that are a dimension each, such as 'e*', where there is no such feature.",
)
@click.option(
    "--ids-out",
    metavar="FILE",
    type=FilePath(),
    help="Write the ids of the rows of a matrix, a line each.",
)
@click.option(
    "--graph-ids",
    metavar="FILE",
    type=FilePath(),
    help="Ids of all nodes, in the order of the rows, where a graph has rows in place of ids.",
)
@click.option(
    "--weights",
    type=click.Choice(get_args(WeightKind)),
    default="similarity",
    show_default=True,
    help="What edges are to have: similarities, or distances, 1 less these.",
)
@compression_option
@common_options
def convert(
    inputs: tuple[str, ...],
    output: str,
    *,
    quiet: bool,
    verbose: bool,
    debug: bool,  # noqa: ARG001 - looked for where errors end the run
    **given: Any,
) -> None:
    """Write INPUTS, one after the other, to OUTPUT, in the format that its suffix says.

    INPUTS hold examples (TFRecord files of tf.train.Example, or tables, a row each), rows of
    matrices (.npy, .npz, HDF5, safetensors, .fbin), or graphs (.tsv, Parquet, .npz, .h5).
    Examples and rows become Parquet, a matrix (.npy, .fbin), else TFRecord; graphs become
    .parquet, .npz, .h5, else TSV.
    """
    from nsl_tools.options import ConvertOptions  # here, since `--help` does without

    options = ConvertOptions(**given)
    with loading():
        from nsl_tools.convert.pipeline import convert as run

    progress = progress_of("convert", quiet=quiet, verbose=verbose)
    with reported("convert", options, {"inputs": inputs}, output) as report, progress:
        statistics = run(inputs, output, options, progress, report)
    summarize(progress, statistics)
