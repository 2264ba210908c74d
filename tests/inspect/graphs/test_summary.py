"""`inspect` of graphs: what networkx finds, in any format, with labels and examples."""

from __future__ import annotations

import contextlib
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
import pyarrow as pa
import pytest
import support
from hypothesis import given, settings
from hypothesis import strategies as st

from nsl_tools.errors import DataError, UsageError
from nsl_tools.formats.graphs.edge_batches import EDGE_SCHEMA
from nsl_tools.formats.graphs.graph_nodes import GraphNodes
from nsl_tools.inspect.graphs.summary import GraphSummary, inspect_graph, numbered
from nsl_tools.inspect.labels import NodeLabels
from nsl_tools.memory_budget import MemoryBudget
from nsl_tools.options import InspectOptions
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from pathlib import Path

_NAMES = [f"n{i}" for i in range(12)] + ["é", "<b>", "x" * 300]
_EDGE = st.tuples(st.sampled_from(_NAMES), st.sampled_from(_NAMES), st.floats(-1, 1, width=32))
_EDGES = st.lists(_EDGE, max_size=50, unique_by=lambda edge: edge[:2])
_LABELS = st.dictionaries(st.sampled_from(_NAMES), st.sampled_from("abc"), min_size=1)


def summary(
    edges: list[tuple[str, str, float]], cuts: list[int], labels: dict[str, str] | None = None
) -> dict[str, Any]:
    """Return the sections, as JSON, of edges in batches that end at `cuts`."""
    with contextlib.ExitStack() as stack:
        memory = MemoryBudget(1 << 30)
        given_labels = None
        if labels:
            names = sorted(set(labels.values()))
            codes = np.array([names.index(label) for label in labels.values()], np.int32)
            given_labels = NodeLabels(pa.array([n.encode() for n in labels]), codes, names)
        nodes = GraphNodes(memory, stack)
        found = GraphSummary(nodes, memory, stack, None, given_labels)
        bounds = [0, *sorted(cuts), len(edges)]
        for first, last in pairwise(bounds):
            part = edges[first:last]
            if part:
                columns = [pa.array([e[i].encode() for e in part], pa.binary()) for i in (0, 1)]
                weights = pa.array([e[2] for e in part], pa.float64())
                batch = pa.record_batch([*columns, weights], schema=EDGE_SCHEMA)
                for numbered_edges in numbered([batch], nodes):
                    found.add(numbered_edges)
        sections = found.sections()
    return {section.name: _fields(section) for section in sections}


def _fields(section: Any) -> dict[str, Any]:
    tables = {
        table.name: [
            dict(zip([column.name for column in table.columns], row, strict=True))
            for row in table.rows
        ]
        for table in section.tables
    }
    return {fact.name: fact.value for fact in section.facts} | tables


@pytest.mark.thorough
@settings(max_examples=support.drawn(200))
@given(edges=_EDGES, cuts=st.lists(st.integers(0, 50), max_size=3))
def test_degrees_components_and_reciprocity_are_those_of_networkx(
    edges: list[tuple[str, str, float]], cuts: list[int]
) -> None:
    found = summary(edges, cuts)
    graph = nx.DiGraph([edge[:2] for edge in edges])
    overview, degrees = found["overview"], found["degrees"]
    assert overview["nodes"] == graph.number_of_nodes()
    assert overview["edges"] == len(edges)
    assert overview["nodes_without_neighbors"] == sum(d == 0 for _, d in graph.out_degree)
    assert overview["self_loops"] == nx.number_of_selfloops(graph)
    if edges:
        assert overview["reciprocity"] == pytest.approx(nx.overall_reciprocity(graph))
    assert degrees["largest_out_degree"] == max((d for _, d in graph.out_degree), default=0)
    assert degrees["largest_in_degree"] == max((d for _, d in graph.in_degree), default=0)
    for side, of_nodes in (("out", graph.out_degree), ("in", graph.in_degree)):
        every = sorted(d for _, d in of_nodes)
        counts = {row["degree"]: row[side] for row in degrees["degrees"] if row[side]}
        assert sum(counts.values()) == len(every)
        assert counts.get("1", 0) == every.count(1)
        assert counts.get("3 to 4", 0) == every.count(3) + every.count(4)
    sizes = Counter(map(len, nx.weakly_connected_components(graph)))
    components = found["components"]
    assert components["components"] == sum(sizes.values())
    listed = {row["nodes"]: row["components"] for row in components["sizes"]}
    assert listed == dict(sorted(sizes.items())[::-1][:10])
    hubs = [(row["id"], row["in_degree"]) for row in found["hubs"]["hubs"]]
    assert dict(hubs).items() <= dict(graph.in_degree).items()
    top = sorted((d for _, d in graph.in_degree if d), reverse=True)[:10]
    assert [degree for _, degree in hubs] == top


@pytest.mark.thorough
@settings(max_examples=support.drawn(200))
@given(edges=_EDGES, cuts=st.lists(st.integers(0, 50), max_size=3), labels=_LABELS)
def test_homophily_is_that_of_networkx(
    edges: list[tuple[str, str, float]], cuts: list[int], labels: dict[str, str]
) -> None:
    found = summary(edges, cuts, labels)["labels"]
    both = [e for e in edges if e[0] in labels and e[1] in labels and e[0] != e[1]]
    same = [e for e in both if labels[e[0]] == labels[e[1]]]
    assert found["edges"] == len(both)
    assert found["agreement"] == (len(same) / len(both) if both else None)
    ends = {end for edge in edges for end in edge[:2]}
    assert found["labelled_nodes"] == len(ends & labels.keys())
    graph = nx.DiGraph([edge[:2] for edge in both])
    nx.set_node_attributes(graph, labels, "label")
    if both and found["assortativity"] is not None:
        expected = nx.attribute_assortativity_coefficient(graph, "label")
        assert found["assortativity"] == pytest.approx(expected)
    nearest = sorted((e[2] for e in both if e not in same), reverse=True)
    pairs = {frozenset(e[:2]): 0.0 for e in both if e not in same}
    suspects = found["suspects"]
    assert len(suspects) == min(10, len(pairs))
    if suspects:
        assert suspects[0]["weight"] == nearest[0]
        assert all(row["label"] != row["other_label"] for row in suspects)
    places: Counter[str] = Counter()
    by_rank: Counter[int] = Counter()
    for edge in edges:
        places[edge[0]] += 1
        if edge in both:
            by_rank[min(20, places[edge[0]])] += 1
    assert {row["rank"]: row["edges"] for row in found["by_rank"]} == dict(by_rank)
    assert sum(row["edges"] for row in found["by_weight"]) == len(both)


def test_examples_tell_which_nodes_and_ids_are_missing(tmp_path: Path) -> None:
    graph = tmp_path / "graph.tsv"
    graph.write_text("a\tb\t0.9\nb\ta\t0.9\nb\tzz\t0.5\nyy\ta\t0.4\n")
    examples = tmp_path / "examples"
    support.write_examples(str(examples), [{"id": [b"%c" % name]} for name in b"abcde"])
    found = inspect_graph([str(graph)], InspectOptions(), Statistics(), [str(examples)]).as_json()
    overview = found["overview"]
    assert overview["examples"] == 5
    assert overview["examples_without_edge"] == 3
    assert overview["edges_of_unknown_ids"] == 2
    assert overview["nodes"] == 7
    assert overview["nodes_without_neighbors"] == 4
    assert "57 % of the nodes have no neighbour" in overview["advice"][0]


def test_hubs_are_told(tmp_path: Path) -> None:
    graph = tmp_path / "graph.tsv"
    lines = [f"n{i}\thub\t0.9\nn{i}\tn{i + 1}\t0.8\n" for i in range(150)]
    graph.write_text("".join(lines[:150]) + "n0\thub2\t0.1\n")
    found = inspect_graph([str(graph)], InspectOptions(), Statistics()).as_json()
    assert found["hubs"]["share_of_hubs"] > 0.49
    one = "".join(f"n{i}\thub\t0.9\n" for i in range(300))
    graph.write_text(one)
    (advice,) = inspect_graph([str(graph)], InspectOptions(), Statistics()).as_json()["hubs"][
        "advice"
    ]
    assert advice.startswith("1 % of the targets (1) take 100 % of the edges")


def test_a_graph_without_edges_is_refused(tmp_path: Path) -> None:
    graph = tmp_path / "graph.tsv"
    graph.write_text("")
    with pytest.raises(DataError, match=r"graph\.tsv: no edge, expected some"):
        inspect_graph([str(graph)], InspectOptions(), Statistics())
    found = inspect_graph([str(graph)], InspectOptions(allow_empty=True), Statistics())
    assert found.as_json()["overview"]["nodes"] == 0


@pytest.mark.own_memory("gives a limit that is too small")
def test_too_many_nodes_are_refused(tmp_path: Path) -> None:
    graph = tmp_path / "graph.tsv"
    graph.write_text("".join(f"source-{i}\ttarget-{i}\t0.5\n" for i in range(400_000)))
    with pytest.raises(UsageError, match=r"--memory-limit: expected at least .* for .* nodes"):
        inspect_graph([str(graph)], InspectOptions(memory_limit=64_000_000), Statistics())
