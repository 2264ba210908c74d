"""NSL 1.4's `nsl.tools`: its Python functions, names and defaults, over the pipelines.

A graph in memory is NSL's dictionary: source id to target id to weight. Source:
NSL 1.4, `tools/build_graph.py`, `tools/pack_nbrs.py`, `tools/graph_utils.py`.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from nsl_tools.build_graph import pipeline as building
from nsl_tools.files.outputs import Outputs
from nsl_tools.files.streams import source
from nsl_tools.formats.graphs.tsv import read_tsv
from nsl_tools.options import BuildGraphOptions, PackOptions
from nsl_tools.pack_nbrs import pipeline as packing
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nsl_tools.configs import GraphBuilderConfig

Graph = dict[str, dict[str, float]]


def build_graph(
    embedding_files: Sequence[str],
    output_graph_path: str,
    similarity_threshold: float = 0.8,
    id_feature_name: str = "id",
    embedding_feature_name: str = "embedding",
    lsh_splits: int = 0,
    lsh_rounds: int = 2,
    random_seed: int | None = None,
    *,
    spark: Any = None,
) -> None:
    """Write the graph of all pairs whose cosine reaches the threshold, as TSV.

    Args:
        embedding_files: TFRecord files of examples with an id and an embedding.
        output_graph_path: where to write.
        similarity_threshold: smallest cosine of an edge.
        id_feature_name: feature that holds the id.
        embedding_feature_name: feature that holds the embedding.
        lsh_splits: random hyperplanes per round; 0 compares all pairs.
        lsh_rounds: rounds of bucketing.
        random_seed: seed of the hyperplanes; None draws one.
        spark: a `pyspark.sql.SparkSession` to run on; None for this machine. Beyond NSL.

    Raises:
        NslToolsError: an input, an option or the output is wrong.
    """
    options = BuildGraphOptions(
        k=None,
        similarity_threshold=similarity_threshold,
        id_feature=id_feature_name,
        embedding_feature=embedding_feature_name,
        lsh_splits=lsh_splits,
        lsh_rounds=lsh_rounds,
        random_seed=secrets.randbits(32) if random_seed is None else random_seed,
        allow_empty=True,
        engine="spark" if spark else "local",
    )
    building.build_graph(embedding_files, output_graph_path, options, session=spark)


def build_graph_from_config(
    embedding_files: Sequence[str],
    output_graph_path: str,
    graph_builder_config: GraphBuilderConfig,
) -> None:
    """Write the graph that an `nsl.configs.GraphBuilderConfig` describes, as `build_graph` does."""
    config = graph_builder_config
    build_graph(
        embedding_files,
        output_graph_path,
        config.similarity_threshold,
        config.id_feature_name,
        config.embedding_feature_name,
        config.lsh_splits,
        config.lsh_rounds,
        config.random_seed,
    )


def pack_nbrs(
    labeled_examples_path: str,
    unlabeled_examples_path: str,
    graph_path: str,
    output_training_data_path: str,
    add_undirected_edges: bool = False,
    max_nbrs: int | None = None,
    id_feature_name: str = "id",
    *,
    spark: Any = None,
) -> None:
    """Merge the features of graph neighbours into the labeled examples.

    Args:
        labeled_examples_path: TFRecord file of the seeds.
        unlabeled_examples_path: TFRecord file of further examples; empty for none.
        graph_path: TSV file of edges.
        output_training_data_path: where to write.
        add_undirected_edges: follow each edge backwards too.
        max_nbrs: neighbours per seed at most; None for all.
        id_feature_name: feature that holds the id.
        spark: as of `build_graph`.

    Raises:
        NslToolsError: an input, an option or the output is wrong.
    """
    options = PackOptions(
        max_neighbors=max_nbrs,
        add_undirected_edges=add_undirected_edges,
        id_feature=id_feature_name,
        allow_empty=True,
        engine="spark" if spark else "local",
    )
    packing.pack_nbrs(
        labeled_examples_path,
        unlabeled_examples_path,
        graph_path,
        output_training_data_path,
        options,
        session=spark,
    )


def read_tsv_graph(filename: str) -> Graph:
    """Return the graph in a TSV file; of repeated edges the largest weight.

    Raises:
        DataError: the file cannot be read, or a line is not an edge.
    """
    graph: Graph = {}
    for batch in read_tsv(source(filename), Statistics()):
        for edge in batch.to_pylist():
            add_edge(graph, [edge["source"].decode(), edge["target"].decode(), edge["weight"]])
    return graph


def write_tsv_graph(filename: str, graph: Graph) -> None:
    """Write a graph as TSV, `%f` weights, in the dictionary's order."""
    with Outputs() as outputs, outputs.open(filename) as file:
        for node, targets in graph.items():
            lines = (f"{node}\t{target}\t{weight:f}\n" for target, weight in targets.items())
            file.write("".join(lines).encode())


def add_edge(graph: Graph, edge: Sequence[str | float]) -> bool:
    """Add `[source, target, weight]` (1.0 without weight); a repeated edge keeps the larger.

    Returns:
        Whether the edge is new.
    """
    node, target = str(edge[0]), str(edge[1])
    weight = float(edge[2]) if len(edge) > 2 else 1.0  # noqa: PLR2004 - the weight is third
    targets = graph.setdefault(node, {})
    is_new = target not in targets
    targets[target] = weight if is_new else max(weight, targets[target])
    return is_new


def add_undirected_edges(graph: Graph) -> None:
    """Add the reverse of each edge in place; both directions keep the larger weight."""
    edges = [(s, t, w) for s, targets in graph.items() for t, w in targets.items()]
    for node, target, weight in edges:
        add_edge(graph, [target, node, weight])
