"""Forms of model, each with samples to train it on: for `check_forms.py`.

All of them tell a kind. Those of several outputs tell a size as well.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

BATCH = 4
RANKS = range(2)  # of neighbours

Named = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Form:
    """A base model, and how it is trained.

    Attributes:
        make: returns the model.
        shapes: by name of a feature, the shape of its floats; None if it is a list of token ids.
        arranged: returns features as the model takes them.
        like_outputs: returns what is known by name of an output in the structure of the outputs.
        fit: more arguments of `fit`.
        policy: of dtypes.
        tolerance: of what comes from the outputs.
        packed: whether `PackedDataset` reads the samples.
    """

    make: Callable[[], Any]
    shapes: dict[str, tuple[int, ...] | None]
    arranged: Callable[[Named], Any] = dict
    like_outputs: Callable[[Named], Any] = lambda named: named["kind"]
    fit: dict[str, Any] = field(default_factory=dict)
    policy: str = "float32"
    tolerance: float = 1e-4
    packed: bool = False


def classifier(declared: Any, inner: Any, outputs: type | None = None) -> Any:
    """Return a functional model: it tells the kind, and the size if it has several outputs."""
    import keras

    inner = keras.layers.Dense(4, activation="tanh")(inner)
    kind = keras.layers.Dense(3, activation="softmax", dtype="float32", name="kind")(inner)
    size = keras.layers.Dense(2, dtype="float32", name="size")(inner)
    several: dict[Any, Any] = {dict: {"size": size, "kind": kind}, list: [kind, size]}
    return keras.Model(declared, several[outputs] if outputs else kind)


def one_input() -> Any:
    """Return a model of one input."""
    import keras

    x = keras.Input((5,), name="x")
    return classifier(x, x)


def sequential() -> Any:
    """Return a stack of layers."""
    import keras

    return keras.Sequential([keras.Input((5,), name="x"), *one_input().layers[1:]])


def two_inputs(inputs: type, outputs: type | None = None) -> Any:
    """Return a model of several inputs, in a list or in a dictionary."""
    import keras

    a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
    declared = [b, a] if inputs is list else {"b": b, "a": a}
    return classifier(declared, keras.layers.Concatenate()([a, b]), outputs)


def subclassed() -> Any:
    """Return a subclassed model, not built yet."""
    import keras

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.stack = one_input().layers[1:]

        def call(self, inputs: Any) -> Any:
            found = keras.ops.concatenate([inputs["a"], inputs["b"]], axis=1)
            for layer in self.stack:
                found = layer(found)
            return found

    return Own()


def tokens(*, with_floats: bool) -> Any:
    """Return a model of token ids, where padding is masked, and of floats."""
    import keras

    words, x = keras.Input((None,), dtype="int64", name="words"), keras.Input((5,), name="x")
    spread = keras.initializers.RandomNormal(stddev=1.0)
    embedded = keras.layers.Embedding(10, 3, spread, mask_zero=True)(words)
    inner = keras.layers.Bidirectional(keras.layers.LSTM(3))(embedded)
    if with_floats:
        return classifier({"words": words, "x": x}, keras.layers.Concatenate()([inner, x]))
    return classifier(words, inner)


def convolution() -> Any:
    """Return a model of images that are flipped at random, which does not change its outputs."""
    import keras

    image = keras.Input((4, 4, 1), name="x")
    inner = keras.layers.RandomFlip("horizontal")(image)
    inner = keras.layers.Conv2D(3, (3, 1), padding="same")(inner)  # each column by itself
    inner = keras.layers.BatchNormalization()(inner)
    inner = keras.layers.Activation("tanh")(inner)
    return classifier(image, keras.layers.GlobalAveragePooling2D()(inner))


def sole(named: Named) -> Any:
    """Return the only feature."""
    (value,) = named.values()
    return value


ONE: Named = {"shapes": {"x": (5,)}, "arranged": sole}
IMAGE: Named = {"shapes": {"x": (4, 4, 1)}, "arranged": sole}
TWO: Named = {"shapes": {"a": (2,), "b": (3,)}}
LIST: Named = {**TWO, "arranged": lambda named: [named["b"], named["a"]]}
FORMS = {
    "Sequential": Form(sequential, **ONE),
    "functional, one input": Form(one_input, **ONE),
    "list of inputs": Form(partial(two_inputs, list), **LIST),
    "dictionary of inputs": Form(partial(two_inputs, dict), **TWO),
    "list of outputs": Form(
        partial(two_inputs, list, list),
        like_outputs=lambda named: [named["kind"], named["size"]],
        **LIST,
    ),
    "dictionary of outputs": Form(partial(two_inputs, dict, dict), like_outputs=dict, **TWO),
    "subclassed": Form(subclassed, **TWO),
    "masked token ids, LSTM": Form(partial(tokens, with_floats=False), {"words": None}, sole),
    "convolution, augmentation": Form(convolution, **IMAGE),
    "mixed_float16": Form(one_input, policy="mixed_float16", tolerance=0.01, **ONE),
    "mixed_bfloat16": Form(one_input, policy="mixed_bfloat16", tolerance=0.03, **ONE),
    "class weights": Form(one_input, fit={"class_weight": {0: 0.5, 1: 1.0, 2: 3.0}}, **ONE),
    "validation split": Form(convolution, fit={"validation_split": 0.5}, **IMAGE),
    "PackedDataset": Form(
        partial(tokens, with_floats=True), {"words": None, "x": (5,)}, packed=True
    ),
}


def samples(form: Form) -> tuple[Named, Named]:
    """Return features, those of neighbours too, and labels; a sample lacks its last neighbour."""
    random, count = np.random.default_rng(0), BATCH * (1 + ("validation_split" in form.fit))
    features: Named = {}
    for prefix in ("", *(f"NL_nbr_{rank}_" for rank in RANKS)):
        for name, shape in form.shapes.items():
            if shape is not None:
                value = random.normal(size=(count, *shape)).astype("float32")
            else:
                ids, lengths = random.integers(1, 10, (count, 5)), 1 + random.permutation(count)
                value = np.where(np.arange(5) < lengths[:, np.newaxis], ids, 0)
            if prefix == f"NL_nbr_{RANKS[-1]}_":
                value[0] = 0 if shape else features[name][0]
            features[prefix + name] = value
    weights = {f"NL_nbr_{rank}_weight": np.ones((count, 1), "float32") for rank in RANKS}
    weights[f"NL_nbr_{RANKS[-1]}_weight"][0] = 0
    sizes = random.normal(size=(count, 2)).astype("float32")
    return {**features, **weights}, {"kind": np.arange(count) % 3, "size": sizes}


def rows(named: Named, *which: int | None) -> Named:
    """Return some of the samples."""
    return {name: value[slice(*which)] for name, value in named.items()}


def own(features: Named) -> Named:
    """Return the features of samples alone."""
    return {name: value for name, value in features.items() if not name.startswith("NL_")}


def packed(features: Named, labels: Named) -> list[dict[str, list[Any]]]:
    """Return the records of a packed file: without padding."""
    records = []
    for i, label in enumerate(labels["kind"]):
        count = sum(int(features[f"NL_nbr_{rank}_weight"][i, 0]) for rank in RANKS)
        absent = tuple(f"NL_nbr_{rank}_" for rank in RANKS[count:])
        there = {name: value[i] for name, value in features.items() if not name.startswith(absent)}
        lists = {n: (v[v != 0] if v.dtype.kind == "i" else v).tolist() for n, v in there.items()}
        records.append({**lists, "label": [int(label)], "NL_num_nbrs": [count]})
    return records
