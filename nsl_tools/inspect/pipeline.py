"""The inspection: what kind of files these are decides what is looked at.

graph -> inspect_graph | matrix, examples with embeddings -> inspect_embeddings |
other examples, packed ones -> inspect_examples
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

from nsl_tools.errors import UsageError
from nsl_tools.feature_names import NUM_NEIGHBORS
from nsl_tools.files.paths import STANDARD_STREAM, one_member, resolve_inputs
from nsl_tools.formats.example_batch import read_examples
from nsl_tools.formats.kinds import kind_of
from nsl_tools.formats.tables.examples import opened_examples
from nsl_tools.formats.tables.opening import is_table, opened_table
from nsl_tools.inspect.embeddings.summary import inspect_embeddings
from nsl_tools.inspect.examples import inspect_examples
from nsl_tools.inspect.graphs.summary import inspect_graph
from nsl_tools.options import InspectOptions
from nsl_tools.progress import Progress
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nsl_tools.inspect.findings import Findings


def inspect(
    paths: Sequence[str],
    options: InspectOptions,
    examples: Sequence[str] = (),
    progress: Progress = Progress(),  # noqa: B008 - quiet, it keeps nothing
) -> tuple[Findings, Statistics]:
    """Describe what some files hold.

    Args:
        paths: files of one kind: embeddings, a graph, or examples.
        options: how to inspect.
        examples: of a graph: paths of the examples that it is for.
        progress: how to report progress.

    Returns:
        What was found, and what was odd.

    Raises:
        DataError: a file is not what it should be. UsageError: an option is not for its kind.
    """
    most = 10_000  # records that cannot be used; more are none of the expected format
    statistics = Statistics(options.max_errors or most)
    files, member = one_member("INPUTS", paths)
    inputs = resolve_inputs(files, statistics.warnings)
    kind = "embeddings" if member else _kind(inputs, options)
    _refuse_idle(kind, options)
    if kind == "graph":
        return inspect_graph(inputs, options, statistics, examples, progress), statistics
    if examples:
        raise UsageError("--examples: expected a graph to compare them with")
    if kind == "embeddings":
        options = replace(options, array=member or options.array)
        return inspect_embeddings(inputs, options, statistics, progress), statistics
    return inspect_examples(inputs, options, statistics, progress), statistics


def _kind(paths: Sequence[str], options: InspectOptions) -> str:
    """Return what the files hold: `graph`, `embeddings` or `examples`."""
    if paths[0] == STANDARD_STREAM:
        return "graph"
    kind = kind_of(paths)
    if kind != "examples":
        return "graph" if kind == "a graph" else "embeddings"
    names = _feature_names(paths[0], options)
    has_vectors = options.embedding_columns or options.embedding_feature in names
    return "embeddings" if has_vectors and NUM_NEIGHBORS not in names else "examples"


def _refuse_idle(kind: str, options: InspectOptions) -> None:
    """Raise UsageError if an option is given that files of a kind have no use for."""
    used = {
        "graph": {"labels", "graph_ids"},
        "embeddings": {"labels", "ids", "array", "embedding_columns", "sample", "random_seed"},
        "examples": {"label_feature"},
    }[kind]
    if options.labels:
        used |= {"ids", "label_feature"}
    meant = {
        "labels": "a graph or embeddings",
        "label_feature": "--labels, or examples",
        "ids": "embeddings, or --labels by row",
        "graph_ids": "a graph",
        **dict.fromkeys(("array", "embedding_columns", "sample", "random_seed"), "embeddings"),
    }
    usual = {field.name: field.default for field in fields(InspectOptions)}
    for name, what in meant.items():
        if name not in used and getattr(options, name) != usual[name]:
            option = name.replace("label_feature", "label_feature_name").replace("_", "-")
            raise UsageError(f"--{option}: expected {what}, received {kind}")


def _feature_names(path: str, options: InspectOptions) -> set[str]:
    """Return the names of the columns of a table, or of the features of the first examples."""
    if is_table(path):
        with opened_table(path) as table:
            return set(table.names)
    with opened_examples(path, options) as found:
        batch = next(read_examples([found]), None)
        return {name.decode() for name in batch.parsed.known} if batch else set()
