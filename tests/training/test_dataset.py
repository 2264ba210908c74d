"""Packed shards as datasets: shapes, padding, labels, weights, order, and what is refused."""

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import nsl_tools as nsl
from nsl_tools.errors import DataError, UsageError
from nsl_tools.keras import make_dataset, make_parse_fn

Features = dict[str, list[Any]]


def sample(number: int, neighbors: int, **extra: list[Any]) -> Features:
    """Return a packed sample with two features and some neighbours."""
    features: Features = {
        "id": [f"s{number}".encode()],
        "x": [float(number), 0.5],
        "n": [number],
        "label": [number % 3],
        "NL_num_nbrs": [neighbors],
    }
    for rank in range(neighbors):
        features |= {
            f"NL_nbr_{rank}_id": [b"u"],
            f"NL_nbr_{rank}_x": [100.0 * rank + number, 1.0],
            f"NL_nbr_{rank}_n": [rank],
            f"NL_nbr_{rank}_weight": [0.5],
        }
    return features | extra


def write(path: Path | str, samples: list[Features], compression: str = "") -> str:
    """Write examples with TensorFlow's own writer."""
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for features in samples:
            example = tf.train.Example()
            for name, values in features.items():
                feature = example.features.feature[name]
                if isinstance(values[0], bytes):
                    feature.bytes_list.value.extend(values)
                elif isinstance(values[0], float):
                    feature.float_list.value.extend(values)
                else:
                    feature.int64_list.value.extend(values)
            writer.write(example.SerializeToString())
    return str(path)


def test_batches_hold_own_and_neighbour_features_and_labels(tmp_path: Path) -> None:
    """Missing neighbours are zeros with weight 0; the id is left out; a label is (batch,)."""
    path = write(tmp_path / "m", [sample(0, 2), sample(1, 0), sample(2, 1)])
    (batch,) = make_dataset(path, batch_size=8, max_neighbors=2, shuffle=0)
    features, labels = batch
    assert sorted(features) == sorted(
        ["x", "n", *(f"NL_nbr_{r}_{name}" for r in (0, 1) for name in ("x", "n", "weight"))]
    )
    assert labels.numpy().tolist() == [0, 1, 2]
    assert features["x"].numpy().tolist() == [[0.0, 0.5], [1.0, 0.5], [2.0, 0.5]]
    assert features["NL_nbr_1_x"].numpy().tolist() == [[100.0, 1.0], [0.0, 0.0], [0.0, 0.0]]
    assert features["NL_nbr_0_weight"].numpy().tolist() == [[0.5], [0.0], [0.5]]
    assert features["NL_nbr_0_n"].dtype == tf.int64


def test_features_can_be_chosen_and_labels_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "m", [sample(0, 1)])
    dataset = make_dataset(path, batch_size=1, features=["n", "id"], label=None)
    assert sorted(next(iter(dataset))) == ["id", "n"]


@pytest.mark.parametrize("compression", ["", "GZIP", "ZLIB"])
def test_shard_sets_are_read_whatever_their_compression(tmp_path: Path, compression: str) -> None:
    for shard in range(3):
        samples = [sample(3 * shard + i, 1) for i in range(3)]
        write(tmp_path / f"m-{shard:05}-of-00003", samples, compression)
    for files in (f"{tmp_path}/m@3", f"{tmp_path}/m-*", [f"{tmp_path}/m@3"]):
        dataset = make_dataset(files, batch_size=4, max_neighbors=1, seed=1)
        found = [n for x, _ in dataset for n in x["n"].numpy().ravel().tolist()]
        assert sorted(found) == list(range(9))


def test_a_seed_repeats_the_order_of_shuffling(tmp_path: Path) -> None:
    """Without shuffling the order is the files'."""
    path = write(tmp_path / "m", [sample(i, 0) for i in range(50)])

    def order(**options: int) -> list[int]:
        return np.concatenate([x["n"] for x, _ in make_dataset(path, batch_size=7, **options)])[
            :, 0
        ].tolist()

    assert order(shuffle=0) == list(range(50))
    assert order(seed=1) == order(seed=1) != order(seed=2)


def test_a_label_weight_becomes_the_sample_weight(tmp_path: Path) -> None:
    """A sample without a label gets label 0, and its weight says that it does not count."""
    unlabeled = sample(5, 1, NL_label_weight=[0.0])
    del unlabeled["label"]
    path = write(tmp_path / "m", [sample(4, 1, NL_label_weight=[1.0]), unlabeled, sample(2, 1)])
    (batch,) = make_dataset(path, batch_size=3, label_weight="NL_label_weight", shuffle=0)
    features, labels, weights = batch
    assert labels.numpy().tolist() == [1, 0, 2]
    assert weights.numpy().tolist() == [1.0, 0.0, 1.0]
    assert "NL_label_weight" not in features


def test_a_known_number_of_samples_gives_the_dataset_a_length(tmp_path: Path) -> None:
    path = write(tmp_path / "m", [sample(i, 0) for i in range(5)])
    assert len(make_dataset(path, batch_size=2, samples=5)) == 3
    assert len(make_dataset(path, batch_size=2, samples=5, drop_remainder=True)) == 2


def test_a_later_record_that_differs_is_an_error(tmp_path: Path) -> None:
    """The specification is inferred from the first records and holds for all."""
    path = write(tmp_path / "m", [sample(i, 0) for i in range(120)] + [sample(1, 0, x=[1.0])])
    with pytest.raises(tf.errors.InvalidArgumentError, match="Key: x"):
        list(make_dataset(path, batch_size=200))


def test_files_that_were_not_packed_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "m", [{"id": [b"a"], "x": [1.0]}])
    with pytest.raises(DataError, match="no feature 'NL_num_nbrs': expected a packed file"):
        make_dataset(path, batch_size=1, max_neighbors=1, label=None)


def test_neighbours_without_the_features_of_a_sample_are_refused(tmp_path: Path) -> None:
    """Packed with `--nbr-features`, or from other data: zeros would pass for data."""
    odd = sample(0, 0, NL_num_nbrs=[1], NL_nbr_0_weight=[1.0], NL_nbr_0_y=[1.0])
    path = write(tmp_path / "m", [odd])
    with pytest.raises(DataError, match=r"neighbour 0 lacks the feature 'n'"):
        make_dataset(path, batch_size=1, max_neighbors=1)


@pytest.mark.parametrize("content", [b"not a record file at all", b"\x1f\x8b\x08 damaged"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(DataError, match="m: record 0 at byte 0: not a TFRecord file"):
        make_dataset(f"{tmp_path}/m", batch_size=1)


def test_missing_and_empty_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        make_dataset(f"{tmp_path}/m", batch_size=1)
    (tmp_path / "m").touch()
    with pytest.raises(DataError, match="no example"):
        make_dataset(f"{tmp_path}/m", batch_size=1)


@pytest.mark.parametrize("options", [{"label": "y"}, {"features": ["x", "y"]}])
def test_an_unknown_name_is_refused(tmp_path: Path, options: Any) -> None:
    path = write(tmp_path / "m", [sample(0, 0)])
    with pytest.raises(UsageError, match=r"no feature 'y', expected one of .*'x'"):
        make_dataset(path, batch_size=1, **options)


def test_the_default_of_a_label_in_a_spec_stands(tmp_path: Path) -> None:
    path = write(tmp_path / "m", [{"x": [1.0]}, {"x": [2.0], "label": [1]}])
    spec = {
        "x": tf.io.FixedLenFeature([1], tf.float32),
        "label": tf.io.FixedLenFeature([1], tf.int64, [7]),
    }
    ((_, labels),) = list(make_dataset(path, batch_size=2, spec=spec, shuffle=0))
    assert labels.numpy().tolist() == [7, 1]


def test_a_parse_function_serves_a_pipeline_of_ones_own(tmp_path: Path) -> None:
    path = write(tmp_path / "m", [sample(7, 1)])
    spec = {
        "x": tf.io.FixedLenFeature([2], tf.float32),
        "label": tf.io.FixedLenFeature([], tf.int64),
    }
    parse = make_parse_fn(spec, max_neighbors=2)
    features, label = next(iter(tf.data.TFRecordDataset(path).batch(1).map(parse)))
    assert features["NL_nbr_0_x"].numpy().tolist() == [[7.0, 1.0]]
    assert features["NL_nbr_1_weight"].numpy().tolist() == [[0.0]]
    assert label.numpy().tolist() == [1]


@pytest.mark.parametrize("name", ["make_dataset", "make_parse_fn"])
def test_without_tensorflow_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The wrappers run on other backends without TensorFlow; reading with `tf.data` does not."""
    monkeypatch.delitem(sys.modules, "nsl_tools.data.tf_dataset")
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ImportError, match=rf"nsl_tools\.keras\.{name}: .*pip install tensorflow"):
        getattr(nsl.keras, name)
    monkeypatch.undo()
    assert getattr(nsl.keras, name) is getattr(
        importlib.import_module("nsl_tools.data.tf_dataset"), name
    )


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'make_data'"):
        nsl.keras.make_data  # noqa: B018 - looking it up is what fails
