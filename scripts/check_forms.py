"""Train each form of model under each wrapper on each backend that is installed, and check it.

    python scripts/check_forms.py

A cell of the table says `ok` if a step of training did what the wrapper promises:

- The loss and its terms are those that NumPy makes of the outputs that the base model had before
  the step. Adversarial neighbours are found by finite differences. Lists are padded further.
- The step is as steep a descent of this loss as that of gradient descent.
- Without the terms, the weights are those of plain training; with them they are not.
- Validation has the adversarial term, in inference mode, and not that of the graph.

It says `refused` where a wrapper has nothing to work on and says so. Exit status 1 if there is
any other cell.
"""

import importlib.util
import json
import sys
import tempfile
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Any

import numpy as np
from check_backends import BACKENDS, OK, outcome, run_child, write_packed
from model_forms import BATCH, FORMS, RANKS, Form, Named, own, packed, rows, samples

REFUSED = "refused"
WRAPPERS = {
    "graph": ("graph",),
    "adversarial": ("adversarial",),
    "adversarial around graph": ("graph", "adversarial"),
    "graph around adversarial": ("adversarial", "graph"),
}
MULTIPLIERS = {"graph": 2.0, "adversarial": 0.5}
LEARNING_RATE = 0.1
STEP = 0.5
LOSSES = {"kind": "sparse_categorical_crossentropy", "size": "mse"}


def started(form: Form) -> Any:
    """Return a base model, with the same weights each time."""
    import keras

    keras.utils.set_random_seed(1)
    return form.make()


def fitted(form: Form, wrappers: tuple[str, ...], scale: float = 1.0) -> tuple[Any, Named]:
    """Return a base model that was trained for a step, and the history."""
    import keras

    import nsl_tools as nsl

    model = base = started(form)
    for name in wrappers:
        config: Any
        multiplier = scale * MULTIPLIERS[name]
        if name == "graph":
            config = nsl.configs.make_graph_reg_config(
                max_neighbors=len(RANKS), multiplier=multiplier
            )
            model = nsl.keras.GraphRegularization(model, config)
        else:
            config = nsl.configs.make_adv_reg_config(multiplier, adv_step_size=STEP)
            model = nsl.keras.AdversarialRegularization(model, adv_config=config)
    model.compile(keras.optimizers.SGD(LEARNING_RATE), loss=form.like_outputs(LOSSES))
    features, labels = samples(form)
    x = features if "graph" in wrappers else form.arranged(own(features))
    options = {**form.fit, "shuffle": False, "verbose": 0}
    if not (form.packed and wrappers):
        return base, model.fit(x, form.like_outputs(labels), BATCH, **options).history
    neighbors = len(RANKS) if "graph" in wrappers else 0
    with tempfile.TemporaryDirectory() as folder:
        path = write_packed(folder, packed(features, labels))
        dataset = nsl.data.PackedDataset(path, BATCH, neighbors, shuffle=0)
        return base, model.fit(dataset, **options).history


@dataclass(frozen=True)
class Reference:
    """The loss of a batch in NumPy, made of outputs of the base model.

    Attributes:
        form: of the model.
        wrappers: whose terms count.
        base: the base model. Its state is left as it is.
        features: of the batch.
        labels: of the batch.
        training: whether the mode is that of training.
    """

    form: Form
    wrappers: tuple[str, ...]
    base: Any
    features: Named
    labels: Named
    training: bool = True

    def terms(self) -> Named:
        """Return the loss on the labels, and by its name what each wrapper adds."""
        outputs = self._outputs(own(self.features))
        found = {"loss": self._label_loss(outputs)}
        if "graph" in self.wrappers and self.training:
            found["scaled_graph_loss"] = MULTIPLIERS["graph"] * self._distance(outputs)
        if "adversarial" in self.wrappers:
            moved = self._label_loss(self._outputs(self.perturbed))
            found["scaled_adversarial_loss"] = MULTIPLIERS["adversarial"] * moved
            is_higher = moved > (1 + 3 * self.form.tolerance) * found["loss"]
            expect(is_higher, f"a loss above {found['loss']} of what is perturbed, not {moved}")
        return found

    @cached_property
    def perturbed(self) -> Named:
        """The features, moved along the gradient of the loss on the labels."""
        named = own(self.features)
        difference = 0.02 if self.form.policy == "float32" else 0.1
        gradients = {name: np.zeros(v.shape) for name, v in named.items() if v.dtype.kind == "f"}
        for name, gradient in gradients.items():
            for place in np.ndindex(gradient.shape):
                for sign in (1, -1):
                    moved = {**named, name: named[name].copy()}
                    moved[name][place] += sign * difference
                    gradient[place] += sign * self._label_loss(self._outputs(moved))
        flat = np.hstack([gradient.reshape(BATCH, -1) for gradient in gradients.values()])
        factors = STEP / np.linalg.norm(flat, axis=1)
        steps = {name: (gradient.T * factors).T for name, gradient in gradients.items()}
        return named | {name: named[name] + step.astype("float32") for name, step in steps.items()}

    def _outputs(self, named: Named) -> list[Any]:
        import keras

        longer = {n: np.pad(v, ((0, 0), (0, 2))) if n == "words" else v for n, v in named.items()}
        before = [(variable, keras.ops.convert_to_numpy(variable)) for variable in self.variables]
        found = keras.tree.flatten(self.base(self.form.arranged(longer), training=self.training))
        for variable, value in before:
            variable.assign(value)
        return [keras.ops.convert_to_numpy(each).astype("float64") for each in found]

    @property
    def variables(self) -> list[Any]:
        """What a pass in training mode may change."""
        return [v for v in self.base.variables if not v.trainable]

    def _label_loss(self, outputs: list[Any]) -> float:
        """Return the cross-entropy of the kind, plus the squared error of the size, if any."""
        (kind, *sizes), kinds = outputs, self.labels["kind"]
        class_weights = self.form.fit.get("class_weight", dict.fromkeys(range(3), 1.0))
        weights = np.array([class_weights[each] for each in kinds])
        entropy = -weights * np.log(kind[np.arange(BATCH), kinds])
        return float(entropy.mean() + sum(np.mean((s - self.labels["size"]) ** 2) for s in sizes))

    def _distance(self, outputs: list[Any]) -> float:
        """Return the mean squared difference to neighbours with a weight other than 0."""
        prefixes = [f"NL_nbr_{rank}_" for rank in RANKS]
        there = np.concatenate([self.features[f"{p}weight"][:, 0] != 0 for p in prefixes])
        named = {
            name: np.concatenate([self.features[p + name] for p in prefixes])
            for name in self.form.shapes
        }
        pairs = zip(outputs, self._outputs(named), strict=True)
        squares = [(np.tile(o, (len(RANKS), 1)) - other) ** 2 for o, other in pairs]
        return float(sum(square[there].mean() for square in squares))


def expect(is_so: bool, expected: str) -> None:
    """Raise unless it is so."""
    if not is_so:
        raise AssertionError(f"expected {expected}")


def check(form: Form, wrappers: tuple[str, ...]) -> str | None:
    """Check a cell; return `refused` if there is nothing to perturb and training says so."""
    import keras

    is_vain = "adversarial" in wrappers and not any(form.shapes.values())
    keras.config.set_dtype_policy(form.policy)
    try:
        (fitted if is_vain else check_training)(form, wrappers)
    except ValueError as error:
        if is_vain and "no other can be perturbed" in str(error):
            return REFUSED
        raise
    finally:
        keras.config.set_dtype_policy("float32")
    expect(not is_vain, "an error, since there is nothing to perturb")
    return None


def check_training(form: Form, wrappers: tuple[str, ...]) -> None:
    """Check a step of training, and the validation that follows it."""
    trained, history = fitted(form, wrappers)
    features, labels = samples(form)
    batch = Reference(form, wrappers, started(form), rows(features, BATCH), rows(labels, BATCH))
    check_history(batch, {n: v for n, v in history.items() if not n.startswith("val_")})
    check_weights(batch, trained)
    if "validation_split" in form.fit:
        rest = rows(features, BATCH, None), rows(labels, BATCH, None)
        found = {n.removeprefix("val_"): v for n, v in history.items() if n.startswith("val_")}
        check_history(Reference(form, wrappers, trained, *rest, training=False), found)


def check_history(reference: Reference, history: Named) -> None:
    """Check the loss and its terms."""
    terms = reference.terms()
    for name, value in {**terms, "loss": sum(terms.values())}.items():
        expect(
            abs(history[name][0] / value - 1) < reference.form.tolerance,
            f"{name} {value}, not {history[name][0]}",
        )
    scaled = {name for name in history if name.startswith("scaled_")}
    expect(scaled <= set(terms), f"no more than {sorted(terms)}, not {sorted(scaled)}")


def check_weights(reference: Reference, trained: Any) -> None:
    """Check that the step goes down the loss, and where it goes without the terms."""
    form, wrappers, base = reference.form, reference.wrappers, reference.base
    start, end = weights(base), weights(trained)
    step = [after - before for after, before in zip(end, start, strict=True)]
    expect(all(np.isfinite(each).all() for each in step), "finite weights")
    losses = []
    for part in (-0.1, 0.1):
        for variable, before, moved in zip(base.trainable_variables, start, step, strict=True):
            variable.assign(before + part * moved)
        losses.append(sum(reference.terms().values()))
    slope, expected = (losses[0] - losses[1]) / 0.2, sum((each**2).sum() for each in step)
    ratio = slope * LEARNING_RATE / expected
    expect(abs(ratio - 1) < 10 * form.tolerance, f"a slope of the step's own length, not {ratio}")
    plain = plain_weights(form)
    without = weights(fitted(form, wrappers, scale=0.0)[0])
    unit = form.tolerance * apart(plain, start)
    expect(apart(without, plain) < unit, "the weights of plain training without the terms")
    expect(apart(end, plain) > 5 * unit, "weights other than those of plain training")


@cache
def plain_weights(form: Form) -> list[Any]:
    """Return the weights after a step of plain training."""
    return weights(fitted(form, ())[0])


def weights(model: Any) -> list[Any]:
    """Return the trained weights."""
    import keras

    return [keras.ops.convert_to_numpy(each) for each in model.trainable_variables]


def apart(some: list[Any], others: list[Any]) -> float:
    """Return the largest difference."""
    return max(float(np.abs(a - b).max()) for a, b in zip(some, others, strict=True))


CHECKS = {
    f"{form}: {name}": partial(check, FORMS[form], wrappers)
    for form in FORMS
    for name, wrappers in WRAPPERS.items()
}


def main() -> int:
    """Run the checks of each backend, and print a row for each form and backend."""
    backends = [backend for backend in BACKENDS if importlib.util.find_spec(backend)]
    found = {backend: run_child(backend, __file__) for backend in backends}
    print("| form | backend | " + " | ".join(WRAPPERS) + " |")
    print("|---" * (2 + len(WRAPPERS)) + "|")
    for form in FORMS:
        for backend, results in found.items():
            cells = [results.get(f"{form}: {name}", "-") for name in WRAPPERS]
            shown = [cell if cell in ("-", OK, REFUSED) else "FAILS" for cell in cells]
            print("| " + " | ".join((form, backend, *shown)) + " |")
    failures = [
        f"{backend}: {name}: {result}"
        for backend, results in found.items()
        for name, result in results.items()
        if result not in (OK, REFUSED)
    ]
    print("\n".join(failures))
    return 1 if failures or not found else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--child"]:
        print(json.dumps({name: outcome(each) for name, each in CHECKS.items()}))
    else:
        sys.exit(main())
