"""`nsl_tools.formats.protobuf.example` against `tf.train.Example` and `tf.io.parse_example`."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest
from example_mutations import mutated_examples
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from support import NEEDS_PROTOBUF_7

from nsl_tools.formats.protobuf import example
from nsl_tools.formats.protobuf.wire import WireError, write_field

_MUTATIONS = 20_000
_SEED = 20_240_611

Meaning = dict[bytes, tuple[str, object]]
"""Name to kind and values; floats as their bytes, so that NaN payloads count."""

_names = st.text(max_size=8).map(str.encode)
_bytes_features = st.lists(st.binary(max_size=200), max_size=4).map(example.encode_bytes)
_float_features = st.lists(st.floats(width=32), max_size=70).map(example.encode_floats)
_int64s = st.integers(-(2**63), 2**63 - 1)
_int64_features = st.lists(_int64s, max_size=20).map(example.encode_int64)
_features = st.dictionaries(
    _names, st.just(b"") | _bytes_features | _float_features | _int64_features, max_size=5
)


def _meaning_by_protobuf(tf: Any, payload: bytes) -> Meaning | None:
    try:
        message = tf.train.Example.FromString(payload)
    except DecodeError:
        return None
    decode = {
        "bytes_list": lambda feature: ("bytes", list(feature.bytes_list.value)),
        "float_list": lambda feature: (
            "float",
            np.array(feature.float_list.value, np.float32).tobytes(),
        ),
        "int64_list": lambda feature: ("int64", list(feature.int64_list.value)),
        None: lambda _: ("empty", None),
    }
    return {
        name.encode(): decode[feature.WhichOneof("kind")](feature)
        for name, feature in message.features.feature.items()
    }


def _meaning(features: example.Features) -> Meaning:
    decode = {
        "bytes": example.decode_bytes,
        "float": lambda feature: example.decode_floats(feature).tobytes(),
        "int64": example.decode_int64,
        "empty": lambda _: None,
    }
    kinds = {name: example.kind_name(feature) for name, feature in features.items()}
    return {name: (kind, decode[kind](features[name])) for name, kind in kinds.items()}


def _meaning_by_us(payload: bytes) -> Meaning | None:
    try:
        return _meaning(example.parse(payload))
    except WireError:
        return None


@pytest.mark.slow
@NEEDS_PROTOBUF_7
def test_mutated_examples_mean_what_protobuf_says(tf: Any) -> None:
    """Whatever FromString accepts parses to the same meaning, whatever it rejects is rejected."""
    verdicts: Counter[bool] = Counter()
    for payload in mutated_examples(_SEED, _MUTATIONS):
        expected = _meaning_by_protobuf(tf, payload)
        assert _meaning_by_us(payload) == expected, payload.hex()
        verdicts[expected is None] += 1
    assert min(verdicts.values()) > _MUTATIONS / 10, "the generator has become one-sided"


@pytest.mark.slow
@NEEDS_PROTOBUF_7
def test_reencoded_mutated_examples_mean_the_same_to_parse_example(tf: Any) -> None:
    """What FromString reads in any form, parse_example reads in the canonical form."""
    groups: dict[tuple[bytes, str], list[tuple[bytes, object]]] = defaultdict(list)
    for payload in mutated_examples(_SEED + 1, _MUTATIONS):
        for name, (kind, values) in (_meaning_by_protobuf(tf, payload) or {}).items():
            if kind != "empty":
                reencoded = example.encode(example.parse(payload))
                groups[name, kind].append((reencoded, values))
    for (name, kind), members in groups.items():
        payloads, expected = zip(*members, strict=True)
        assert _values_by_parse_example(tf, payloads, name.decode(), kind) == list(expected)
    assert {kind for _, kind in groups} == {"bytes", "float", "int64"}
    assert sum(map(len, groups.values())) > _MUTATIONS / 10


def _values_by_parse_example(
    tf: Any, payloads: tuple[bytes, ...], name: str, kind: str
) -> list[object]:
    dtype = {"bytes": tf.string, "float": tf.float32, "int64": tf.int64}[kind]
    parsed = tf.io.parse_example(list(payloads), {name: tf.io.RaggedFeature(dtype)})[name]
    rows = np.split(parsed.values.numpy(), parsed.row_splits.numpy()[1:-1])
    return [row.tobytes() if kind == "float" else row.tolist() for row in rows]


@given(_features)
def test_what_we_encode_protobuf_reads(tf: Any, features: example.Features) -> None:
    """Our serialization means to protobuf what it means to us."""
    payload = example.encode(features)
    assert _meaning_by_protobuf(tf, payload) == _meaning(features)


@given(_features)
def test_what_protobuf_encodes_we_read_back_to_the_same_canonical_features(
    tf: Any, features: example.Features
) -> None:
    """The serialization that protobuf writes parses to the features it was made of."""
    payload = tf.train.Example.FromString(example.encode(features)).SerializeToString()
    assert example.parse(payload) == features


@given(_features)
def test_parsing_undoes_encoding(features: example.Features) -> None:
    """A canonical feature is kept as it is, byte for byte and in order."""
    parsed = example.parse(example.encode(features))
    assert list(parsed.items()) == list(features.items())


@given(st.binary(max_size=60))
def test_arbitrary_bytes_mean_what_protobuf_says(tf: Any, payload: bytes) -> None:
    """Noise is accepted exactly where protobuf accepts it."""
    assert _meaning_by_us(payload) == _meaning_by_protobuf(tf, payload)


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=20))
def test_float_bits_survive(bits: list[int]) -> None:
    """NaN payloads, negative zero and subnormals come back bit for bit, packed or not."""
    values = np.array(bits, "<u4").tobytes()
    packed = write_field(example.Kind.FLOAT, write_field(example.ITEM, values))
    chunks = [values[i : i + 4] for i in range(0, len(values), 4)]
    unpacked = write_field(example.Kind.FLOAT, b"".join(b"\x0d" + chunk for chunk in chunks))
    assert example.canonical(unpacked) == packed
    assert example.decode_floats(example.canonical(packed)).tobytes() == values


@pytest.mark.parametrize(
    ("body", "canonical"),
    [
        pytest.param("0a00", "0a00", id="an empty list is not an absent one"),
        pytest.param("", "", id="no list"),
        pytest.param("12040a000a00", "1200", id="empty packed runs"),
        pytest.param("1a0408010802", "1a040a020102", id="unpacked integers"),
        pytest.param("1a030a01011a030a0102", "1a040a020102", id="a list given twice is merged"),
        pytest.param("0a030a01611a030a0102", "1a030a0102", id="the last of two kinds counts"),
        pytest.param("0a030a016122000a030a0162", "0a060a01610a0162", id="unknown field between"),
        pytest.param("0a83000a0161", "0a030a0161", id="padded length of the list"),
        pytest.param("1a040a820001", None, id="padded length passes the end"),
        pytest.param("12050a03000000", None, id="packed floats end inside a number"),
        pytest.param("1a030a0180", None, id="packed integers end inside a number"),
        pytest.param("1a0d0a0bffffffffffffffffffff01", None, id="varint of eleven bytes"),
    ],
)
def test_canonical_form(body: str, canonical: str | None) -> None:
    """A feature has one canonical form, which is a fixed point; a wrong one has none."""
    if canonical is None:
        with pytest.raises(WireError):
            example.canonical(bytes.fromhex(body))
        return
    found = example.canonical(bytes.fromhex(body))
    assert found.hex() == canonical
    assert example.canonical(found) == found
