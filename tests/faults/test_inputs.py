"""Good, bad and doubtful inputs: each right, by exit code, message, disk and content."""

from __future__ import annotations

import gzip
from dataclasses import replace
from typing import TYPE_CHECKING

import inputs
import pytest
from inputs import (
    BUILD,
    EDGES,
    GRAPH,
    LABELED,
    NODES,
    PACK,
    UNLABELED,
    Node,
    built_right,
    files,
    large,
    packed_right,
    payload,
    records,
    same_records,
    spoiled_records,
    without,
)
from judge import Case, features, judge

from nsl_tools.files.streams import CHUNK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SEEDED = [*BUILD[:-2], "--seeds=labeled", "embeddings", "out"]
_PLACES = {"labeled": PACK, "unlabeled": PACK, "embeddings": BUILD, "seeds": _SEEDED}
_PAYLOADS = {
    "labeled": LABELED, "unlabeled": UNLABELED, "embeddings": [*LABELED, *UNLABELED],
    "seeds": LABELED,
}  # fmt: skip


_OF_TEXTS = {
    "text": "line 3: the id 'id,embedding' has occurred before",
    "GZIP of text": "none of the 1 seeds has an embedding",
    "JSON": "none of the 1 seeds has an embedding",
    "three bytes": "none of the 1 seeds has an embedding",
}


def _file(place: str) -> str:
    return "labeled" if place == "seeds" else place


def _right(args: list[str]) -> object:
    """Return what the good job gives."""
    if args is PACK:
        return packed_right()
    lines = built_right()
    return [line for line in lines if line[0] in "ab"] if args is _SEEDED else lines


def _respelled(args: list[str], name: str, ending: str) -> list[str]:
    """Return the words, those that end in `name` with an ending."""
    return [word + ending if word in (name, f"--seeds={name}") else word for word in args]


def _cases() -> Iterator[tuple[str, Case]]:
    yield from _record_cases()
    yield from _id_cases()
    yield from _embedding_cases()
    yield from _graph_cases()
    yield from _packing_cases()
    yield from _path_cases()


def _record_cases() -> Iterator[tuple[str, Case]]:
    for place, args in _PLACES.items():
        name = _file(place)
        good = Case(args, files(), output=_right(args))
        yield f"{place}: good", good
        for what, (data, problem) in spoiled_records(records(*_PAYLOADS[place])).items():
            # A text is a list of the ids of seeds.
            says = _OF_TEXTS.get(what, problem) if place == "seeds" else problem
            yield f"{place}: {what}", Case(args, files(**{name: data}), 1, rf"^{name}: {says}")
        for what, stored in same_records(_PAYLOADS[place], name).items():
            spec = name if name in stored else f"{name}@{len(stored)}"
            given = _respelled(args, name, spec.removeprefix(name))
            changed = Case(given, without(name) | stored, output=_right(args))
            yield f"{place}: {what}", changed
            if "@" in spec:
                starred = [word.replace(spec, f"{name}-*") for word in given]
                yield f"{place}: {what}, by a pattern", replace(changed, args=starred)
        longest = max(len(one) for payloads in _PAYLOADS.values() for one in payloads)
        limited = [args[0], f"--max-record-bytes={longest}", *args[1:]]
        yield f"{place}: as long as allowed", replace(good, args=limited)
        longer = features(id=[b"long"], embedding=[1.0, 1.0], text=[b"w" * longest])
        if place != "seeds":
            data = records(*_PAYLOADS[place], longer)
            number = len(_PAYLOADS[place])
            says = rf"^{name}: record {number} at byte [0-9]+: [0-9]+ bytes long.*--max-record"
            yield f"{place}: longer than allowed", Case(limited, files(**{name: data}), 1, says)


def _id_cases() -> Iterator[tuple[str, Case]]:
    for place, args in _PLACES.items():
        name = _file(place)
        rest = _PAYLOADS[place]
        for what, (fields, says) in inputs.BAD_IDS.items():
            if what == "repeated":
                extra = rest[0]
                place_and_problem = f"record {len(rest)}: the id .* {says}"
            else:
                extra = features(embedding=[1.0, 1.0], **fields)
                place_and_problem = f"record {len(rest)} at byte [0-9]+: .*{says}"
            data = records(*rest, extra)
            problem = f"^{name}: {place_and_problem}"
            yield f"{place}: id {what}", Case(args, files(**{name: data}), 1, problem)
            if what != "repeated":
                first = records(extra, *rest)
                problem = f"^{name}: record 0 at byte 0: "
                yield f"{place}: first id {what}", Case(args, files(**{name: first}), 1, problem)
                lenient = [args[0], "--max-errors=1", *args[1:]]
                case = Case(lenient, files(**{name: first}), warns=("skipped: id not usable .1.",))
                yield f"{place}: id {what}, skipped", replace(case, output=_right(args))
        shards = {f"{name}-0000{i}-of-00002": records(*rest) for i in range(2)}
        says = f"^{name}-00001-of-00002: record 0: the id .* has occurred before .and [0-9] more."
        sharded = _respelled(args, name, "@2")
        yield f"{place}: ids in two shards", Case(sharded, without(name) | shards, 1, says)
    for node in inputs.GOOD_IDS:
        odd: list[Node] = [(node, [0.5, -0.75]), *NODES[2:]]
        edges = [*EDGES, (b"a", node, 1.0)]
        case = Case(
            PACK,
            files(unlabeled=records(*map(payload, odd)), graph=GRAPH + b"a\t%b\t1\n" % node),
            output=packed_right(unlabeled=odd, edges=edges),
        )
        yield f"a good id: {node[:20]!r}", case
        nodes = [*NODES, odd[0]]
        if len(node) < CHUNK:
            built = Case(
                BUILD, files(embeddings=records(*map(payload, nodes))), output=built_right(nodes)
            )
            yield f"a good id to build from: {node[:20]!r}", built


def _embedding_cases() -> Iterator[tuple[str, Case]]:
    good = _PAYLOADS["embeddings"]
    for what, (fields, says) in inputs.BAD_EMBEDDINGS.items():
        extra = features(id=[b"x"], **fields)
        data = records(*good, extra)
        problem = f"^embeddings: record {len(good)} at byte [0-9]+: .*{says}"
        yield f"embedding {what}", Case(BUILD, files(embeddings=data), 1, problem)
        lenient = [BUILD[0], "--max-errors=1", *BUILD[1:]]
        warns = ("skipped: embedding not usable .1.",)
        case = Case(lenient, files(embeddings=data), warns=warns, output=built_right())
        yield f"embedding {what}, skipped", case
    scales = {"1e-30": 1e-30, "3e38": 3e38, "1e-20": 1e-20, "1e-38": 1e-38, "1e30": 1e30}
    for what, scale in scales.items():
        for count in (1, 3, 5):
            scaled = [(n, [x * scale for x in v]) for n, v in NODES[:count]] + NODES[count:]
            # As it is stored: in float32.
            stored = [(node, _float32(vector)) for node, vector in scaled]
            data = records(*map(payload, scaled))
            case = Case(BUILD, files(embeddings=data), output=built_right(stored))
            yield f"{count} norms of {what}", case
    zero = [*NODES, (b"zero", [0.0, 0.0])]
    yield (
        "a zero vector",
        Case(
            BUILD,
            files(embeddings=records(*map(payload, zero))),
            warns=("zero vectors.* .1.",),
            output=built_right(),
        ),
    )
    strict = ["build-graph", "--similarity-threshold=1", "embeddings", "out"]
    yield (
        "no pair above the threshold",
        Case(
            strict,
            files(),
            warns=("graph without edges: no pair reaches --similarity-threshold=1; of the",),
            output=[],
        ),
    )
    yield (
        "a wrong id feature",
        Case(
            [*BUILD, "--id-feature-name=name"],
            files(),
            1,
            "^embeddings: record 0 at byte 0: no feat",
        ),
    )
    yield (
        "a wrong embedding feature",
        Case(
            [*BUILD, "--embedding-feature-name=e"],
            files(),
            1,
            "^embeddings: record 0 at byte 0: no f",
        ),
    )


def _float32(vector: list[float]) -> list[float]:
    import numpy as np

    return [float(np.float32(x)) for x in vector]


def _graph_cases() -> Iterator[tuple[str, Case]]:
    lines = GRAPH.splitlines(keepends=True)
    for what, (line, says) in inputs.BAD_LINES.items():
        for at in (0, 3, len(lines)):
            data = b"".join([*lines[:at], line, b"\n", *lines[at:]])
            problem = rf"^graph: line {at + 1}: .*({says})"
            yield f"graph: {what}, line {at + 1}", Case(PACK, files(graph=data), 1, problem)
        data = line + b"\n" + GRAPH
        lenient = [PACK[0], "--max-errors=1", *PACK[1:]]
        warns = ("skipped: line not an edge .1.",)
        case = Case(lenient, files(graph=data), warns=warns, output=packed_right())
        yield f"graph: {what}, skipped", case
    right = packed_right()
    same: dict[str, tuple[bytes, tuple[str, ...]]] = {
        "blank lines": (b"\n" + GRAPH.replace(b"\n", b"\n\n"), ()),
        "CRLF": (GRAPH.replace(b"\n", b"\r\n"), ()),
        "CRLF and LF": (GRAPH.replace(b"\n", b"\r\n", 2), ()),
        "GZIP": (gzip.compress(GRAPH), ()),
        "GZIP members": (gzip.compress(GRAPH[:30]) + gzip.compress(GRAPH[30:]), ()),
        "no newline at the end": (GRAPH[:-1], ("graph: no newline at the end",)),
        "edges twice": (GRAPH + GRAPH, ()),
        "edges twice, once with less weight": (GRAPH + b"a\tb\t0.1\n", ()),
        "unknown targets": (GRAPH + b"a\t?\t9\nb\t?\t9\n", ("their source or target .2.",)),
        "unknown sources": (GRAPH + b"?\ta\t9\n", ("their source or target .1.",)),
        "unknown ends": (
            GRAPH + b"?\t??\t9\n?\ta\t1\nb\t?\t1\n", ("their source or target .3.",),
        ),
        "backwards": (b"".join(reversed(lines)), ()),
        "long numbers": (GRAPH.replace(b"0.875", b"0.875000000000000000000000000000001"), ()),
        "exponents": (GRAPH.replace(b"0.500", b"+5E-1"), ()),
    }  # fmt: skip
    for what, (data, warns) in same.items():
        yield f"graph: {what}", Case(PACK, files(graph=data), warns=warns, output=right)
    for what, line, edge in (
        ("a weight of 1.0 if missing", b"a\td\n", (b"a", b"d", 1.0)),
        ("a self-loop", b"a\ta\t2\n", (b"a", b"a", 2.0)),
        ("a negative weight", b"a\td\t-7\n", (b"a", b"d", -7.0)),
        ("a zero weight", b"b\td\t-0\n", (b"b", b"d", 0.0)),
    ):
        output = packed_right(edges=[*EDGES, edge])
        yield f"graph: {what}", Case(PACK, files(graph=GRAPH + line), output=output)
    for what, data, says in (
        ("a byte order mark", b"\xef\xbb\xbf" + GRAPH, "line 1: starts with a byte order mark"),
        ("UTF-16", GRAPH.decode().encode("utf-16"), "line 1: starts with UTF-16"),
        ("UTF-16 without mark", GRAPH.decode().encode("utf-16-le"), "line 1: "),
        ("GZIP, cut", gzip.compress(GRAPH)[:-9], "compressed byte [0-9]+: .*cut"),
        ("GZIP without trailer", gzip.compress(GRAPH)[:-8], "compressed byte [0-9]+: .*cut"),
        ("a very long line", b"a" * (65 * CHUNK), "a line is longer than 67108864 bytes"),
        ("empty", b"", "no edge: give --allow-empty"),
        ("blank", b"\n\n", "no edge: give --allow-empty"),
        ("records", records(*LABELED), "line 1: "),
        ("a failed writer", GRAPH + b"a\t\n#nsl-tools: incomplete, x\n", "line 7: "),
        (
            "a failed writer's mark", GRAPH + b"\n#nsl-tools: incomplete, the program that wrote "
            b"this failed\n", "line 8: the program that wrote this graph failed",
        ),
    ):  # fmt: skip
        yield f"graph: {what}", Case(PACK, files(graph=data), 1, f"^graph: {says}")
    marked = GRAPH + b"\n#nsl-tools: incomplete, the program that wrote this failed\n"
    lenient = [*PACK, "--max-errors=9"]
    yield (
        "a mark is never skipped",
        Case(lenient, files(graph=marked), 1, "^graph: line 8: the"),
    )
    nothing = [*PACK, "--allow-empty"]
    yield "graph: empty, allowed", Case(nothing, files(graph=b""), output=packed_right(edges=[]))
    degree = large(200_000)
    hub = b"".join(b"a\tb\t%d\n" % i for i in range(degree))
    edges = [*EDGES, (b"a", b"b", float(degree - 1))]
    yield "graph: a hub", Case(PACK, files(graph=GRAPH + hub), output=packed_right(edges=edges))


def _packing_cases() -> Iterator[tuple[str, Case]]:
    vector = [1.0, 0.5]
    for name in ("NL_num_nbrs", "NL_nbr_0_id", "NL_nbr_7_weight", "NL_nbr_x", "NL_label_weight"):
        seed = features(id=[b"s"], embedding=vector, **{name: [1.0]})
        says = f"^labeled: record 2 at byte [0-9]+: a seed already has feature '{name}'"
        yield f"a seed with {name}", Case(PACK, files(labeled=records(*LABELED, seed)), 1, says)
    heavy = records(*UNLABELED[:2], features(id=[b"e"], embedding=NODES[4][1], weight=[5.0]))
    says = "^unlabeled: record 2 at byte [0-9]+: a neighbour has a feature 'weight'.*rename"
    yield "a neighbour's weight", Case(PACK, files(unlabeled=heavy), 1, says)
    renamed = packed_right()
    for seed, rank in ((renamed[0], 1), (renamed[1], 0)):
        seed[f"NL_nbr_{rank}_mass"] = [5.0]
    args = [*PACK, "--rename-weight=mass"]
    yield "a neighbour's weight, renamed", Case(args, files(unlabeled=heavy), output=renamed)
    alone = records(*UNLABELED, features(id=[b"f"], weight=[5.0]))
    yield "a weight of no neighbour", Case(PACK, files(unlabeled=alone), output=packed_right())
    for limit in (1, 2, 3, 10**9):
        args = [*PACK, f"--max-nbrs={limit}"]
        yield f"--max-nbrs {limit}", Case(args, files(), output=packed_right(limit=limit))
    zero = Case([*PACK, "--max-nbrs=0"], files(), output=packed_right(limit=0))
    yield "--max-nbrs 0", replace(zero, warns=("--max-nbrs 0: no edge is packed",))
    both = Case(PACK, files(unlabeled=records(payload((b"a", [9.0, 9.0])), *UNLABELED)))
    warns = ("ids both labeled and unlabeled: the labeled example is taken .1.",)
    yield "an id in both", replace(both, warns=warns, output=packed_right())
    for choice, kept in (("first", NODES[0]), ("last", (b"a", [7.0, 7.0]))):
        twice = records(*LABELED, payload((b"a", [7.0, 7.0])))
        order = NODES[:2] if choice == "first" else [NODES[1], kept]
        case = Case(
            [*PACK, f"--on-duplicate={choice}"],
            files(labeled=twice),
            warns=(f"id is repeated, the {choice} one is taken .1.",),
            output=packed_right(labeled=order),
        )
        yield f"--on-duplicate {choice}", case
    usage = {
        "--max-nbrs=-1": "--max-nbrs: expected at least 0, received -1",
        "--max-nbrs=x": "Invalid value for '--max-nbrs'",
        "--max-errors=-1": "--max-errors: expected at least 0",
        "--max-record-bytes=0": "--max-record-bytes: expected at least 1",
        "--on-duplicate=any": "Invalid value for '--on-duplicate'",
        "--rename-weight=weight": "--rename-weight: expected another name",
        "--rename-weight=": "--rename-weight: expected another name",
        "--compression=lz4": "Invalid value for '--compression'",
    }
    for option, says in usage.items():
        yield f"usage: {option}", Case([*PACK, option], files(), 2, says)
    for option, says in {
        "--similarity-threshold=nan": "expected a cosine between -1 and 1",
        "--similarity-threshold=1.0001": "expected a cosine between -1 and 1",
        "--similarity-threshold=-2": "expected a cosine between -1 and 1",
        "--similarity-threshold=inf": "expected a cosine between -1 and 1",
        "--neighbors=0": "-k: expected at least 1, or all",
        "--lsh-splits=-1": "--lsh-splits: expected 0 to 62",
        "--threads=0": "--threads: expected at least 1",
        "--random-seed=-1": "--random-seed: expected 0 to",
    }.items():
        yield f"usage: {option}", Case([*BUILD, option], files(), 2, says)


def _path_cases() -> Iterator[tuple[str, Case]]:
    for place, args in _PLACES.items():
        name = _file(place)
        yield f"{place}: missing", Case(args, without(name), 1, f"^{name}: no such file")
        folder = files(**{name: None})
        yield f"{place}: a folder", Case(args, folder, 1, f"^{name}: a folder without data")
        sharded = [
            word.replace(name, f"{name}@3") if word.endswith(name) else word for word in args
        ]
        shards = {f"{name}-0000{i}-of-00003": records(LABELED[0]) for i in (0, 2)}
        says = f"^{name}-00001-of-00003: shard missing from {name}@3"
        yield f"{place}: a missing shard", Case(sharded, without(name) | shards, 1, says)
        starred = [
            word.replace(name, f"{name}-*") if word.endswith(name) else word for word in args
        ]
        yield (
            f"{place}: a shard that a pattern misses",
            Case(starred, without(name) | shards, 1, says),
        )
        mixed = {f"{name}-00000-of-00001": b"", f"{name}-00000-of-00002": b"",
                 f"{name}-00001-of-00002": b""}  # fmt: skip
        says = rf"^{name}-\*: two shard sets of {name} are mixed"
        yield f"{place}: two shard sets", Case(starred, without(name) | mixed, 1, says)
        yield (
            f"{place}: a pattern without file",
            Case(starred, without(name), 1, rf"^{name}-\*: no file matches"),
        )
        many = [word.replace("@3", "@0") for word in sharded]
        yield f"{place}: no shards", Case(many, without(name), 2, f"{name}@0: expected 1 to 99999")
        if place != "seeds":
            twice = [*args[:-1], name]
            says = f"^{name}: the output is also an input"
            yield f"{place}: also the output", Case(twice, files(), 2, says)
    yield "graph: missing", Case(PACK, without("graph"), 1, "^graph: no such file")
    yield "no folder", Case([*PACK[:-1], "gone/out"], files(), 1, "^gone/out: there is no folder")
    yield "a folder as output", Case([*PACK[:-1], "d"], files(d=None), 1, "^d: is a folder")
    yield (
        "a full device",
        Case([*PACK[:-1], "/dev/full"], files(), 1, "^/dev/full: cannot be written: No space left"),
    )
    yield (
        "a full device for a graph",
        Case(
            [*BUILD[:-1], "/dev/full"], files(), 1, "^/dev/full: cannot be written: No space left"
        ),
    )
    yield (
        "a forgotten output",
        Case(
            ["build-graph", "embeddings", "unlabeled"],
            files(),
            2,
            "^unlabeled: is an existing TFRec",
        ),
    )
    yield (
        "a name with control characters",
        Case(
            ["pack-nbrs", "a\x1b[2J\n", "", "graph", "out"],
            files(),
            1,
            r"^a\\x1b\[2J\\n: no file matches",
        ),
    )


CASES = dict(_cases())


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 300


@pytest.mark.parametrize("name", CASES)
def test_a_case(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code, message, what is on disk, and the output are all right."""
    monkeypatch.chdir(tmp_path)
    judge(CASES[name])
