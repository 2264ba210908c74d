"""`nsl-tools convert`: options in."""

from __future__ import annotations

from typing import Any

import click

from nsl_tools.cli.absl_flags import AbslCommand
from nsl_tools.cli.common import (
    common_options,
    compression_option,
    progress_of,
    reported,
    summarize,
)
from nsl_tools.cli.startup import loading
from nsl_tools.options import ConvertOptions


@click.command(
    "convert",
    cls=AbslCommand,
    epilog="""\b
Examples:
  nsl-tools convert frame.parquet examples.tfr
  nsl-tools convert 'part-*.csv' examples.tfr@16
  nsl-tools convert merged.tfr merged.parquet
""",
)
@click.argument("examples", nargs=-1, required=True)
@click.argument("output")
@compression_option
@common_options
def convert(
    examples: tuple[str, ...],
    output: str,
    *,
    quiet: bool,
    debug: bool,  # noqa: ARG001 - looked for where errors end the run
    **given: Any,
) -> None:
    """Write EXAMPLES, one after the other, to OUTPUT, in the format that its suffix says.

    EXAMPLES are TFRecord files of tf.train.Example, or tables (Parquet, Arrow, CSV,
    JSON Lines), a row each, with an id. OUTPUT is Parquet (.parquet), else TFRecord.
    """
    options = ConvertOptions(**given)
    with loading():
        from nsl_tools.convert.pipeline import convert as run

    progress = progress_of("convert", quiet=quiet)
    with reported("convert", options, {"examples": examples}, output) as report:
        statistics = run(examples, output, options, progress, report)
    summarize(progress, statistics)
