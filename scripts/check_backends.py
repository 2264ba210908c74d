"""Check both wrappers on every Keras backend that is installed, and print a table.

    python scripts/check_backends.py

Each backend runs in a process of its own, since Keras fixes it at import. The checks are
the core behaviours with numbers worked out by hand: one training step of either wrapper,
PGD, random starts, prediction, evaluation, saving, and that a search for adversarial
examples leaves a model's own state alone. Exit status 1 if any check fails.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

BACKENDS = ("tensorflow", "jax", "torch")
OK = "ok"
LEARNING_RATE = 0.01
STEP = 0.01
MULTIPLIER = 0.2
WEIGHTS = [[4.0], [-3.0]]


def main() -> int:
    """Run the checks of each backend and print what they found."""
    found = {
        backend: run_child(backend) for backend in BACKENDS if importlib.util.find_spec(backend)
    }
    print(table(found))
    failures = [
        f"{backend}: {name}: {result}"
        for backend, results in found.items()
        for name, result in results.items()
        if result != OK
    ]
    print("\n".join(failures))
    return 1 if failures or not found else 0


def run_child(backend: str, script: str = __file__) -> dict[str, str]:
    """Return the result of each check of `script` on `backend`."""
    root = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    child = subprocess.run(
        [sys.executable, script, "--child"],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if child.returncode:
        return {"starts": child.stderr.strip().splitlines()[-1] if child.stderr else "crashed"}
    return dict(json.loads(child.stdout.splitlines()[-1]))


def table(found: dict[str, dict[str, str]]) -> str:
    """Return a Markdown table with a row for each check."""
    names = dict.fromkeys(name for results in found.values() for name in results)
    lines = ["| check | " + " | ".join(found) + " |", "|---" * (len(found) + 1) + "|"]
    for name in names:
        cells = ["-" if name not in r else OK if r[name] == OK else "FAILS" for r in found.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def run_checks() -> dict[str, str]:
    """Run every check on the backend of this process."""
    return {name: outcome(check) for name, check in CHECKS.items()}


def outcome(check: Callable[[], str | None]) -> str:
    """Return what `check` says, `ok` if it says nothing, or what went wrong on one line."""
    try:
        return check() or OK
    except Exception as error:  # noqa: BLE001 - a table of failures is the purpose
        return f"{type(error).__name__}: {error}".replace("\n", " ")[:300]


def close(actual: Any, expected: Any, tolerance: float = 1e-5) -> None:
    """Raise unless both agree."""
    import numpy as np

    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=1e-7)


FORMS = ("Sequential", "single input", "list of inputs", "dictionary of inputs", "subclassed")


def linear(form: str = "Sequential") -> Any:
    """Return a base model with the weights [4, -3]."""
    import keras

    if form == "subclassed":
        return subclassed(dense())
    inputs = keras.Input((2,), name="feature")
    if form == "Sequential":
        return keras.Sequential([inputs, dense()])
    declared = {"list of inputs": [inputs], "dictionary of inputs": {"feature": inputs}}
    return keras.Model(declared.get(form, inputs), dense()(inputs))


def dense(factor: float = 1.0) -> Any:
    """Return a layer with the weights [4, -3], times `factor`."""
    import keras
    import numpy as np

    weights = keras.initializers.Constant(factor * np.array(WEIGHTS))
    return keras.layers.Dense(1, use_bias=False, kernel_initializer=weights)


def two_outputs() -> Any:
    """Return a base model of which the second output is twice the first."""
    import keras

    inputs = keras.Input((2,), name="feature")
    return keras.Model(inputs, [dense()(inputs), dense(2.0)(inputs)])


def subclassed(dense: Any) -> Any:
    """Return a subclassed model of one layer, not built yet."""
    import keras

    class Linear(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = dense

        def call(self, inputs: Any) -> Any:
            return self.dense(inputs["feature"])

    return Linear()


def example() -> dict[str, Any]:
    """Return a sample on which the base model errs by -1."""
    import numpy as np

    return {"feature": np.array([[2.0, 3.0]]), "label": np.array([[0.0]])}


def adversarial(base: Any, label_keys: Any = ("label",), **changes: Any) -> Any:
    """Return `base` under adversarial regularisation, compiled."""
    import keras

    import nsl_tools as nsl

    settings = {"multiplier": MULTIPLIER, "adv_step_size": STEP, "adv_grad_norm": "infinity"}
    config = nsl.configs.make_adv_reg_config(**{**settings, **changes})
    model = nsl.keras.AdversarialRegularization(base, label_keys, adv_config=config)
    model.compile(keras.optimizers.SGD(LEARNING_RATE), loss="mse")
    return model


def graph(base: Any) -> Any:
    """Return `base` under graph regularisation with two neighbours, compiled."""
    import keras

    import nsl_tools as nsl

    config = nsl.configs.make_graph_reg_config(max_neighbors=2, multiplier=MULTIPLIER)
    model = nsl.keras.GraphRegularization(base, config)
    outputs = getattr(base, "outputs", None) or [None]
    model.compile(keras.optimizers.SGD(LEARNING_RATE), loss=["mse"] * len(outputs))
    return model


def neighbors() -> dict[str, Any]:
    """Return two neighbours of the example; the second is padding."""
    import numpy as np

    return {
        "NL_nbr_0_feature": np.array([[1.0, 1.0]]),
        "NL_nbr_0_weight": np.array([[2.0]]),
        "NL_nbr_1_feature": np.array([[0.0, 0.0]]),
        "NL_nbr_1_weight": np.array([[0.0]]),
    }


def weights_after(moved: float) -> Any:
    """Return the weights after a step on the example and on its neighbour at `moved`."""
    import numpy as np

    w, x = np.array(WEIGHTS), example()["feature"]
    x_adv = x + moved * np.sign((x @ w) * w.T)
    gradient = 2 * (x @ w) * x.T + MULTIPLIER * 2 * (x_adv @ w) * x_adv.T
    return w - LEARNING_RATE * gradient


def adversarial_step(form: str, **changes: Any) -> None:
    """Check one step of training, with labels in the dictionary."""
    base = linear(form)
    model = adversarial(base, **changes)
    history = model.fit(example(), batch_size=1, verbose=0).history
    moved = changes.get("pgd_epsilon", STEP)
    close(base.get_weights()[0], weights_after(moved))
    close(history["scaled_adversarial_loss"], [MULTIPLIER * (1 + 7 * moved) ** 2])


def adversarial_outputs() -> None:
    """Check that the losses of two outputs, 1 and 4 times the same square, are added."""
    model = adversarial(two_outputs(), label_keys=("label", "label2"))
    data = {**example(), "label2": label()}
    history = model.fit(data, verbose=0).history
    close(history["scaled_adversarial_loss"], [MULTIPLIER * 5 * 1.07**2])
    close(history["loss"], [5 + MULTIPLIER * 5 * 1.07**2])


def adversarial_pair() -> None:
    """Check one step of training on features and labels apart."""
    base = linear()
    data = example()
    adversarial(base).fit(data["feature"], data["label"], verbose=0)
    close(base.get_weights()[0], weights_after(STEP))


def adversarial_prediction() -> None:
    """Check prediction without labels, and evaluation with both terms."""
    model = adversarial(linear())
    close(model.predict({"feature": example()["feature"]}, verbose=0), [[-1.0]])
    results = model.evaluate(example(), verbose=0, return_dict=True)
    close(results["scaled_adversarial_loss"], MULTIPLIER * 1.07**2)


def adversarial_perturbation() -> None:
    """Check `perturb_on_batch` with a radius, a bound and a random start."""
    model = adversarial(linear())
    pgd = {"pgd_iterations": 5, "pgd_epsilon": 0.045}
    moved = model.perturb_on_batch(example(), clip_value_max=3.01, **pgd)
    close(moved["feature"], [[1.955, 3.01]])
    moved = model.perturb_on_batch(example(), random_init=True, adv_step_size=0.05, **pgd)
    close(moved["feature"], [[1.955, 3.045]])


def adversarial_state() -> None:
    """Check that only the two passes in training mode update moving averages."""
    import keras

    base = keras.Sequential(
        [
            keras.Input((2,), name="feature"),
            keras.layers.BatchNormalization(momentum=0.5),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(1),
        ]
    )
    changes = {"pgd_iterations": 4, "pgd_epsilon": 1e-6, "adv_step_size": 1e-6}
    adversarial(base, random_init=True, **changes).fit(example(), verbose=0)
    close(base.layers[0].moving_mean, [1.5, 2.25])


def schedule() -> None:
    """Check that a multiplier can start at an epoch."""
    from nsl_tools.keras.schedule import MultiplierSchedule

    model = adversarial(linear())
    callbacks = [MultiplierSchedule(start_epoch=1)]
    history = model.fit(example(), epochs=2, verbose=0, callbacks=callbacks).history
    terms = [value > 0 for value in history["scaled_adversarial_loss"]]
    close(terms, [False, True])


def graph_step(form: str) -> None:
    """Check one step: a distance of (-1 - 1)^2, weighted by 2, over one non-zero weight."""
    base = linear(form)
    history = graph(base).fit({**neighbors(), **features()}, label(), verbose=0).history
    close(base.get_weights()[0], after_graph_step(WEIGHTS))
    close(history["scaled_graph_loss"], [MULTIPLIER * 2 * 4])


def graph_gradient(w: Any, factor: float = 1.0) -> Any:
    """Return the gradient of the distance: the example and its neighbour, times `factor`."""
    import numpy as np

    x, x_nbr = factor * np.array([[2.0, 3.0]]), factor * np.array([[1.0, 1.0]])
    return 2 * 2 * (x @ w - x_nbr @ w) * (x - x_nbr).T


def after_graph_step(w: Any, factor: float = 1.0) -> Any:
    """Return weights after a step on both."""
    x = factor * example()["feature"]
    return w - LEARNING_RATE * (2 * (x @ w) * x.T + MULTIPLIER * graph_gradient(w, factor))


def packed_steps(factors: list[float], **options: Any) -> None:
    """Check a step for each record, which end at the same weights in any order."""
    base, weights = linear(), WEIGHTS
    rows = [([2.0 * factor, 3.0 * factor], [factor, factor]) for factor in factors]
    fit_packed(base, "feature", rows, batch_size=1, **options)
    for factor in factors:
        weights = after_graph_step(weights, factor)
    close(base.get_weights()[0], weights)


def packed_lists() -> None:
    """Check a step on means over words: padding does not count, nor does a missing neighbour."""
    import keras
    import numpy as np

    vectors = np.array([[100.0], [1.0], [2.0], [4.0]])  # of padding, and of the words 1 to 3
    initial = keras.initializers.Constant(vectors)
    words = keras.Input((None,), dtype="int64", name="words")
    embedded = keras.layers.Embedding(4, 1, initial, mask_zero=True)(words)
    base = keras.Model(words, keras.layers.GlobalAveragePooling1D()(embedded))
    rows = [([1, 2], [3]), ([3, 1, 1], [2, 2, 2, 2]), ([3], [])]
    history = fit_packed(base, "words", rows, batch_size=3)
    # How much of each list each word is.
    own = np.array([[0, 1 / 2, 1 / 2, 0], [0, 2 / 3, 0, 1 / 3], [0, 0, 0, 1]])
    moved = own[:2] - np.array([[0, 0, 0, 1], [0, 0, 1, 0]])
    gradient = 2 * own.T @ (own @ vectors) / 3
    gradient += MULTIPLIER * 2 * 2 * moved.T @ (moved @ vectors) / 2
    close(base.get_weights()[0], vectors - LEARNING_RATE * gradient)
    close(history["scaled_graph_loss"], [MULTIPLIER * 2 * (2.5**2 + 0) / 2])


def fit_packed(base: Any, name: str, rows: list[tuple[Any, Any]], **options: Any) -> Any:
    """Train on packed samples with a neighbour, or [] for none; return the history."""
    from nsl_tools.data import PackedDataset

    packed = []
    for own, neighbor in rows:
        packed.append({name: own, "label": [0.0], "NL_num_nbrs": [int(bool(neighbor))]})
        if neighbor:
            packed[-1] |= {f"NL_nbr_0_{name}": neighbor, "NL_nbr_0_weight": [2.0]}
    with tempfile.TemporaryDirectory() as folder:
        dataset = PackedDataset(write_packed(folder, packed), max_neighbors=2, shuffle=0, **options)
        return graph(base).fit(dataset, shuffle=False, verbose=0).history


def write_packed(folder: str, rows: list[dict[str, list[Any]]]) -> str:
    """Write a packed file of features, lists of floats or of integers each; return its path."""
    from nsl_tools.formats.protobuf import example
    from nsl_tools.formats.tfrecord.writer import write_records

    kinds: dict[type, Any] = {float: example.encode_floats, int: example.encode_int64}
    features = [{n.encode(): kinds[type(v[0])](v) for n, v in row.items()} for row in rows]
    path = f"{folder}/packed.tfr"
    write_records(path, map(example.encode, features), len(rows))
    return path


def nested_step(outer: str) -> None:
    """Check one step on all three terms, and that evaluation leaves out that of the graph."""
    base = linear()
    model = adversarial(graph(base)) if outer == "adversarial" else graph(adversarial(base))
    history = model.fit({**neighbors(), **example()}, batch_size=1, verbose=0).history
    adversarial_loss, graph_loss = MULTIPLIER * (1 + 7 * STEP) ** 2, MULTIPLIER * 2 * 4
    moved = MULTIPLIER * graph_gradient(WEIGHTS)
    close(base.get_weights()[0], weights_after(STEP) - LEARNING_RATE * moved)
    close(history["scaled_adversarial_loss"], [adversarial_loss])
    close(history["scaled_graph_loss"], [graph_loss])
    close(history["loss"], [1 + adversarial_loss + graph_loss])
    found = model.evaluate(example(), verbose=0, return_dict=True)
    close("scaled_graph_loss" in found, False)


def loops() -> None:
    """Check the graph loss as a function: its value, and a step of a loop of one's own."""
    import keras

    import nsl_tools as nsl

    config = nsl.configs.make_graph_reg_config(max_neighbors=2)
    batch = {**neighbors(), **features(), "id": [[7]]}
    tensors = {name: keras.ops.convert_to_tensor(value, "float32") for name, value in batch.items()}
    model = linear("Sequential")

    def loss() -> Any:
        return nsl.keras.graph_loss(model, tensors, config)

    close(keras.ops.convert_to_numpy(loss()), 2 * 4)
    (weights,) = model.trainable_variables
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            value = loss()
        found = tape.gradient(value, weights.value)
    elif backend == "torch":
        loss().backward()
        found = weights.value.grad
    else:
        import jax

        def of_weights(value: Any) -> Any:
            with keras.StatelessScope(state_mapping=[(weights, value)]):
                return loss()

        found = jax.grad(of_weights)(weights.value)
    close(found, graph_gradient(WEIGHTS))


def graph_outputs() -> None:
    """Check that the distances of two outputs, 1 and 4 times the same square, are added."""
    data = {**neighbors(), **features()}
    history = graph(two_outputs()).fit(data, [label(), label()], verbose=0).history
    close(history["scaled_graph_loss"], [MULTIPLIER * 2 * 4 * 5])
    close(history["loss"], [5 + MULTIPLIER * 2 * 4 * 5])


def graph_distances() -> None:
    """Check every distance between two distributions against its formula, in NumPy."""
    import numpy as np

    import nsl_tools as nsl

    p, q = np.array([[0.2, 0.8], [0.5, 0.5]]), np.array([[0.6, 0.4], [0.9, 0.1]])
    mean, norms = (p + q) / 2, np.linalg.norm(p, axis=1) * np.linalg.norm(q, axis=1)

    def kl(a: Any, b: Any) -> Any:
        return np.sum(a * np.log(a / b), axis=1)

    expected = {
        "l1": np.abs(p - q).sum(axis=1),
        "l2": ((p - q) ** 2).sum(axis=1),
        "cosine": 1 - np.sum(p * q, axis=1) / norms,
        "kl_divergence": kl(p, q),
        "jensen_shannon_divergence": (kl(p, mean) + kl(q, mean)) / 2,
    }
    for name, each in expected.items():
        config = nsl.configs.DistanceConfig(name, sum_over_axis=-1)
        found = nsl.lib.pairwise_distance_wrapper(p, q, [[2.0], [0.0]], config)
        close(float(found), 2 * each[0])


def graph_prediction() -> None:
    """Check prediction and evaluation without neighbours."""
    model = graph(linear())
    close(model.predict(features(), verbose=0), [[-1.0]])
    results = model.evaluate(features(), label(), verbose=0, return_dict=True)
    close(results["loss"], 1.0)


def features() -> dict[str, Any]:
    """Return the example's feature alone."""
    return {"feature": example()["feature"]}


def label() -> Any:
    """Return the example's label alone."""
    return example()["label"]


def saved(wrap: Callable[[Any], Any], data: dict[str, Any], y: Any = None) -> None:
    """Check that a loaded wrapper predicts, and goes on training, as the saved one does."""
    import keras

    model = wrap(linear())
    model.fit(data, y, verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/model.keras"
        model.save(path)
        loaded = keras.saving.load_model(path)
    close(loaded.predict(features(), verbose=0), model.predict(features(), verbose=0))
    for each in (model, loaded):
        each.fit(data, y, verbose=0)
    close(loaded.base_model.get_weights()[0], model.base_model.get_weights()[0])


CHECKS: dict[str, Callable[[], None]] = {
    **{f"adversarial: FGSM step, {form}": partial(adversarial_step, form) for form in FORMS},
    "adversarial: FGSM step, two outputs": adversarial_outputs,
    "adversarial: PGD step": lambda: adversarial_step(
        "Sequential", pgd_iterations=3, pgd_epsilon=0.025
    ),
    "adversarial: features and labels apart": adversarial_pair,
    "adversarial: predict and evaluate": adversarial_prediction,
    "adversarial: perturb_on_batch": adversarial_perturbation,
    "adversarial: state of the model": adversarial_state,
    "adversarial: start epoch": schedule,
    "adversarial: save, load, go on": lambda: saved(adversarial, example()),
    **{f"graph: step, {form}": partial(graph_step, form) for form in FORMS},
    "graph: step, two outputs": graph_outputs,
    "graph: lists of varying length": packed_lists,
    "graph: PackedDataset, step": partial(packed_steps, [1.0]),
    "graph: PackedDataset, two workers": partial(packed_steps, [1.0, -0.5, 1.5, 0.25], workers=2),
    "graph: every distance": graph_distances,
    "adversarial around graph: step": lambda: nested_step("adversarial"),
    "graph around adversarial: step": lambda: nested_step("graph"),
    "graph: loss in a loop of one's own": loops,
    "graph: predict and evaluate": graph_prediction,
    "graph: save, load, go on": lambda: saved(graph, {**neighbors(), **features()}, label()),
}


if __name__ == "__main__":
    if sys.argv[1:] == ["--child"]:
        print(json.dumps(run_checks()))
    else:
        sys.exit(main())
