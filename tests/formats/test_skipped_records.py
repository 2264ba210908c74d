"""Records and lines that are left out: only when asked for, each counted, the same every time."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import Value, read_payloads, serialize, write_examples

from nsl_tools.build_graph.pipeline import build_graph
from nsl_tools.errors import DataError
from nsl_tools.formats.protobuf import example
from nsl_tools.formats.tfrecord.writer import write_records
from nsl_tools.options import BuildGraphOptions, PackOptions
from nsl_tools.pack_nbrs.pipeline import pack_nbrs
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from nsl_tools.statistics import Statistics

Example = dict[str, Value]

_GOOD: list[Example] = [{"id": [b"%d" % i], "x": [float(i)], "embedding": [1.0]} for i in range(6)]
_NO_ID: Example = {"x": [1.0], "embedding": [1.0]}
_BAD_ID: Example = {"id": [b"a\tb"], "embedding": [1.0]}
_WIDE: Example = {"id": [b"wide"], "embedding": [1.0, 2.0]}


def _write(path: Path, examples: Iterable[Example | bytes]) -> str:
    """Write examples, and payloads that are none."""
    payloads = [e if isinstance(e, bytes) else serialize(e) for e in examples]
    write_records(str(path), payloads, len(payloads))
    return str(path)


def _pack(folder: Path, options: PackOptions) -> Statistics:
    paths = [f"{folder}/{name}" for name in "lugm"]
    return pack_nbrs(*paths, options)


def _ids(path: Path, name: bytes = b"id") -> list[bytes]:
    features = [example.parse(payload) for payload in read_payloads(path)]
    return [example.decode_bytes(f[name])[0] for f in features if name in f]


@pytest.fixture(params=[TUNING.batch_bytes, 40], ids=["one batch", "small batches"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a graph; batches hold all records, or about one."""
    monkeypatch.setattr(TUNING, "batch_bytes", request.param)
    (tmp_path / "g").write_text("0\t3\t0.5\n1\t4\t0.5\n2\t5\t0.5\n")
    return tmp_path


def test_unusable_records_are_skipped_in_every_reading(folder: Path) -> None:
    """Seeds and neighbours are those of the files without them."""
    _write(folder / "l", [b"\xff", _GOOD[0], _NO_ID, b"\xff", *_GOOD[1:3], _BAD_ID])
    _write(folder / "u", [*_GOOD[3:5], _BAD_ID, b"\x00", _GOOD[5]])
    statistics = _pack(folder, PackOptions(max_errors=6))
    assert _ids(folder / "m") == [b"0", b"1", b"2"]
    assert _ids(folder / "m", b"NL_nbr_0_id") == [b"3", b"4", b"5"]
    assert statistics.warnings == {
        "skipped: not a tf.train.Example": 3,
        "skipped: id not usable": 3,
    }
    places = [(err.source.rpartition("/")[2], err.place) for _, err in statistics.skipped]
    assert places[0] == ("l", "record 0 at byte 0")
    assert sorted((name, place.split()[1]) for name, place in places) == [
        ("l", "0"), ("l", "2"), ("l", "3"), ("l", "6"), ("u", "2"), ("u", "3"),
    ]  # fmt: skip
    with pytest.raises(DataError, match=r"u: record [23] at byte [0-9]+: "):
        _pack(folder, PackOptions(max_errors=5))


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.sampled_from([*_GOOD, _NO_ID, _BAD_ID, _WIDE, b"\xff"]), max_size=60),
    st.integers(0, 60),
    st.sampled_from([1, 2, 32]),
)
def test_wrong_records_are_skipped_in_order(
    folder: Path, records: list[Example | bytes], allowed: int, few: int
) -> None:
    """Wherever they are, and however many: the first that may not be skipped is named."""
    path = _write(folder / "e", [{"id": [b"first"], "embedding": [0.5]}, *records])
    options = BuildGraphOptions(max_errors=allowed, on_duplicate="first")
    bad = [i for i, record in enumerate(records, 1) if not any(record is good for good in _GOOD)]
    with mock.patch("nsl_tools.formats.example_batch._FEW", few):
        if len(bad) > allowed:
            with pytest.raises(DataError, match=f"e: record {bad[allowed]} at byte"):
                build_graph([path], f"{folder}/g", options)
            return
        statistics = build_graph([path], f"{folder}/g", options)
    assert [error.place.split()[1] for _, error in statistics.skipped] == list(map(str, bad))
    kept = {record["id"][0] for i, record in enumerate(records, 1) if i not in bad}  # type: ignore[index,call-overload]
    assert statistics.counts["nodes"] == 1 + len(kept)


def test_unusable_embeddings_are_skipped(folder: Path) -> None:
    """The graph is that of the other ones, in their order."""
    graphs = []
    for name, nodes in (("e", _GOOD), ("f", [*_GOOD[:2], _WIDE, _NO_ID, b"\xff", *_GOOD[2:]])):
        path = _write(folder / name, nodes)
        options = BuildGraphOptions(max_errors=3)
        statistics = build_graph([path], f"{folder}/out-{name}", options)
        graphs.append((folder / f"out-{name}").read_bytes())
    assert graphs[0] == graphs[1]
    assert statistics.warnings["skipped: embedding not usable"] == 1
    assert sum(statistics.warnings.values()) == 3


def test_lines_that_are_no_edges_are_skipped(folder: Path) -> None:
    """A header, for one."""
    _write(folder / "l", _GOOD[:3])
    _write(folder / "u", _GOOD[3:])
    _pack(folder, PackOptions())
    expected = (folder / "m").read_bytes()
    graph = (folder / "g").read_text()
    (folder / "g").write_text("source\ttarget\tweight\n" + graph + "0\t4\tnan\n")
    statistics = _pack(folder, PackOptions(max_errors=2))
    assert (folder / "m").read_bytes() == expected
    assert statistics.warnings == {"skipped: line not an edge": 2}
    assert [err.place for _, err in statistics.skipped] == ["line 1", "line 5"]
    with pytest.raises(DataError, match="g: line 5: column 3"):
        _pack(folder, PackOptions(max_errors=1))


@pytest.mark.parametrize("choice", ["first", "last"])
@pytest.mark.parametrize("seed_unlabeled", [False, True])
def test_of_examples_with_one_id_one_is_taken(
    folder: Path, choice: str, seed_unlabeled: bool
) -> None:
    """Packing gives what packing the files without the other ones gives."""

    def newer(i: int) -> Example:
        return _GOOD[i] | {"x": [10.0 + i]}

    both = [[_GOOD[0], _GOOD[1], newer(0), _GOOD[2]], [_GOOD[3], newer(3), newer(5), *_GOOD[4:]]]
    alone: dict[str, Sequence[Sequence[Example]]] = {
        "first": [_GOOD[:3], [_GOOD[3], newer(5), _GOOD[4]]],
        "last": [[_GOOD[1], newer(0), _GOOD[2]], [newer(3), *_GOOD[4:]]],
    }
    results = []
    for inputs in (both, alone[choice]):
        for name, nodes in zip("lu", inputs, strict=True):
            write_examples(folder / name, nodes)
        options = PackOptions(seed_unlabeled=seed_unlabeled, on_duplicate=choice)
        statistics = _pack(folder, options)
        results.append((folder / "m").read_bytes())
        dropped = f"examples dropped: their id is repeated, the {choice} one is taken"
        assert statistics.warnings == ({dropped: 3} if inputs is both else {})
    assert results[0] == results[1]


@pytest.mark.parametrize(("choice", "kept"), [("first", [0, 1, 3]), ("last", [1, 2, 3])])
def test_of_embeddings_with_one_id_one_is_taken(folder: Path, choice: str, kept: list[int]) -> None:
    nodes: list[Example] = [
        {"id": [node], "embedding": [1.0, float(i)]}
        for i, node in enumerate([b"a", b"b", b"a", b"c"])
    ]
    for name, some in (("all", nodes), ("kept", [nodes[i] for i in kept])):
        path = write_examples(folder / name, some)
        options = BuildGraphOptions(similarity_threshold=-1, on_duplicate=choice)
        build_graph([path], f"{folder}/{name}.tsv", options)
    assert (folder / "all.tsv").read_bytes() == (folder / "kept.tsv").read_bytes()


def test_a_repeated_id_is_placed(folder: Path) -> None:
    """Across the shards of one input, too."""
    write_examples(f"{folder}/l@2", [*_GOOD[:3], _GOOD[1]])
    write_examples(folder / "u", _GOOD[3:])
    with pytest.raises(DataError, match="l-00001-of-00002: record 1: the id '1' has occurred"):
        pack_nbrs(f"{folder}/l@2", f"{folder}/u", f"{folder}/g", f"{folder}/m", PackOptions())


def test_a_neighbours_weight_is_renamed(folder: Path) -> None:
    """The edge's weight keeps its name; a name that is taken is refused."""
    write_examples(folder / "l", _GOOD[:3])
    heavy = [node | {"weight": [7.0], "mass": [8.0]} for node in _GOOD[3:]]
    write_examples(folder / "u", heavy)
    _pack(folder, PackOptions(rename_weight="own_weight"))
    features = example.parse(read_payloads(folder / "m")[0])
    found = {
        name: example.decode_floats(features[name]).tolist()
        for name in (b"NL_nbr_0_weight", b"NL_nbr_0_own_weight", b"NL_nbr_0_mass")
    }
    assert list(found.values()) == [[0.5], [7.0], [8.0]]
    with pytest.raises(DataError, match=r"u: record 0 at byte 0: .*'mass' already"):
        _pack(folder, PackOptions(rename_weight="mass"))


def test_many_errors_in_one_batch(folder: Path) -> None:
    """As many as asked for, without recursion."""
    _write(folder / "l", [*[b"\xff"] * 2000, *_GOOD[:3]])
    write_examples(folder / "u", _GOOD[3:])
    statistics = _pack(folder, PackOptions(max_errors=2000))
    assert statistics.warnings == {"skipped: not a tf.train.Example": 2000}
    assert _ids(folder / "m") == [b"0", b"1", b"2"]
