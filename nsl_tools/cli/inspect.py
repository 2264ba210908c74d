"""`nsl-tools inspect`: options in."""

from __future__ import annotations

from typing import Any

import click

from nsl_tools.choices import DEFAULT_EMBEDDING_FEATURE
from nsl_tools.cli.absl_flags import AbslCommand
from nsl_tools.cli.common import (
    FilePath,
    graph_ids_option,
    progress_of,
    reading_options,
    tell_end,
)
from nsl_tools.cli.startup import loading


@click.command(
    "inspect",
    cls=AbslCommand,
    epilog="""\b
Examples:
  nsl-tools inspect embeddings.npy --labels=labels.npy
  nsl-tools inspect graph.tsv --labels=labeled.tfr --html=graph.html
  nsl-tools inspect merged.tfr --json | jq .neighbors
""",
)
@click.argument("inputs", nargs=-1, required=True, type=FilePath())
@click.option(
    "--labels",
    metavar="FILE[:COLUMN]",
    type=FilePath(),
    help="Labels of the nodes: examples or a table with ids and labels; or a .npy array or a text "
    "file with a label for each row.",
)
@click.option(
    "--label-feature-name",
    "label_feature",
    default="label",
    show_default=True,
    help="Feature that holds an example's label: one text or whole number.",
)
@click.option(
    "--examples",
    multiple=True,
    metavar="FILES",
    type=FilePath(),
    help="The examples that a graph is for. May be given several times.",
)
@click.option(
    "--sample",
    type=int,
    help="Random nodes of embeddings whose exact neighbours are sought; by default as many as take "
    "some seconds, 4,000 to 20,000.",
)
@click.option("--random-seed", type=int, default=0, show_default=True, help="Seed of the sample.")
@click.option(
    "--embedding-feature-name",
    "embedding_feature",
    default=DEFAULT_EMBEDDING_FEATURE,
    show_default=True,
    help="Feature that holds the embedding: examples that have it are taken for embeddings.",
)
@click.option("--embedding-columns", metavar="PATTERNS", help="As of build-graph.")
@click.option(
    "--ids", metavar="FILE", type=FilePath(), help="As of build-graph; for labels by row as well."
)
@click.option("--array", metavar="NAME", help="As of build-graph.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON to standard output.")
@click.option("--html", metavar="FILE", type=FilePath(), help="Write a page with charts, too.")
@graph_ids_option
@reading_options
def inspect(
    inputs: tuple[str, ...],
    examples: tuple[str, ...],
    *,
    as_json: bool,
    html: str | None,
    quiet: bool,
    verbose: bool,
    debug: bool,  # noqa: ARG001 - looked for where errors end the run
    **given: Any,
) -> None:
    """Show what INPUTS hold, to choose by before a run and to look at what came out.

    Of embeddings: which edges each threshold and number of neighbours would
    give, by the exact neighbours of some random nodes. Of a graph: degrees, hubs, components,
    weights, and how often neighbours share a label. Of examples, packed or not:
    features, kinds, lengths, labels, neighbours.
    """
    from nsl_tools.options import InspectOptions  # here, since `--help` does without

    options = InspectOptions(**given)
    with loading():
        from nsl_tools.inspect.output import write_findings
        from nsl_tools.inspect.pipeline import inspect as run

    progress = progress_of("inspect", quiet=quiet, verbose=verbose)
    with progress:
        found, statistics = run(inputs, options, examples, progress)
    write_findings(found, html=html, as_json=as_json, quiet=quiet)
    tell_end(progress, statistics)
