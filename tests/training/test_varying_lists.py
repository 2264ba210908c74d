"""Features as people have them: lists of varying length, missing ones, bytes to decode."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from support import write_examples

import nsl_tools as nsl
from nsl_tools.errors import UsageError
from nsl_tools.keras import make_dataset, make_parse_fn

if TYPE_CHECKING:
    from pathlib import Path

WORDS = {0: [1, 2, 3], 1: [], 2: [4], 3: [5, 6, 7, 8, 9]}
NEIGHBOR_WORDS = {0: [7, 7], 1: [1, 2, 3, 4], 3: []}


def example(number: int, **changed: Any) -> dict[str, Any]:
    """Return a packed sample with words and tags of varying length; some have a neighbour."""
    features = {
        "id": [b"n%d" % number],
        "words": WORDS[number],
        "tags": [b"t"] * (number + 1),
        "x": [float(number)],
        "label": [number % 2],
        "NL_num_nbrs": [int(number in NEIGHBOR_WORDS)],
    }
    if number in NEIGHBOR_WORDS:
        features |= {
            "NL_nbr_0_words": NEIGHBOR_WORDS[number],
            "NL_nbr_0_tags": [b"u", b"v"],
            "NL_nbr_0_x": [9.0],
            "NL_nbr_0_weight": [0.5],
        }
    features |= changed
    return {name: values for name, values in features.items() if values != []}


@pytest.fixture
def packed(tmp_path: Path) -> str:
    return write_examples(tmp_path / "p", [example(number) for number in range(4)])


def batch(path: str, **options: Any) -> tuple[dict[str, Any], Any]:
    dataset = make_dataset(path, **{"batch_size": 4, "max_neighbors": 1, "shuffle": 0, **options})
    (found,) = list(dataset)
    return found if isinstance(found, tuple) else (found, None)


def padded(rows: list[list[Any]], length: int, value: Any) -> list[list[Any]]:
    return [(row + [value] * length)[:length] for row in rows]


def test_lists_are_padded_to_the_longest_of_the_batch(packed: str) -> None:
    """Of samples and neighbours together, so that both have one shape; nothing is asked for.

    A missing neighbour has the list of its sample.
    """
    features, labels = batch(packed)
    assert labels.numpy().tolist() == [0, 1, 0, 1]
    assert features["words"].numpy().tolist() == padded(list(WORDS.values()), 5, 0)
    neighbors = [NEIGHBOR_WORDS.get(number, WORDS[number]) for number in range(4)]
    assert features["NL_nbr_0_words"].numpy().tolist() == padded(neighbors, 5, 0)
    tags = [[b"t"] * (number + 1) for number in range(4)]
    assert features["tags"].numpy().tolist() == padded(tags, 4, b"")
    assert features["NL_nbr_0_weight"].numpy().ravel().tolist() == [0.5, 0.5, 0.0, 0.5]


def test_a_length_can_be_given_and_what_is_longer_is_counted(
    packed: str, caplog: pytest.LogCaptureFixture
) -> None:
    cut: Counter[str] = Counter()
    with caplog.at_level(logging.WARNING):
        features, _ = batch(packed, pad={"words": 3}, pad_values={"words": -1}, cut=cut)
    assert features["words"].shape == (4, 3)
    assert features["words"].numpy().tolist() == padded(list(WORDS.values()), 3, -1)
    assert cut == {"words": 2}
    assert [record.getMessage() for record in caplog.records] == [
        "feature 'words': lists of more than 3 values are cut, here one of 5"
    ]


def test_a_list_counts_once_though_it_stands_for_a_missing_neighbour_too(tmp_path: Path) -> None:
    rows = [{"words": [1] * 5, "NL_num_nbrs": [0]}, {"words": [1], "NL_num_nbrs": [0]}]
    cut: Counter[str] = Counter()
    path = write_examples(tmp_path / "p", rows)
    features, _ = batch(path, batch_size=2, label=None, max_neighbors=2, pad={"words": 2}, cut=cut)
    assert features["NL_nbr_1_words"].numpy().tolist() == [[1, 1], [1, 0]]
    assert cut == {"words": 1}


def test_lists_are_ragged_on_request(packed: str) -> None:
    features, _ = batch(packed, ragged=["words"])
    assert features["words"].to_list() == list(WORDS.values())
    assert features["NL_nbr_0_words"].to_list() == [[7, 7], [1, 2, 3, 4], [], []]
    assert isinstance(features["tags"], tf.Tensor)


def test_only_what_is_asked_for_is_looked_at(tmp_path: Path) -> None:
    """A feature that is now a text, now a number, does not matter to those who do not use it."""
    rows = [example(0, odd=[b"text"]), example(1, odd=[1])]
    path = write_examples(tmp_path / "p", rows)
    with pytest.raises(UsageError, match=r"feature .odd. is int64, earlier ones were bytes"):
        batch(path)
    features, _ = batch(path, features=["x"])
    assert set(features) == {"x", "NL_nbr_0_x", "NL_nbr_0_weight"}


def test_a_feature_that_some_records_lack_is_zeros_there(tmp_path: Path) -> None:
    rows = [example(number, **({"y": [1.0, 2.0]} if number % 2 else {})) for number in range(4)]
    features, _ = batch(write_examples(tmp_path / "p", rows), features=["y"])
    assert features["y"].numpy().tolist() == [[0, 0], [1, 2], [0, 0], [1, 2]]
    assert features["NL_nbr_0_y"].numpy().tolist() == [[0, 0]] * 4


@pytest.mark.parametrize("values", [1, 2])
def test_a_record_without_label_is_an_error_not_of_label_zero(tmp_path: Path, values: int) -> None:
    """Unless there is a feature that says what each label weighs."""
    rows = [example(number, label=[1] * values * (number != 2)) for number in range(4)]
    path = write_examples(tmp_path / "p", rows)
    with pytest.raises(tf.errors.InvalidArgumentError, match="label"):
        batch(path)
    ((_, labels, _),) = list(make_dataset(path, batch_size=4, shuffle=0, label_weight="weight"))
    assert labels.numpy().ravel().tolist() == [1] * 2 * values + [0] * values + [1] * values


@pytest.mark.parametrize("varying", [False, True])
def test_a_label_may_have_several_values(tmp_path: Path, varying: bool) -> None:
    rows = [example(number, label=[1, 0][: 1 + (number > 0 or not varying)]) for number in range(4)]
    path = write_examples(tmp_path / "p", rows)
    _, labels = batch(path, pad_values={"label": -1} if varying else None)
    assert labels.numpy().tolist() == [[1, -1 if varying else 0], *[[1, 0]] * 3]


def test_a_list_that_varies_later_on_can_be_named(tmp_path: Path) -> None:
    """The first hundred records are alike: what is to be padded is known to vary."""
    rows = [example(0) for _ in range(120)] + [example(3)]
    path = write_examples(tmp_path / "p", rows)
    features, _ = batch(path, batch_size=200, features=["words"], pad={"words": 4})
    assert features["words"].numpy().tolist() == [[1, 2, 3, 0]] * 120 + [[5, 6, 7, 8]]


@pytest.mark.slow
def test_a_model_of_words_trains_with_neighbours(tmp_path: Path) -> None:
    """Batches differ in length; padding is masked, in a sample and in its neighbours.

    The mean over a mask is not a number where all is padding: no neighbour is like that.
    """
    rows = [example(number, words=[1] * (1 + 3 * number)) for number in range(3)]
    packed = write_examples(tmp_path / "p", rows)
    config = nsl.configs.make_graph_reg_config(max_neighbors=1, multiplier=0.1)
    words = keras.Input((None,), dtype="int64", name="words")
    embedded = keras.layers.Embedding(10, 4, mask_zero=True)(words)
    pooled = keras.layers.GlobalAveragePooling1D()(embedded)
    base = keras.Model({"words": words}, keras.layers.Dense(2)(pooled))
    model = nsl.keras.GraphRegularization(base, config)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss)
    dataset = make_dataset(packed, batch_size=1, max_neighbors=1, features=["words"], samples=3)
    history = model.fit(dataset, epochs=2, verbose=0, shuffle=False).history
    assert history["scaled_graph_loss"][0] > 0
    assert np.isfinite(history["loss"]).all()
    short, _ = batch(packed, features=["words"], max_neighbors=0)
    long, _ = batch(packed, features=["words"], max_neighbors=0, pad={"words": 9})
    np.testing.assert_allclose(base(short), base(long), atol=1e-6)


def test_a_spec_may_name_lists(packed: str) -> None:
    """What it does not name is inferred, if it is asked for."""
    spec = {"words": tf.io.RaggedFeature(tf.int64)}
    features, _ = batch(packed, spec=spec, features=["words", "x"], max_neighbors=0)
    assert features["words"].shape == (4, 5)
    assert features["x"].shape == (4, 1)
    parse = make_parse_fn(spec, label=None, pad={"words": 2})
    records = tf.data.TFRecordDataset(packed).batch(4)
    (parsed,) = records.map(parse)
    assert parsed["words"].shape == (4, 2)


def test_bytes_are_decoded_of_a_sample_and_of_its_neighbours_alike(tmp_path: Path) -> None:
    """A missing neighbour is zeros; images may differ in size."""
    random = np.random.default_rng(0)

    def image(size: int) -> list[bytes]:
        pixels = random.integers(0, 256, (size, size + 1, 3), np.uint8)
        return [tf.io.encode_png(pixels).numpy()]

    rows = [
        {
            "image": image(4),
            "NL_nbr_0_image": image(6),
            "NL_nbr_0_weight": [1.0],
            "NL_num_nbrs": [1],
        },
        {"image": image(8), "NL_num_nbrs": [0]},
    ]
    path = write_examples(tmp_path / "p", rows)

    def decode(value: tf.Tensor) -> tf.Tensor:
        return tf.image.resize(tf.io.decode_image(value, 3, expand_animations=False), (5, 5))

    features, _ = batch(path, label=None, decode={"image": decode}, batch_size=2)
    for name, row, source in (
        ("image", 0, rows[0]["image"]),
        ("image", 1, rows[1]["image"]),
        ("NL_nbr_0_image", 0, rows[0]["NL_nbr_0_image"]),
    ):
        np.testing.assert_array_equal(features[name][row], decode(tf.constant(source[0])))
    assert features["NL_nbr_0_image"].shape == (2, 5, 5, 3)
    assert not features["NL_nbr_0_image"][1].numpy().any()


def test_serialized_arrays_are_decoded(tmp_path: Path) -> None:
    arrays = np.random.default_rng(0).normal(size=(3, 2, 4)).astype(np.float32)
    rows = [{"raw": [array.tobytes()], "NL_num_nbrs": [0]} for array in arrays]
    path = write_examples(tmp_path / "p", rows)

    def decode(value: tf.Tensor) -> tf.Tensor:
        return tf.reshape(tf.io.decode_raw(value, tf.float32), (2, 4))

    features, _ = batch(path, label=None, decode={"raw": decode}, max_neighbors=0)
    np.testing.assert_array_equal(features["raw"], arrays)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"pad": {"y": 3}}, "pad: 'y' is no feature of varying length, expected one of .*words"),
        ({"ragged": ["nothing"]}, "ragged: 'nothing' is no feature"),
        ({"pad_values": {"y": 1}}, "pad_values: 'y' is no feature"),
        ({"pad": {"words": 0}}, "pad: expected at least 1 value for 'words', received 0"),
        ({"decode": {"id": tf.io.decode_png}, "features": ["id"], "max_neighbors": 0},
         "'id' returns .*resize them"),
        ({"decode": {"x": tf.identity}}, "decode: 'x' is .*expected one bytes value"),
    ],
)  # fmt: skip
def test_an_option_for_another_kind_of_feature_is_refused(
    packed: str, options: Any, problem: str
) -> None:
    with pytest.raises(UsageError, match=problem):
        batch(packed, **options)
