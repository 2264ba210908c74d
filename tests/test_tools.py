"""NSL's own Python functions: names, defaults and numbers."""

from pathlib import Path

import pytest
from support import read_payloads, write_examples

import nsl_tools as nsl
from nsl_tools.formats.protobuf import example

NODES = [
    {"id": [node.encode()], "embedding": vector}
    for node, vector in (("a", [1.0, 0.0]), ("b", [2.0, 0.5]), ("c", [0.0, 1.0]))
]


def test_build_graph_gives_every_pair_above_the_threshold(tmp_path: Path) -> None:
    """NSL's function is always `-k all`."""
    path = write_examples(tmp_path / "e", NODES)
    nsl.tools.build_graph([path], f"{tmp_path}/g", similarity_threshold=0.2)
    assert nsl.tools.read_tsv_graph(f"{tmp_path}/g") == {
        "a": {"b": 0.970143},
        "b": {"a": 0.970143, "c": 0.242536},
        "c": {"b": 0.242536},
    }


def test_a_config_builds_the_same_graph(tmp_path: Path) -> None:
    """Buckets too: the seed is passed on."""
    path = write_examples(tmp_path / "e", NODES)
    config = nsl.configs.GraphBuilderConfig(similarity_threshold=0.2, lsh_splits=2, random_seed=3)
    nsl.tools.build_graph_from_config([path], f"{tmp_path}/g", config)
    nsl.tools.build_graph([path], f"{tmp_path}/h", 0.2, lsh_splits=2, lsh_rounds=1, random_seed=3)
    assert (tmp_path / "g").read_bytes() == (tmp_path / "h").read_bytes()


def test_pack_nbrs_joins_by_position(tmp_path: Path) -> None:
    """The arguments stand in NSL's order."""
    labeled = write_examples(tmp_path / "l", NODES[:1])
    unlabeled = write_examples(tmp_path / "u", NODES[1:])
    nsl.tools.write_tsv_graph(f"{tmp_path}/g", {"c": {"a": 0.5}, "b": {"a": 0.25}})
    nsl.tools.pack_nbrs(labeled, unlabeled, f"{tmp_path}/g", f"{tmp_path}/m", True, 1)
    (payload,) = read_payloads(tmp_path / "m")
    features = example.parse(payload)
    assert example.decode_bytes(features[b"NL_nbr_0_id"]) == [b"c"]
    assert example.decode_floats(features[b"NL_nbr_0_weight"]).tolist() == [0.5]


def test_graph_dictionaries_keep_the_larger_weight() -> None:
    """Repeated and reversed edges combine by maximum; a weight may be missing or text."""
    graph: dict[str, dict[str, float]] = {}
    assert nsl.tools.add_edge(graph, ["a", "b"])
    assert not nsl.tools.add_edge(graph, ["a", "b", "0.5"])
    assert nsl.tools.add_edge(graph, ["b", "a", 2])
    assert nsl.tools.add_edge(graph, ["a", "c", 0.1])
    nsl.tools.add_undirected_edges(graph)
    assert graph == {"a": {"b": 2.0, "c": 0.1}, "b": {"a": 2.0}, "c": {"a": 0.1}}


def test_graphs_are_written_as_they_are_read(tmp_path: Path) -> None:
    graph = {"a": {"b": 0.5, "é": 1.0}, "c": {"a": -2.25}}
    nsl.tools.write_tsv_graph(f"{tmp_path}/g", graph)
    assert (tmp_path / "g").read_text() == "a\tb\t0.500000\na\té\t1.000000\nc\ta\t-2.250000\n"
    assert nsl.tools.read_tsv_graph(f"{tmp_path}/g") == graph


def test_an_unknown_submodule_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'estimator'"):
        _ = nsl.estimator
    assert "tools" in dir(nsl)
