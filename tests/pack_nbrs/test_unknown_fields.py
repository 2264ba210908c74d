"""Fields that `tf.train.Example` does not have: kept as protobuf keeps them, or named.

NSL 1.4 parses a seed, adds copies of its neighbours' features and serializes it: here that is
done by protobuf itself, for records that hold unknown fields at every level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from example_mutations import mutated_examples
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from support import NEEDS_PROTOBUF_7, read_payloads

from nsl_tools.build_graph.pipeline import build_graph
from nsl_tools.errors import DataError
from nsl_tools.formats.protobuf import example
from nsl_tools.formats.protobuf.example_columns import ExampleError, ExampleParser
from nsl_tools.formats.protobuf.wire import write_field
from nsl_tools.formats.tfrecord.writer import write_records
from nsl_tools.options import BuildGraphOptions, PackOptions
from nsl_tools.pack_nbrs.pipeline import pack_nbrs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MUTATIONS = 20_000
_SEED = 20_251_127
_VARINT_3 = b"\x18\x07"
_TEXT_4 = write_field(4 << 3 | 2, b"hey")
_GROUP_5 = b"\x2b\x08\x01\x2c"
_A = example.encode_entry(b"a", example.encode_int64([5]))


def parsed(kind: Any, payload: bytes) -> Any | None:
    """Return the message that protobuf reads, or None."""
    try:
        return kind.FromString(payload)
    except DecodeError:
        return None


def accepted(tf: Any, seed: int) -> Iterator[tuple[bytes, Any, bool]]:
    """Yield odd examples that protobuf reads, what it reads, and whether they are sequences."""
    for payload in mutated_examples(seed, _MUTATIONS):
        if (message := parsed(tf.train.Example, payload)) is not None:
            sequence = parsed(tf.train.SequenceExample, payload)
            lists = sequence is not None and len(sequence.feature_lists.feature_list) > 0
            yield payload, message, lists


def whole(payload: bytes) -> bytes:
    """Return what we make of a record: known fields, then unknown ones, at each level."""
    features, unknown = example.parse_whole(payload)
    entries = example.encode_entries({**features, **unknown.values}) + bytes(unknown.among)
    return write_field(example.ITEM, entries) + bytes(unknown.outside)


@pytest.mark.slow
@NEEDS_PROTOBUF_7
def test_odd_examples_are_kept_as_protobuf_keeps_them(tf: Any) -> None:
    """Every field of every level, known or not, in 20,000 of them."""
    seen = 0
    for payload, message, _ in accepted(tf, _SEED):
        message.features.SetInParent()
        assert tf.train.Example.FromString(whole(payload)) == message, payload.hex()
        seen += bool(example.parse_whole(payload)[1])
    assert seen > _MUTATIONS / 20, "the generator makes no unknown fields"


def sequences() -> Iterator[bytes]:
    """Yield odd sequences, well-formed or nearly, by giving an example a second meaning."""
    for payload in mutated_examples(_SEED + 1, _MUTATIONS):
        features, _ = _walked(payload)
        inner = b"".join(write_field(example.ITEM, feature) for feature in features.values())
        entry = write_field(example.ITEM, b"t") + write_field(example.VALUE, inner)
        yield payload + write_field(example.VALUE, write_field(example.ITEM, entry))
        yield payload + write_field(example.VALUE, payload)


def _walked(payload: bytes) -> tuple[example.Features, example.Unknown]:
    try:
        return example.parse_whole(payload)
    except example.WireError:
        return {}, example.Unknown()


@pytest.mark.slow
@NEEDS_PROTOBUF_7
def test_sequences_are_what_protobuf_takes_for_sequences_with_lists(tf: Any) -> None:
    """Others with a field of that number are examples with an unknown field."""
    verdicts = []
    for payload in sequences():
        if parsed(tf.train.Example, payload) is None:
            continue
        found = parsed(tf.train.SequenceExample, payload)
        lists = found is not None and len(found.feature_lists.feature_list) > 0
        assert example.holds_feature_lists(example.parse_whole(payload)[1]) == lists, payload.hex()
        verdicts.append(lists)
    assert min(verdicts.count(True), verdicts.count(False)) > _MUTATIONS / 20


@given(st.binary(max_size=40))
def test_any_field_of_that_number_is_judged_as_protobuf_does(tf: Any, content: bytes) -> None:
    """Also noise."""
    payload = write_field(example.VALUE, content)
    found = parsed(tf.train.SequenceExample, payload)
    lists = found is not None and len(found.feature_lists.feature_list) > 0
    assert example.holds_feature_lists(example.parse_whole(payload)[1]) == lists


def with_id(payload: bytes, node: bytes) -> bytes:
    """Return a record with an id, which replaces another."""
    return payload + example.encode({b"id": example.encode_bytes([node])})


@NEEDS_PROTOBUF_7
def test_packing_is_what_protobuf_makes_of_odd_examples(tf: Any, tmp_path: Path) -> None:
    """Seeds are kept whole; of neighbours, features are copied, and the rest is counted."""
    names = {"weight", "NL_num_nbrs"}
    odd = [
        (payload, message)
        for payload, message, lists in accepted(tf, _SEED + 2)
        if not lists and not names & set(message.features.feature)
    ][:2000]
    ids = [b"n%d" % i for i in range(len(odd))]
    payloads = [with_id(payload, node) for (payload, _), node in zip(odd, ids, strict=True)]
    half = len(odd) // 2
    write_records(f"{tmp_path}/l", payloads[:half], half)
    write_records(f"{tmp_path}/u", payloads[half:], len(odd) - half)
    targets = np.random.default_rng(0).integers(0, len(odd), (half, 2))
    lines = [
        b"n%d\tn%d\t%.2f\n" % (source, target, weight)
        for source, row in enumerate(targets.tolist())
        for weight, target in zip((0.5, 0.25), dict.fromkeys(row), strict=False)
    ]
    (tmp_path / "g").write_bytes(b"".join(lines))
    statistics = pack_nbrs(*(f"{tmp_path}/{name}" for name in "lugm"), PackOptions())
    messages = [tf.train.Example.FromString(payload) for payload in payloads]
    for source, packed in enumerate(read_payloads(tmp_path / "m")):
        expected = tf.train.Example.FromString(payloads[source])
        best = list(dict.fromkeys(targets[source].tolist()))
        expected.features.feature["NL_num_nbrs"].int64_list.value.append(len(best))
        for rank, target in enumerate(best):
            for name, feature in messages[target].features.feature.items():
                expected.features.feature[f"NL_nbr_{rank}_{name}"].CopyFrom(feature)
            weight = expected.features.feature[f"NL_nbr_{rank}_weight"]
            weight.float_list.value.append((0.5, 0.25)[rank])
        assert tf.train.Example.FromString(packed) == expected, payloads[source].hex()
    more = [bool(u.outside or u.among) for _, u in map(example.parse_whole, payloads)]
    dropped = sum(more[target] for target in set(targets.ravel().tolist()))
    reason = "neighbours with fields that tf.train.Example does not have, which are not packed"
    assert statistics.warnings[reason] == dropped > 0
    assert reason in statistics.dropped


@pytest.mark.parametrize(
    "payload",
    [
        _VARINT_3 + write_field(example.ITEM, _A) + _GROUP_5 + _TEXT_4,
        write_field(example.ITEM, _VARINT_3 + _A + _GROUP_5) + _TEXT_4,
        write_field(example.ITEM, write_field(example.ITEM, _TEXT_4 + _A[2:]) + _A),
        write_field(example.ITEM, _A + write_field(example.ITEM, _A[2:] + _TEXT_4)),
        write_field(
            example.ITEM,
            example.encode_entry(b"a", _GROUP_5 + example.encode_int64([5]) + _TEXT_4),
        ),
    ],
)
def test_unknown_fields_are_written_after_known_ones(tf: Any, payload: bytes) -> None:
    """To the byte as protobuf does."""
    assert whole(payload) == tf.train.Example.FromString(payload).SerializeToString()


@pytest.mark.slow
def test_fields_given_many_times_are_read_in_time_that_follows_their_number() -> None:
    """A value, a list and unknown fields, a hundred thousand times each."""
    many = 100_000
    value = write_field(example.VALUE, example.encode_int64([1]))
    entry = write_field(example.ITEM, b"a") + value * many
    features, _ = example.parse_whole(write_field(example.ITEM, write_field(example.ITEM, entry)))
    assert len(example.decode_int64(features[b"a"])) == many
    again = example.encode_entry(b"a", example.encode_int64([1]) * many)
    features, _ = example.parse_whole(write_field(example.ITEM, again))
    assert len(example.decode_int64(features[b"a"])) == many
    _, unknown = example.parse_whole(_VARINT_3 * many)
    assert unknown.outside == _VARINT_3 * many


def sequence_of(tf: Any, node: bytes) -> bytes:
    """Return a SequenceExample with an id, an embedding and a list of steps."""
    message = tf.train.SequenceExample()
    message.context.feature["id"].bytes_list.value.append(node)
    message.context.feature["embedding"].float_list.value.extend([1.0, 2.0])
    message.feature_lists.feature_list["steps"].feature.add().int64_list.value.append(1)
    return bytes(message.SerializeToString())


def test_a_sequence_is_refused_by_name_and_may_be_skipped(tf: Any, tmp_path: Path) -> None:
    """By both tools: its lists would be lost."""
    nodes = [b"a", b"b", b"c"]
    plain = [
        example.encode(
            {b"id": example.encode_bytes([n]), b"embedding": example.encode_floats([1, 2])}
        )
        for n in nodes[:2]
    ]
    write_records(f"{tmp_path}/l", [plain[0], sequence_of(tf, b"c"), plain[1]], 3)
    (tmp_path / "g").write_bytes(b"a\tb\t1\na\tc\t1\n")
    inputs = f"{tmp_path}/l", "", f"{tmp_path}/g"
    expected = "record 1 at byte .*: a tf.train.SequenceExample with feature lists, expected a tf"
    with pytest.raises(DataError, match=expected):
        pack_nbrs(*inputs, f"{tmp_path}/m", PackOptions())
    with pytest.raises(DataError, match=expected):
        build_graph([inputs[0]], f"{tmp_path}/graph", BuildGraphOptions())
    statistics = pack_nbrs(*inputs, f"{tmp_path}/m", PackOptions(max_errors=1))
    assert statistics.warnings["skipped: not a tf.train.Example"] == 1
    assert len(read_payloads(tmp_path / "m")) == 2
    assert statistics.counts["neighbours packed"] == 1


def test_sequences_that_are_all_alike_are_refused_too(tf: Any) -> None:
    """However many."""
    payloads = [sequence_of(tf, b"n%d" % i) for i in range(9)]
    ends = np.cumsum([len(payload) for payload in payloads])
    with pytest.raises(ExampleError, match="SequenceExample"):
        ExampleParser().parse(b"".join(payloads), ends - len(payloads[0]), ends)


def test_an_id_with_a_tag_that_is_not_the_shortest_is_read(tmp_path: Path) -> None:
    """As protobuf reads it, in the midst of others."""
    padded = example.encode_entry(b"id", write_field(example.Kind.BYTES, b"\x8a\x00\x03abc"))
    payloads = [
        example.encode({b"id": example.encode_bytes([b"x"])}),
        write_field(example.ITEM, padded),
    ]
    write_records(str(tmp_path / "l"), payloads, 2)
    (tmp_path / "g").write_bytes(b"x\tabc\t1\n")
    paths = [f"{tmp_path}/{name}" for name in "lgo"]
    found = pack_nbrs(paths[0], "", paths[1], paths[2], PackOptions())
    assert found.counts["neighbours packed"] == 1
