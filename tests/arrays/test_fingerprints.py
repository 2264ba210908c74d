"""Fingerprints: equal for equal ids, different for different ones, and looked up by table."""

import contextlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spilling import spill_everywhere
from support import write_examples

from nsl_tools.arrays import fingerprints as module
from nsl_tools.arrays.fingerprints import Keys, Words, certainly_distinct, fingerprints, rows_among
from nsl_tools.formats.example_batch import Places, unrepeated
from nsl_tools.formats.skipped_records import SkippedRecords
from nsl_tools.memory_budget import MemoryBudget
from nsl_tools.options import PackOptions
from nsl_tools.pack_nbrs import graph_edges, nodes
from nsl_tools.pack_nbrs.id_index import Entries
from nsl_tools.pack_nbrs.pipeline import pack_nbrs
from nsl_tools.statistics import Statistics
from nsl_tools.tuning import TUNING

# Of each of the three kinds of lengths that are hashed in ways of their own, or of some.
_texts = [st.binary(min_size=a, max_size=b) for a, b in ((1, 16), (17, 256), (257, 300))]
_ids = st.lists(st.one_of(*_texts).map(lambda node: node.replace(b"\0", b"x")), unique=True)
_KEYS = [Keys() for _ in range(20)]
# Made in a second for fingerprints that were not keyed.
_ONCE_ALIKE = [b"user-profile-001@@!!!!!!!!@!!!!@", b"gjBatqv4Q8fUgUnqnz7I9/n_rk{&33js"]
_BORDERS = [1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 255, 256, 257, 500]


def pairs_of(ids: list[bytes], keys: Keys) -> list[tuple[int, int]]:
    """Return the fingerprints of ids."""
    high, low = fingerprints(pa.array(ids, pa.binary()), keys)
    return list(zip(high.tolist(), low.tolist(), strict=True))


@given(_ids, st.integers(0, 3))
def test_ids_have_their_own_fingerprints(ids: list[bytes], cut: int) -> None:
    """Whatever array they are in, and wherever."""
    high, low = fingerprints(pa.array(ids, pa.binary()))
    assert len(set(zip(high.tolist(), low.tolist(), strict=True))) == len(ids)
    upper, lower = fingerprints(pa.array([b"other", *ids], pa.binary())[1 + cut :])
    assert upper.tolist() == high[cut:].tolist()
    assert lower.tolist() == low[cut:].tolist()


def test_ids_that_are_made_to_collide_do_not() -> None:
    """Whatever the secret of the run."""
    for keys in _KEYS:
        assert len(set(pairs_of(_ONCE_ALIKE, keys))) == 2


def near(text: bytes) -> set[bytes]:
    """Return ids that differ little from `text`, and it: in bits, blocks, order and length."""
    found = {text, *(text + b"x" * i for i in (1, 7, 8, 15, 16, 17)), text[:-1] + b"\x01"}
    found |= {text[:end] for end in range(1, len(text), 8)} | {text[:-1], text[1:]}
    for at in {0, len(text) - 1, *range(0, len(text), 4), *range(7, len(text), 8)}:
        for bit in range(8):
            found.add(text[:at] + bytes([text[at] ^ 1 << bit]) + text[at + 1 :])
    for size in (1, 4, 8, 16):
        for i in range(0, len(text) - 2 * size + 1, size):
            left, right, after = i + size, i + 2 * size, text[i + 2 * size :]
            found.add(text[:i] + text[left:right] + text[i:left] + after)
            # The same difference twice.
            both = bytes(byte ^ 0x10 for byte in text[i:right])
            found.add(text[:i] + both + after)
    return {node for node in found if node and b"\0" not in node}


def test_ids_that_are_nearly_alike_are_told_apart() -> None:
    """By each half of the fingerprint: of ten thousand ids, over 20 secrets."""
    random = np.random.default_rng(0)
    ids: set[bytes] = set()
    for length in _BORDERS:
        ids |= near(random.integers(1, 256, length, np.uint8).tobytes()) | near(b"a" * length)
    assert len(ids) > 10_000
    for keys in _KEYS:
        pairs = pairs_of(list(ids), keys)
        assert len(set(pairs)) == len(ids)
        assert len({high for high, _ in pairs}) == len(ids)


def test_secrets_decide() -> None:
    """Two runs give an id fingerprints that have nothing in common; a seeded one repeats."""
    ids = [b"a" * length for length in _BORDERS]
    found = [pair for keys in _KEYS for pair in pairs_of(ids, keys)]
    assert len({half for pair in found for half in pair}) == 2 * len(found)
    secret = bytes(range(256)) * (Keys.BYTES // 256 + 1)
    again = [pairs_of(ids, Keys(secret[: Keys.BYTES])) for _ in range(2)]
    assert again[0] == again[1]


@pytest.mark.parametrize("form", [b"%d", b"n%d", b"user-%07d", b"%016d", b"%030d"])
def test_ids_that_count_up_fall_into_all_buckets(form: bytes) -> None:
    """A table that is sorted by the first bits has no long search."""
    ids = [form % i for i in range(1 << 14)]
    for keys in _KEYS:
        high, _ = fingerprints(pa.array(ids, pa.binary()), keys)
        assert np.bincount((high >> np.uint64(50)).astype(np.int64)).max() < 30


@pytest.mark.parametrize("cut", [1, 5, 8192])
def test_other_ids_of_an_array_change_nothing(cut: int) -> None:
    """Long ones among short ones, in slices, batches and threads."""
    random = np.random.default_rng(1)
    lengths = [*random.integers(1, 40, 9000), *random.integers(1, 600, 400), 2 << 20, 3, 1 << 20]
    ids = [random.integers(1, 256, length, np.uint8).tobytes() for length in lengths]
    whole = pa.array(ids, pa.binary())
    expected = np.stack(fingerprints(whole))
    parts = [whole[start : start + cut] for start in range(0, len(ids), cut)][:2000]
    with ThreadPoolExecutor(4) as pool:
        found = np.concatenate(list(pool.map(np.stack, pool.map(fingerprints, parts))), axis=1)
    assert np.array_equal(found, expected[:, : found.shape[1]])
    tail = pa.array(ids[-4:], pa.binary())
    assert np.array_equal(np.stack(fingerprints(tail)), expected[:, -4:])


def test_ids_that_share_half_a_fingerprint_are_not_repeated() -> None:
    """Then the texts tell."""
    ids = pa.array([b"a", b"b", b"c"], pa.binary())

    def half(ids: pa.Array) -> tuple[Words, Words]:
        return np.full(len(ids), 7, np.uint64), np.arange(len(ids), dtype=np.uint64)

    with mock.patch.object(module, "fingerprints", half):
        assert not certainly_distinct(ids)
        assert unrepeated(ids, SkippedRecords(Statistics(0)), Places()) == slice(None)
        assert rows_among(ids, ids[1:2]).tolist() == [1]


@given(_ids, st.data())
def test_a_repeated_id_is_never_certainly_distinct(ids: list[bytes], data: st.DataObject) -> None:
    """Other ids are."""
    assert certainly_distinct(pa.array(ids, pa.binary()))
    if ids:
        again = data.draw(st.sampled_from(ids))
        assert not certainly_distinct(pa.array([again, *ids], pa.binary()))


@given(_ids, _ids, st.data(), st.sampled_from([0, 10_000]))
def test_rows_are_among_ids(
    ids: list[bytes], others: list[bytes], data: st.DataObject, few: int
) -> None:
    """Those whose id is, in order, whether these are few or many."""
    some = data.draw(st.permutations([*{*others, *ids[::2]}]))
    expected = [row for row, node in enumerate(ids) if node in some]
    arrays = (pa.array(ids, pa.binary()), pa.array(some, pa.binary()))
    with mock.patch.object(TUNING, "few_to_seek", few):
        assert rows_among(*arrays).tolist() == expected


@given(_ids, _ids, st.lists(st.integers(0, 10**6), max_size=5))
def test_the_table_finds_the_first_row_of_an_id(
    ids: list[bytes], others: list[bytes], again: list[int]
) -> None:
    """Repeated ids are told, with the row that the table has; unknown ones are -1."""
    nodes = [*ids, *[ids[i % len(ids)] for i in again if ids]]
    with contextlib.ExitStack() as stack, mock.patch.object(TUNING, "memory_share", 1):
        entries = Entries(MemoryBudget(10**9), stack)
        for start in range(0, len(nodes), 3):
            entries.add(*fingerprints(pa.array(nodes[start : start + 3], pa.binary())))
        table, shared, firsts = entries.index()
    found = table.rows(*fingerprints(pa.array([*nodes, *others], pa.binary())))
    expected = [ids.index(n) if n in ids else -1 for n in [*nodes, *others]]
    assert found.tolist() == expected
    repeated = [row for row, node in enumerate(nodes) if nodes.count(node) > 1]
    assert shared.tolist() == repeated
    assert firsts.tolist() == [nodes.index(nodes[row]) for row in repeated]
    assert found.dtype == np.int64


@pytest.mark.slow
@pytest.mark.own_memory("spills by itself")
@pytest.mark.parametrize("spilled", [False, True])
def test_the_secret_decides_about_nothing_that_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, spilled: bool
) -> None:
    """The order of fingerprints is not in the output, nor in what is counted and said."""
    ids = [b"n%d" % i for i in range(60)]
    for name, own in (("l", ids[:30]), ("u", ids[25:])):
        write_examples(tmp_path / name, [{"id": [node]} for node in own])
    lines = [
        *(f"n{i}\tn{j}\t{w}\n" for i in range(30) for j in range(9) for w in ("0.0", "-0.0")),
        *(f"n{j}\tn{i}\t-0.0\n" for i in range(30) for j in range(9)),
        *(f"n{i}\t?{i}\t1\n?{i}\tn{i}\t1\n" for i in range(30)),
    ]
    (tmp_path / "g").write_text("".join(lines))
    if spilled:
        spill_everywhere(monkeypatch, 7)
    seen = set()
    options = PackOptions(add_undirected_edges=True, seed_unlabeled=True)
    for keys in _KEYS[:5]:
        for user in (graph_edges, nodes):
            monkeypatch.setattr(user, "fingerprints", partial(fingerprints, keys=keys))
        report = pack_nbrs(*(f"{tmp_path}/{name}" for name in "lugm"), options).report()
        seen.add((json.dumps(report), (tmp_path / "m").read_bytes()))
    assert len(seen) == 1


def test_an_edge_to_an_id_that_is_made_to_collide_is_to_nobody(tmp_path: Path) -> None:
    """It is dropped, not packed with the other one."""
    node, other = _ONCE_ALIKE
    write_examples(tmp_path / "l", [{"id": [b"a"]}])
    write_examples(tmp_path / "u", [{"id": [node]}])
    (tmp_path / "g").write_bytes(b"a\t%b\n" % other)
    statistics = pack_nbrs(*(f"{tmp_path}/{name}" for name in "lugm"), PackOptions())
    assert statistics.counts["neighbours packed"] == 0
    assert statistics.counts["edges to unknown targets"] == 1


def test_a_long_id_takes_no_longer_than_its_bytes() -> None:
    """It was hashed 16 bytes at a time, for 40 seconds."""
    ids = pa.array([b"a", b"x" * 20_000_000, b"b"], pa.binary())
    start = time.process_time()
    fingerprints(ids)
    assert time.process_time() - start < 5
