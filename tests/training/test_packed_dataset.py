"""`PackedDataset`: the batches of `make_dataset`, as numpy arrays, in any order, on any backend."""

from __future__ import annotations

import gzip
import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support import write_examples

import nsl_tools as nsl
from nsl_tools.data import FixedFeature, ListFeature, PackedDataset, Ragged
from nsl_tools.errors import DataError, UsageError
from nsl_tools.keras import make_dataset

_ints = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 300)
_texts = st.binary(max_size=5) | st.binary(min_size=130, max_size=200)
_floats = st.floats(width=32, allow_nan=False)
OWN = {
    "x": st.lists(_floats, min_size=3, max_size=3),
    "n": st.lists(_ints, min_size=1, max_size=1),
    "name": st.lists(_texts, min_size=1, max_size=1),
    "words": st.lists(_ints, max_size=70),
    "tags": st.lists(_texts, max_size=6),
    "scores": st.lists(_floats, max_size=9),
}
SPEC = {
    "x": FixedFeature((3,), np.dtype(np.float32)),
    "n": FixedFeature((1,), np.dtype(np.int64), -7),
    "name": FixedFeature((), np.dtype(object), b"none"),
    "words": ListFeature(np.dtype(np.int64)),
    "tags": ListFeature(np.dtype(object)),
    "scores": ListFeature(np.dtype(np.float32)),
    "label": FixedFeature((1,), np.dtype(np.int64)),
}
REQUIRED = {"x", "label"}


@st.composite
def packed(draw: st.DrawFn) -> dict[str, list[Any]]:
    """Return a packed sample: neighbours are fewer than asked for or more, features missing."""

    def features() -> dict[str, list[Any]]:
        kept = {n for n in OWN if n in REQUIRED or draw(st.booleans())}
        found = {name: draw(OWN[name]) for name in kept}
        return {name: values for name, values in found.items() if values}

    sample = {**features(), "label": draw(OWN["n"]), "id": [b"a"]}
    count = draw(st.integers(0, 3))
    for rank in range(count):
        sample |= {f"NL_nbr_{rank}_{name}": values for name, values in features().items()}
        sample[f"NL_nbr_{rank}_weight"] = [draw(st.sampled_from([0.0, 0.5, 1.0]))]
    if draw(st.booleans()):
        sample["NL_label_weight"] = [0.25]
    names = draw(st.permutations(list(sample)))
    return {**{name: sample[name] for name in names}, "NL_num_nbrs": [count]}


def as_tensors(batch: Any) -> Any:
    """Return a batch as TensorFlow's reader makes it."""
    if isinstance(batch, Ragged):
        return tf.RaggedTensor.from_row_splits(batch.values, batch.row_splits)
    if isinstance(batch, tuple):
        return tuple(map(as_tensors, batch))
    return {k: as_tensors(v) for k, v in batch.items()} if isinstance(batch, dict) else batch


def assert_same(found: Any, expected: Any) -> None:
    if isinstance(expected, tuple):
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, dict):
        assert set(found) == set(expected)
        for name in expected:
            assert_same(found[name], expected[name])
    elif isinstance(expected, tf.RaggedTensor):
        assert found.to_list() == expected.to_list()
    else:
        assert found.dtype == expected.dtype.as_numpy_dtype
        np.testing.assert_array_equal(found, expected.numpy())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("packed")


@pytest.mark.slow
@settings(max_examples=20, phases=set(Phase) - {Phase.shrink})  # TensorFlow is slow
@given(
    samples=st.lists(packed(), min_size=1, max_size=12),
    options=st.fixed_dictionaries(
        {"batch_size": st.integers(1, 7), "max_neighbors": st.integers(0, 3)},
        optional={
            "drop_remainder": st.booleans(),
            "label": st.none(),
            "label_weight": st.just("NL_label_weight"),
            "features": st.lists(st.sampled_from(sorted(OWN)), min_size=1, unique=True),
            "pad": st.just({"words": 3}),
            "pad_values": st.just({"words": -1, "tags": b"-"}),
            "ragged": st.just(["scores"]),
        },
    ),
)
def test_batches_are_those_of_make_dataset(
    folder: Path, samples: list[dict[str, list[Any]]], options: dict[str, Any]
) -> None:
    """Whatever the records hold, and however they are asked for."""
    names = set(options.get("features", OWN))
    for option in ("pad", "pad_values"):
        if option in options:
            options[option] = {n: v for n, v in options[option].items() if n in names}
    options["ragged"] = [name for name in options.get("ragged", ()) if name in names]
    path = write_examples(folder / "p", samples)
    cuts: list[Counter[str]] = [Counter(), Counter()]
    spec = {name: known for name, known in SPEC.items() if name in OWN or "label" not in options}
    given = {**options, "spec": spec, "shuffle": 0}
    expected = list(make_dataset(path, cut=cuts[0], **given))
    dataset = PackedDataset(path, cut=cuts[1], **given)
    assert len(dataset) == len(expected)
    for found, right in zip(dataset, expected, strict=True):
        assert_same(as_tensors(found), right)
    assert cuts[0] == cuts[1]


def rows(count: int) -> list[dict[str, list[Any]]]:
    """Return packed samples of which `n` is the number, with words of varying length."""
    return [
        {
            "id": [b"%d" % i],
            "n": [i],
            "x": [float(i), 1.0],
            "words": list(range(1, 2 + i % 5)),
            "label": [i % 2],
            "NL_num_nbrs": [i % 2],
            **({"NL_nbr_0_n": [i + 1], "NL_nbr_0_x": [0.5, 0.5], "NL_nbr_0_words": [9, 9],
                "NL_nbr_0_weight": [1.0]} if i % 2 else {}),
        }
        for i in range(count)
    ]  # fmt: skip


def numbers(batch: Any) -> list[int]:
    return batch[0]["n"][:, 0].tolist()


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Return a set of three files."""
    for shard in range(3):
        write_examples(tmp_path / f"p-{shard:05}-of-00003", rows(50)[shard::3])
    return f"{tmp_path}/p@3"


def test_what_is_not_said_is_inferred_as_make_dataset_does(path: str) -> None:
    options: dict[str, Any] = {"batch_size": 8, "max_neighbors": 1, "shuffle": 0}
    for found, right in zip(
        PackedDataset(path, **options), make_dataset(path, **options), strict=True
    ):
        assert_same(found, right)


@pytest.mark.parametrize("shuffle", [0, 1])
def test_batches_are_the_same_in_any_order_of_asking(path: str, shuffle: int) -> None:
    """One after the other, in steps as workers ask, or here and there."""
    random = np.random.default_rng(0)
    options: dict[str, Any] = {"batch_size": 4, "max_neighbors": 1, "shuffle": shuffle, "seed": 3}
    first = PackedDataset(path, **options)
    expected = [first[number] for number in random.permutation(len(first))]
    order = np.argsort(np.random.default_rng(0).permutation(len(first)))
    for asked in (range(13), range(0, 13, 2), range(12, -1, -1), [0, 0, 1, 2, 2, 4, 6, 8, 3]):
        dataset = PackedDataset(path, **options)
        for number in asked:
            np.testing.assert_equal(dataset[number], expected[order[number]])
    with pytest.raises(IndexError, match="batch 13, expected 0 to 12"):
        first[13]


def test_each_epoch_has_all_samples_in_another_order(path: str) -> None:
    def epochs(seed: int, count: int = 3) -> list[list[int]]:
        dataset = PackedDataset(path, batch_size=7, seed=seed)
        return [[n for batch in dataset for n in numbers(batch)] for _ in range(count)]

    found = epochs(1)
    assert all(sorted(epoch) == list(range(50)) for epoch in found)
    assert found[0] != found[1] != found[2]
    assert found == epochs(1) != epochs(2)
    resumed = PackedDataset(path, batch_size=7, seed=1)
    resumed.set_epoch(2)
    assert [n for batch in resumed for n in numbers(batch)] == found[2]


def test_another_process_makes_the_same_batches(path: str, tmp_path: Path) -> None:
    """A copy agrees on the order, though no seed was given; compressed files are unpacked again."""
    packed = tmp_path / "z"
    packed.write_bytes(gzip.compress(Path(path.replace("@3", "-00000-of-00003")).read_bytes()))
    for files in (path, str(packed)):
        dataset = PackedDataset(files, batch_size=5)
        dataset[1]
        copy = pickle.loads(pickle.dumps(dataset))  # noqa: S301 - our own
        for one, other in zip(dataset, copy, strict=True):
            np.testing.assert_equal(one, other)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"n": [1.5]}, "feature 'n' is float, expected int64"),
        ({"x": [1.0]}, "feature 'x' has 1 values, expected 2"),
        ({"label": []}, "feature 'label' is missing"),
        ({"NL_nbr_0_x": [1.0]}, "feature 'NL_nbr_0_x' has 1 values, expected 2"),
    ],
)
def test_a_record_that_differs_is_named(
    tmp_path: Path, changed: dict[str, list[Any]], problem: str
) -> None:
    """When its batch is asked for, not before, though some are made together."""
    samples = rows(150)
    samples[133] |= changed
    samples[133] = {name: values for name, values in samples[133].items() if values}
    path = write_examples(tmp_path / "p", samples)
    dataset = PackedDataset(path, batch_size=4, max_neighbors=1, shuffle=0)
    for number in range(33):
        dataset[number]
    with pytest.raises(DataError, match=rf"p: record 133 at byte \d+: {problem}"):
        dataset[33]
    assert numbers(dataset[34]) == [136, 137, 138, 139]


def test_bytes_are_decoded(tmp_path: Path) -> None:
    """Of a sample and its neighbours alike; a missing neighbour is zeros."""
    arrays = np.random.default_rng(0).normal(size=(3, 2, 4)).astype(np.float32)
    samples = [{"raw": [array.tobytes()], "NL_num_nbrs": [0]} for array in arrays]
    neighbor = {"NL_nbr_0_raw": [arrays[2].tobytes()], "NL_nbr_0_weight": [1.0]}
    samples[1] |= {**neighbor, "NL_num_nbrs": [1]}
    path = write_examples(tmp_path / "p", samples)

    def decode(value: bytes) -> Any:
        return np.frombuffer(value, np.float32).reshape(2, 4)

    options: dict[str, Any] = {"label": None, "shuffle": 0, "max_neighbors": 1}
    (batch,) = PackedDataset(path, 3, decode={"raw": decode}, **options)
    np.testing.assert_array_equal(batch["raw"], arrays)
    np.testing.assert_array_equal(batch["NL_nbr_0_raw"], [0 * arrays[0], arrays[2], 0 * arrays[0]])
    other = {"raw": lambda value: np.zeros(len(samples) + value[0] % 2)}
    with pytest.raises(UsageError, match=r"returns arrays of shapes .* resize them in it"):
        list(PackedDataset(path, 3, decode=other, **options))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"batch_size": 0}, "batch_size: expected 1 or more, received 0"),
        ({"samples": 51}, "samples: 51 were given, the files hold 50"),
        ({"pad": {"y": 3}}, "pad: 'y' is no feature of varying length"),
        ({"features": ["y"]}, "no feature 'y'"),
        ({"decode": {"n": bytes}}, "decode: 'n' is int64 of shape"),
        ({"spec": {"n": tf.io.VarLenFeature(tf.int64)}}, "expected a FixedFeature"),
        ({"spec": {"n": tf.io.FixedLenFeature([1], tf.int32)}}, "'n' is of int32, expected"),
    ],
)
def test_wrong_options_are_refused(path: str, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        PackedDataset(path, **{"batch_size": 4, **options})


@pytest.mark.parametrize("workers", [1, 2])
def test_keras_trains_on_it_as_on_make_dataset(path: str, workers: int) -> None:
    """With a graph; evaluation and prediction as well."""
    config = nsl.configs.make_graph_reg_config(max_neighbors=1, multiplier=0.1)
    options: dict[str, Any] = {"batch_size": 8, "max_neighbors": 1, "features": ["x"], "shuffle": 0}
    found = []
    for dataset in (
        PackedDataset(path, workers=workers, **options),
        make_dataset(path, samples=50, **options),
    ):
        keras.utils.set_random_seed(1)
        base = keras.Sequential([keras.Input((2,), name="x"), keras.layers.Dense(1)])
        model = nsl.keras.GraphRegularization(base, config)
        model.compile("sgd", "mse")
        history = model.fit(dataset, epochs=2, shuffle=False, verbose=0).history
        found.append([history["loss"], history["scaled_graph_loss"], model.evaluate(dataset)])
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-5)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-5)
    np.testing.assert_allclose(found[0][2], found[1][2], rtol=1e-5)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_workers_are_left_out_where_keras_loses_batches(
    path: str, backend: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Which is said; on TensorFlow they are as asked for."""
    assert PackedDataset(path, 4, workers=2).workers == 2
    assert not caplog.records
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    assert PackedDataset(path, 4, workers=2, max_queue_size=3).workers == 1
    (record,) = caplog.records
    assert f"which with {backend} would train without the first batch" in record.getMessage()


WITHOUT = """
import sys
for name in {without}:
    sys.modules[name] = None
from nsl_tools.data import PackedDataset
dataset = PackedDataset({path!r}, batch_size=16, max_neighbors=1, pad=dict(words=5), seed=1)
shapes = [(features["NL_nbr_0_words"].shape, label.shape) for features, label in dataset]
print(shapes[0], shapes[-1], "tensorflow" in sys.modules and sys.modules["tensorflow"], len(shapes))
"""


@pytest.mark.parametrize("without", [("tensorflow",), ("tensorflow", "keras")])
def test_tensorflow_and_keras_are_not_needed(path: str, without: tuple[str, ...]) -> None:
    code = WITHOUT.format(path=path, without=without)
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert found.stderr == ""
    assert found.stdout == "((16, 5), (16,)) ((2, 5), (2,)) None 4\n"


def test_names_are_found_when_asked_for() -> None:
    names = ["FixedFeature", "ListFeature", "PackedDataset", "Ragged", "write_examples"]
    assert dir(nsl.data) == names
    with pytest.raises(AttributeError, match="no attribute 'Packed'"):
        nsl.data.Packed  # noqa: B018 - looking it up is what fails
