"""The join against a dictionary join that follows NSL's contract word for word."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spilling import spill_everywhere
from support import Value, drawn, read_payloads, write_examples

from nsl_tools.build_graph.pipeline import build_graph
from nsl_tools.errors import DataError, UsageError
from nsl_tools.options import BuildGraphOptions, PackOptions
from nsl_tools.pack_nbrs import neighbor_blocks
from nsl_tools.pack_nbrs.pipeline import pack_nbrs

Example = dict[str, Value]
Edge = tuple[str, str, str | None]

JOINS = drawn(400)
POOL = [
    "a", "b", "ab", "B", "é", "z", "10", "9", "\U0001d4b3", "\uffff", "#x", " s",
    "an id of more than sixteen bytes", "i" * 130,
]  # fmt: skip
NAMES = ["x", "y", "NL", "größe", "a name of more than sixteen bytes", "n" * 120]
WEIGHTS = ["0.5", "1", "1.0", "-2", "0.1", "1e-3", "0.50", "+.5", "3.4e38", "16777217", None]
VALUES = st.one_of(
    st.lists(st.binary(max_size=3) | st.integers(100, 140).map(bytes), max_size=3),
    st.lists(st.floats(width=32, allow_nan=False), max_size=3),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3),
    st.integers(9, 40).map(lambda count: [count / 8] * count),
    st.integers(9, 40).map(lambda count: list(range(125, 125 + count))),
)


@st.composite
def examples(draw: st.DrawFn) -> list[Example]:
    """Draw examples with distinct ids and up to three further features each, of any length."""
    found = []
    for node in draw(st.lists(st.sampled_from(POOL), unique=True)):
        names = draw(st.lists(st.sampled_from(NAMES), max_size=3, unique=True))
        found.append({"id": [node.encode()], **{name: draw(VALUES) for name in names}})
    return found


EDGES = st.lists(
    st.tuples(
        st.sampled_from([*POOL, "?"]), st.sampled_from([*POOL, "?"]), st.sampled_from(WEIGHTS)
    ),
    max_size=40,
)


def add_edge(graph: dict[str, dict[str, float]], source: str, target: str, weight: float) -> None:
    """Keep the largest weight of an edge."""
    targets = graph.setdefault(source, {})
    targets[target] = max(weight, targets.get(target, weight))


def oracle(
    labeled: list[Example],
    unlabeled: list[Example],
    edges: list[Edge],
    max_neighbors: int | None,
    *,
    undirected: bool,
    seed_unlabeled: bool = False,
    copied: list[str] | None = None,
) -> list[Example]:
    """Join as NSL 1.4's documentation says, with dictionaries."""
    everything = {id_of(e): e for e in labeled}
    everything |= {id_of(e): e for e in unlabeled if id_of(e) not in everything}
    graph: dict[str, dict[str, float]] = {}
    for source, target, weight in edges:
        number = 1.0 if weight is None else float(weight)
        add_edge(graph, source, target, number)
        if undirected:
            add_edge(graph, target, source, number)
    packed = []
    for seed in everything.values() if seed_unlabeled else labeled:
        found = [(w, t) for t, w in graph.get(id_of(seed), {}).items() if t in everything]
        best = sorted(found, reverse=True)[:max_neighbors]
        merged = dict(seed) | {"NL_num_nbrs": [len(best)]}
        if seed_unlabeled:
            merged["NL_label_weight"] = [float(seed in labeled)]
        for i, (weight, target) in enumerate(best):
            merged |= {
                f"NL_nbr_{i}_{name}": v
                for name, v in everything[target].items()
                if copied is None or name in copied
            }
            merged[f"NL_nbr_{i}_weight"] = [weight]
        packed.append(merged)
    return packed


def id_of(features: Example) -> str:
    """Return the id of an example."""
    (node,) = features["id"]
    assert isinstance(node, bytes)
    return node.decode()


def as_example(features: Example) -> Any:
    """Build the tf.train.Example that `features` describe; an empty list is of bytes."""
    import tensorflow as tf

    message = tf.train.Example()
    for name, value in features.items():
        feature = message.features.feature[name]
        if not value or isinstance(value[0], bytes):
            feature.bytes_list.value.extend(value)
            feature.bytes_list.SetInParent()
        elif isinstance(value[0], float):
            feature.float_list.value.extend(value)
        else:
            feature.int64_list.value.extend(value)
    return message


def write_graph(path: Path, edges: list[Edge]) -> str:
    """Write edges as TSV."""
    lines = ["\t".join(part for part in edge if part is not None) + "\n" for edge in edges]
    path.write_bytes("".join(lines).encode())
    return str(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("joins")


@pytest.mark.own_memory("draws it")
@pytest.mark.thorough
@settings(max_examples=JOINS, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    labeled=examples(),
    unlabeled=examples(),
    edges=EDGES,
    max_neighbors=st.sampled_from([None, 0, 1, 2, 5, 1000]),
    undirected=st.booleans(),
    seed_unlabeled=st.booleans(),
    copied=st.none() | st.lists(st.sampled_from([n for n in (*NAMES, "id") if "," not in n])),
    spilled=st.booleans(),
    pending=st.sampled_from([1, 7]),
)
def test_packing_is_the_join_of_the_contract(
    folder: Path,
    labeled: list[Example],
    unlabeled: list[Example],
    edges: list[Edge],
    max_neighbors: int | None,
    undirected: bool,
    seed_unlabeled: bool,
    copied: list[str] | None,
    spilled: bool,
    pending: int,
) -> None:
    """Ties, duplicates, unknown ids, self-loops, repeated edges, ids in both files."""
    import tensorflow as tf

    names = None if copied is None else ",".join(copied)
    options = PackOptions(
        max_neighbors, undirected, seed_unlabeled, nbr_features=names, allow_empty=True
    )
    inputs = (
        write_examples(folder / "l", labeled),
        write_examples(folder / "u", unlabeled),
        write_graph(folder / "g", edges),
    )
    with pytest.MonkeyPatch.context() as patch:
        if spilled:
            spill_everywhere(patch, pending)
        pack_nbrs(*inputs, str(folder / "m"), options)
    found = [tf.train.Example.FromString(payload) for payload in read_payloads(folder / "m")]
    expected = oracle(
        labeled,
        unlabeled,
        edges,
        max_neighbors,
        undirected=undirected,
        seed_unlabeled=seed_unlabeled,
        copied=copied,
    )
    assert found == [as_example(features) for features in expected]


def test_ranks_of_two_and_three_digits(tmp_path: Path) -> None:
    """A seed with 120 neighbours has names from NL_nbr_0_ to NL_nbr_119_."""
    import tensorflow as tf

    labeled = [{"id": [b"seed"]}]
    unlabeled: list[Example] = [{"id": [f"n{i}".encode()], "x": [float(i)]} for i in range(120)]
    edges: list[Edge] = [("seed", f"n{i}", str(i)) for i in range(120)]
    write_examples(tmp_path / "l", labeled)
    write_examples(tmp_path / "u", unlabeled)
    graph = write_graph(tmp_path / "g", edges)
    pack_nbrs(f"{tmp_path}/l", f"{tmp_path}/u", graph, f"{tmp_path}/m", PackOptions())
    (payload,) = read_payloads(tmp_path / "m")
    expected = oracle(labeled, unlabeled, edges, None, undirected=False)
    assert tf.train.Example.FromString(payload) == as_example(expected[0])


def test_what_is_packed_parse_example_reads_with_the_same_meaning(tmp_path: Path) -> None:
    """A feature that is given twice, which parse_example reads otherwise, is re-encoded."""
    import tensorflow as tf

    def example_of(node: bytes, value: float) -> Any:
        message = as_example({"id": [node], "x": [value]})
        # Concatenating a message to itself merges them: the list is given twice.
        twice = message.features.feature["x"].SerializeToString() * 2
        entry = b"\x0a\x01x\x12%c%b" % (len(twice), twice)
        return message.SerializeToString() + b"\x0a%c\x0a%c%b" % (len(entry) + 2, len(entry), entry)

    for name, node, value in (("l", b"a", 1.0), ("u", b"b", 2.0)):
        with tf.io.TFRecordWriter(f"{tmp_path}/{name}") as writer:
            writer.write(example_of(node, value))
    graph = write_graph(tmp_path / "g", [("a", "b", "0.25")])
    pack_nbrs(f"{tmp_path}/l", f"{tmp_path}/u", graph, f"{tmp_path}/m", PackOptions())
    spec = {
        "x": tf.io.FixedLenFeature([2], tf.float32),
        "NL_nbr_0_x": tf.io.FixedLenFeature([2], tf.float32),
        "NL_nbr_0_id": tf.io.FixedLenFeature([], tf.string),
        "NL_nbr_0_weight": tf.io.FixedLenFeature([], tf.float32),
        "NL_num_nbrs": tf.io.FixedLenFeature([], tf.int64),
    }
    parsed = tf.io.parse_example(read_payloads(tmp_path / "m"), spec)
    assert parsed["x"].numpy().tolist() == [[1.0, 1.0]]
    assert parsed["NL_nbr_0_x"].numpy().tolist() == [[2.0, 2.0]]
    assert parsed["NL_nbr_0_id"].numpy().tolist() == [b"b"]
    assert parsed["NL_nbr_0_weight"].numpy().tolist() == [0.25]
    assert parsed["NL_num_nbrs"].numpy().tolist() == [1]


@pytest.mark.thorough
@settings(max_examples=drawn(100), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), max_neighbors=st.integers(1, 4), spare=st.integers(0, 2))
def test_the_top_k_graph_packs_to_what_the_full_graph_packs_to(
    folder: Path, data: st.DataObject, max_neighbors: int, spare: int
) -> None:
    """With k of at least max_nbrs, and with seeds only, the records are the same."""
    vectors = st.lists(st.integers(-3, 3).map(float), min_size=3, max_size=3)
    nodes: list[Example] = [
        {"id": [node.encode()], "embedding": data.draw(vectors)} for node in POOL
    ]
    write_examples(folder / "l", nodes[:5])
    write_examples(folder / "u", nodes[5:])
    inputs = [f"{folder}/l", f"{folder}/u"]
    results = set()
    for k, seeds in ((None, []), (max_neighbors + spare, []), (max_neighbors, inputs[:1])):
        options = BuildGraphOptions(k=k, similarity_threshold=0.3)
        build_graph(inputs, f"{folder}/graph", options, seeds)
        pack_nbrs(
            *inputs, f"{folder}/graph", f"{folder}/m",
            PackOptions(max_neighbors, allow_empty=True),
        )  # fmt: skip
        results.add((folder / "m").read_bytes())
    assert len(results) == 1


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Make a folder with l, u and g: twenty nodes in a ring, half of them labeled."""
    nodes: list[Example] = [{"id": [f"n{i}".encode()], "x": [float(i)]} for i in range(20)]
    write_examples(tmp_path / "l", nodes[::2])
    write_examples(tmp_path / "u", nodes[1::2])
    write_examples(f"{tmp_path}/ls@3", nodes[::2])
    write_examples(f"{tmp_path}/us@7", nodes[1::2])
    write_graph(tmp_path / "g", [(f"n{i}", f"n{(i + 1) % 20}", f"0.{i + 1}") for i in range(20)])
    return tmp_path


def test_bytes_do_not_depend_on_shards_pipes_or_hash_seed(small: Path) -> None:
    """One file, shard sets, pipes, any hash seed: the same records in the same order."""
    runs = [("l", "u", "g"), ("ls@3", "us@7", "g"), ("ls-*", "-", "g"), ("l", "u", "-")]
    stdin = {"-g": small / "u", "u-": small / "g"}
    outputs = set()
    for seed, (labeled, unlabeled, graph) in enumerate(runs):
        paths = [p if p == "-" else f"{small}/{p}" for p in (labeled, unlabeled, graph)]
        given = stdin.get(f"{unlabeled}{graph}", small / "g").read_bytes()
        done = subprocess.run(
            [sys.executable, "-m", "nsl_tools", "pack-nbrs", "-q", *paths, "-"],
            input=given, check=True, capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
        )  # fmt: skip
        outputs.add(done.stdout)
    pack_nbrs(f"{small}/l", f"{small}/u", f"{small}/g", f"{small}/m@7", PackOptions())
    shards = sorted(small.glob("m-*"))
    assert outputs == {b"".join(path.read_bytes() for path in shards)}
    assert len(shards) == 7


def test_what_was_dropped_is_counted(small: Path) -> None:
    """Unknown ids and ids in both files are warned of, with their number."""
    with (small / "g").open("a") as graph:
        graph.write("n0\t?\t1\n?\tn0\t1\nn2\t??\n")
    write_examples(small / "u", [{"id": [b"n0"]}, {"id": [b"n1"]}])
    statistics = pack_nbrs(f"{small}/l", f"{small}/u", f"{small}/g", f"{small}/m", PackOptions())
    assert statistics.warnings == {
        "edges dropped: no example for their source or target": 21,
        "ids both labeled and unlabeled: the labeled example is taken": 1,
        "examples without neighbours: more than half; try `nsl-tools inspect` of the graph": 9,
    }
    assert statistics.counts["edges of unknown sources"] == 10
    assert statistics.counts["edges to unknown targets"] == 11


def test_a_neighbour_that_no_record_holds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its features take more under their longer names."""
    monkeypatch.setattr(neighbor_blocks, "MAX_LENGTH", 1000)
    write_examples(tmp_path / "l", [{"id": [b"a"]}])
    many: Example = {"id": [b"b"], **{f"{i}": [i] for i in range(50)}}
    write_examples(tmp_path / "u", [{"id": [b"c"]}, many])
    write_graph(tmp_path / "g", [("a", "b", "1")])
    problem = "this example takes 1.* kB as a neighbour, at most 1 kB can be read"
    with pytest.raises(DataError, match=f"/u: record 1 at byte .*: {problem}"):
        pack_nbrs(*(f"{tmp_path}/{name}" for name in "lugm"), PackOptions())


def test_an_unlabeled_path_may_be_empty(small: Path) -> None:
    """NSL's '' for no unlabeled examples."""
    pack_nbrs(f"{small}/l", "", f"{small}/g", f"{small}/m", PackOptions())
    assert len(read_payloads(small / "m")) == 10


def test_packed_output_fed_back_is_refused(small: Path) -> None:
    pack_nbrs(f"{small}/l", f"{small}/u", f"{small}/g", f"{small}/m", PackOptions())
    with pytest.raises(DataError, match=r"record 0 at byte 0: .*'NL_num_nbrs': is this a packed"):
        pack_nbrs(f"{small}/m", f"{small}/u", f"{small}/g", f"{small}/mm", PackOptions())
    assert not (small / "mm").exists()


def test_a_neighbour_with_a_feature_called_weight_is_refused(small: Path) -> None:
    """It would be lost: the edge weight takes its name."""
    write_examples(small / "u", [{"id": [b"n1"], "weight": [1.0]}])
    with pytest.raises(DataError, match=r"u: record 0 at byte 0: .*'weight'.*rename it"):
        pack_nbrs(f"{small}/l", f"{small}/u", f"{small}/g", f"{small}/m", PackOptions())


@pytest.mark.parametrize("empty", ["l", "g"])
def test_an_empty_input_is_refused_unless_allowed(small: Path, empty: str) -> None:
    (small / empty).write_bytes(b"")
    paths = (f"{small}/l", f"{small}/u", f"{small}/g", f"{small}/m")
    with pytest.raises(DataError, match=f"{small}/{empty}: no .*--allow-empty"):
        pack_nbrs(*paths, PackOptions())
    pack_nbrs(*paths, PackOptions(allow_empty=True))


def test_a_negative_limit_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="--max-nbrs: expected at least 0, received -1"):
        PackOptions(-1)


@pytest.mark.parametrize("same", ["l", "u", "g"])
def test_an_output_that_is_an_input_is_refused(small: Path, same: str) -> None:
    before = (small / same).read_bytes()
    with pytest.raises(UsageError, match="the output is also an input"):
        pack_nbrs(f"{small}/l", f"{small}/u", f"{small}/g", f"{small}/{same}", PackOptions())
    assert (small / same).read_bytes() == before


def test_features_that_no_neighbour_has_are_named(small: Path) -> None:
    options = PackOptions(nbr_features="x,y,z")
    paths = [f"{small}/{name}" for name in "lugm"]
    statistics = pack_nbrs(*paths, options)
    assert statistics.warnings == {
        "--nbr-features: no neighbour has a feature 'y'": 1,
        "--nbr-features: no neighbour has a feature 'z'": 1,
    }


@pytest.mark.own_memory("counts what blocks do not change, of a thousand seeds")
def test_a_graph_that_tells_little_is_warned_of(tmp_path: Path) -> None:
    """Most seeds have no neighbour; or few examples are most of the neighbours."""
    count = 1200
    write_examples(tmp_path / "l", [{"id": [b"%d" % i]} for i in range(count)])
    hubs = [f"{i}\t{i % 12}\t0.9\n" for i in range(100, 900)]
    others = [f"{i}\t{i + 1}\t0.5\n" for i in range(100, 100 + 799)]
    for edges, reasons in (
        (hubs + others, {"hubs": 800}),
        (hubs[:400], {"without": 800}),
        (others, {}),
        ([*others, *hubs[:700]], {}),
    ):
        (tmp_path / "g").write_text("".join(edges))
        paths = [str(tmp_path / name) for name in ("l", "g", "m")]
        found = pack_nbrs(paths[0], "", *paths[1:], PackOptions())
        expected = {}
        if "without" in reasons:
            name = (
                "examples without neighbours: more than half; try `nsl-tools inspect` of the graph"
            )
            expected[name] = reasons["without"]
        if "hubs" in reasons:
            name = "edges to hubs: 1 % of the examples are more than half of all neighbours"
            expected[name] = reasons["hubs"]
        assert found.warnings == expected
        seeds = len({edge.split("\t")[0] for edge in edges})
        assert found.counts["without a neighbour"] == count - seeds
