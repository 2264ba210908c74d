"""Few labels: what a graph is worth when labels are scarce, on Cora and on MNIST.

    python scripts/claim_few_labels.py cora cora.npz --log cora.jsonl
    python scripts/claim_few_labels.py mnist mnist.npz --log mnist.jsonl

For each share of labels and each draw of the labeled samples, the same small network is
trained on the labels alone (base), with the graph on the labeled samples (what NSL packs),
with the graph on all samples (`pack-nbrs --seed-unlabeled`), on labels that were spread along
it (`spread-labels`, `pack-nbrs --soft-labels`); and once on all labels without a graph.
Data go the way a user's do: TFRecord files, `build-graph` (Cora has a graph of its own:
citations), `pack-nbrs`, `make_dataset`.

Test samples choose nothing: for each row and share, the setting and the number of epochs
are those of the best mean accuracy on the validation samples over all draws; the table
has the accuracy of just these on the test samples. Runs that are in the log already are not
repeated.

Arrays of `cora.npz`: `x_data`, `x_indices`, `x_indptr`, `x_shape` (CSR), `y`, `edges`, `val`,
`test`. Of `mnist.npz`: `x_train`, `y_train`, `x_test`, `y_test`, as `keras.datasets.mnist`
has it.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import nsl_tools as nsl
from nsl_tools.formats.protobuf import example
from nsl_tools.formats.tfrecord.writer import write_records

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

MAX_NEIGHBORS = 5
BASE, LABELED, ALL, UNSEEN = "base", "labeled seeds", "all seeds", "all seeds, test unseen"
SPREAD, SPREAD_UNSEEN = "spread labels", "spread labels, test unseen"
MANY_SEEDS = {ALL, UNSEEN, SPREAD, SPREAD_UNSEEN}
EVERY_LABEL = 1.0
MANY = 10_000


@dataclass(frozen=True)
class Setting:
    """What validation chooses among."""

    learning_rate: float
    multiplier: float = 0.0
    dropout: float = 0.0
    alpha: float = 0.0  # of spread-labels


@dataclass(frozen=True)
class Problem:
    """A data set, its split, its graph and how to train on it.

    Attributes:
        features: float32 `[n, d]`.
        labels: integers `[n]`.
        pool: rows that may be labeled where labels are few, and the seeds of the graph.
        every: rows with a label where all have one.
        validation: rows that choose the setting.
        test: rows that the table is about.
        edges: row numbers `[m, 2]` of a given graph, undirected; none: build one.
        transductive: whether test and validation rows are seeds without label too.
        labeled: number of labels by the name of their share.
        settings: what validation chooses among, by row of the table.
        epochs: longest training on few samples, and on many.
        hidden: units of the network's hidden layer.
    """

    features: Array
    labels: Array
    pool: Array
    every: Array
    validation: Array
    test: Array
    edges: Array | None
    transductive: bool
    labeled: dict[float, int]
    settings: dict[str, list[Setting]]
    epochs: tuple[int, int]
    hidden: int


Run: TypeAlias = tuple[str, float, int, Setting]
"""Row of the table, share of labels, draw, setting."""


def cora(path: str) -> Problem:
    """Return Cora: papers, the words in them, and who cites whom; Planetoid's split."""
    with np.load(path) as arrays:
        data = {name: arrays[name] for name in arrays}
    count, words = data["x_shape"]
    features = np.zeros((count, words), np.float32)
    features[np.repeat(np.arange(count), np.diff(data["x_indptr"])), data["x_indices"]] = 1
    held_out = np.concatenate([data["val"], data["test"]])
    pool = np.setdiff1d(np.arange(count), held_out)
    graph = [Setting(0.01, multiplier) for multiplier in (0.01, 0.1, 1.0)]
    spread = [Setting(0.01, 0.0, 0.5, alpha) for alpha in (0.5, 0.8, 0.9)]
    return Problem(
        features,
        data["y"],
        pool,
        pool,
        data["val"],
        data["test"],
        data["edges"],
        transductive=True,
        labeled={share: round(share * count) for share in (0.01, 0.05, 0.1)},
        settings={
            BASE: [Setting(0.01), Setting(0.01, dropout=0.5)],
            **dict.fromkeys((LABELED, ALL, UNSEEN), graph),
            SPREAD: spread,
            SPREAD_UNSEEN: spread[1:2],
        },
        epochs=(30, 30),
        hidden=64,
    )


def mnist(path: str, pool: int) -> Problem:
    """Return MNIST: validation images are the last 10,000 for training, the pool is the first."""
    with np.load(path) as arrays:
        images = np.concatenate([arrays["x_train"], arrays["x_test"]])
        labels = np.concatenate([arrays["y_train"], arrays["y_test"]])
    labeled = [Setting(0.001, multiplier) for multiplier in (1.0, 10.0)]
    every = [Setting(0.01, multiplier) for multiplier in (1.0, 3.0)]
    spread = [Setting(0.001, 0.0, dropout, 0.9) for dropout in (0.0, 0.2)]
    return Problem(
        images.reshape(len(images), -1).astype(np.float32) / 255,
        labels,
        np.arange(pool),
        np.arange(50_000),
        np.arange(50_000, 60_000),
        np.arange(60_000, 70_000),
        edges=None,
        transductive=False,
        labeled={share: round(share * 50_000) for share in (0.001, 0.01, 0.1)},
        settings={
            BASE: [Setting(0.001), Setting(0.01)],
            LABELED: labeled,
            ALL: every,
            SPREAD: spread,
        },
        epochs=(30, 15),
        hidden=128,
    )


def write(path: Path, problem: Problem, rows: Array, name: str = "x", *, label: bool) -> str:
    """Write an example for each row: its id, its features as `name` and, if asked, its label."""

    def payloads() -> Iterator[bytes]:
        for row in rows.tolist():
            entries = {b"id": example.encode_bytes([b"%d" % row])}
            entries[name.encode()] = example.encode_floats(problem.features[row])
            if label:
                entries[b"label"] = example.encode_int64([int(problem.labels[row])])
            yield example.encode(entries)

    write_records(str(path), payloads(), len(rows))
    return str(path)


def nsl_tools(*arguments: str) -> None:
    """Run one of the commands."""
    subprocess.run([sys.executable, "-m", "nsl_tools", *arguments, "--quiet"], check=True)


def make_graph(problem: Problem, folder: Path) -> str:
    """Write the graph: the given edges, or the nearest neighbours by the features' cosine."""
    path = str(folder / "graph.tsv")
    if problem.edges is not None:
        np.savetxt(path, problem.edges, fmt="%d", delimiter="\t")
        return path
    embeddings = write(folder / "embeddings.tfr", problem, problem.pool, "embedding", label=False)
    options = (f"--neighbors={MAX_NEIGHBORS}", "--similarity-threshold=0")
    nsl_tools("build-graph", *options, embeddings, path)
    return path


@dataclass(frozen=True)
class Packed:
    """Training data as `fit` takes it: features by name, labels and sample weights."""

    x: dict[str, Array]
    y: Array
    weight: Array


def read(path: str, count: int, max_neighbors: int, *, label: str, weighted: bool) -> Packed:
    """Return a packed file of `count` samples as one batch.

    Labels get back the weight that dividing by all seeds takes from them.
    """
    dataset = nsl.keras.make_dataset(
        path,
        batch_size=count,
        max_neighbors=max_neighbors,
        label=label,
        label_weight="NL_label_weight" if weighted else None,
        features=["x"],
        shuffle=0,
    )
    features, label, *weights = next(iter(dataset))
    weight = weights[0].numpy() if weights else np.ones(count, np.float32)
    x = {name: values.numpy() for name, values in features.items()}
    return Packed(x, label.numpy(), weight * (count / weight.sum()))


def pack(
    problem: Problem, row: str, labeled: Array, graph: str, folder: Path, alpha: float = 0.0
) -> Packed:
    """Return what the row trains on; `alpha` is that of spread-labels, 0 for none."""
    others = np.setdiff1d(problem.pool, labeled) if row != BASE else problem.pool[:0]
    if problem.transductive and row in {LABELED, ALL, SPREAD}:
        others = np.concatenate([others, problem.validation, problem.test])
    files = (
        write(folder / "labeled.tfr", problem, labeled, label=True),
        write(folder / "unlabeled.tfr", problem, others, label=False) if len(others) else "",
    )
    merged = str(folder / "merged.tfr")
    all_seeds = row in MANY_SEEDS
    # What was spread along the graph needs no neighbours beside it.
    neighbors = MAX_NEIGHBORS if row in {LABELED, ALL, UNSEEN} else 0
    options = [f"--max-nbrs={neighbors}", "--add-undirected-edges"][: 1 + problem.transductive]
    options += ["--seed-unlabeled"] * all_seeds
    if alpha:
        soft = str(folder / "soft.tfr")
        classes = int(problem.labels.max()) + 1  # few labels may not show the last one
        options_of_spread = (f"--alpha={alpha}", f"--classes={classes}")
        nsl_tools("spread-labels", *options_of_spread, files[0], graph, soft)
        options.append(f"--soft-labels={soft}")
    nsl_tools("pack-nbrs", *options, *files, graph, merged)
    count = len(labeled) + len(others) * all_seeds
    label = "NL_soft_label" if alpha else "label"
    return read(merged, count, neighbors, label=label, weighted=all_seeds)


def build_base(problem: Problem, dropout: float) -> keras.Model:
    """Return a network with one hidden layer."""
    inputs = [keras.Input((problem.features.shape[1],), name="x")]
    noise = [[keras.layers.Dropout(dropout)] * bool(dropout) for _ in range(2)]
    hidden = keras.layers.Dense(problem.hidden, activation="relu")
    classes = int(problem.labels.max()) + 1
    output = keras.layers.Dense(classes, activation="softmax")
    return keras.Sequential([*inputs, *noise[0], hidden, *noise[1], output])


class Curve(keras.callbacks.Callback):  # type: ignore[misc,unused-ignore]
    """Records the accuracy on validation and on test samples after each epoch."""

    def __init__(self, base: keras.Model, problem: Problem) -> None:
        super().__init__()
        self.points: list[tuple[float, float]] = []
        self._base, self._problem = base, problem

    def on_epoch_end(self, _epoch: int, _logs: Any = None) -> None:
        """Add a point."""
        rows = np.concatenate([self._problem.validation, self._problem.test])
        outputs = self._base(self._problem.features[rows], training=False)
        right = keras.ops.convert_to_numpy(outputs).argmax(axis=1) == self._problem.labels[rows]
        validation, test = np.split(right, [len(self._problem.validation)])
        self.points.append((float(validation.mean()), float(test.mean())))


def train(
    problem: Problem, data: Packed, setting: Setting, seed: int, *, many: bool
) -> list[tuple[float, float]]:
    """Train a network and return its accuracy on validation and test samples by epoch."""
    keras.utils.set_random_seed(seed)
    base = build_base(problem, setting.dropout)
    config = nsl.configs.make_graph_reg_config(
        max_neighbors=MAX_NEIGHBORS if setting.multiplier else 0,
        multiplier=setting.multiplier,
        sum_over_axis=-1,
    )
    model = nsl.keras.GraphRegularization(base, config)
    optimizer = keras.optimizers.Adam(setting.learning_rate)
    soft = data.y.ndim > 1
    model.compile(optimizer, f"{'' if soft else 'sparse_'}categorical_crossentropy")
    curve = Curve(base, problem)
    model.fit(
        data.x,
        data.y,
        sample_weight=data.weight,
        batch_size=512 if many else 64,
        epochs=problem.epochs[many],
        callbacks=[curve],
        verbose=0,
    )
    return curve.points


class Log:
    """The curve of each run, in memory and as lines of JSON in a file."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self.curves: dict[Run, Array] = {}
        for line in self._path.read_text().splitlines() if self._path.exists() else []:
            *run, setting, points = json.loads(line)
            self.curves[(*run, Setting(**setting))] = np.array(points)  # type: ignore[index]

    def add(self, run: Run, points: list[tuple[float, float]]) -> None:
        """Add a run."""
        *start, setting = run
        with self._path.open("a") as file:
            file.write(json.dumps([*start, asdict(setting), points]) + "\n")
        self.curves[run] = np.array(points)

    def of(self, row: str, share: float) -> dict[Setting, Array]:
        """Return the curves of a row's settings, `[draw, epoch, (validation, test)]`."""
        found: dict[Setting, list[Array]] = {}
        for (its_row, its_share, _, setting), curve in self.curves.items():
            if (its_row, its_share) == (row, share):
                found.setdefault(setting, []).append(curve)
        return {setting: np.array(curves) for setting, curves in found.items()}


def chosen(curves: dict[Setting, Array]) -> tuple[Setting, int, Array]:
    """Return setting and epoch of the best mean on validation samples, and its test accuracies."""
    best = {setting: curve[:, :, 0].mean(axis=0) for setting, curve in curves.items()}
    setting = max(best, key=lambda setting: best[setting].max())
    epoch = int(best[setting].argmax())
    return setting, epoch, curves[setting][:, epoch, 1]


def measure(problem: Problem, draws: int, rows: Collection[str], log: Log) -> None:
    """Train every setting of some rows on every share and draw that the log lacks."""
    with tempfile.TemporaryDirectory() as folder:
        graph = make_graph(problem, Path(folder))
        for draw in range(draws):
            order = np.random.default_rng(draw).permutation(problem.pool)
            for share, count in problem.labeled.items():
                for row in (row for row in problem.settings if row in rows):
                    measure_row(problem, (row, share, draw), order[:count], graph, log)
            measure_row(problem, (BASE, EVERY_LABEL, draw), problem.every, graph, log)


def measure_row(
    problem: Problem, run: tuple[str, float, int], labeled: Array, graph: str, log: Log
) -> None:
    """Train with every setting of a row that the log lacks."""
    row, share, draw = run
    missing = [s for s in problem.settings[row] if (*run, s) not in log.curves]
    if not missing:
        return
    packed: dict[float, Packed] = {}
    for setting in missing:
        if setting.alpha not in packed:
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder)
                packed[setting.alpha] = pack(
                    problem, row, np.sort(labeled), graph, place, setting.alpha
                )
        data = packed[setting.alpha]
        start = time.perf_counter()
        points = train(problem, data, setting, draw, many=row in MANY_SEEDS or len(data.y) > MANY)
        log.add((*run, setting), points)
        seconds = time.perf_counter() - start
        best = max(points)
        print(f"{row}, {share:.1%}, draw {draw}, {setting}: {best} in {seconds:.0f} s", flush=True)


def table(problem: Problem, log: Log) -> str:
    """Return mean test accuracies and their standard deviation over draws, in Markdown."""
    lines = ["| labels | row | test accuracy | chosen on validation samples |", "|---" * 4 + "|"]
    for share, count in {**problem.labeled, EVERY_LABEL: 0}.items():
        name = f"{count} ({share:.1%})" if count else f"all {len(problem.every)}"
        for row in problem.settings:
            if curves := log.of(row, share):
                setting, epoch, test = chosen(curves)
                spread = f"{test.mean():.3f} +- {test.std(ddof=1) if len(test) > 1 else 0:.3f}"
                lines.append(f"| {name} | {row} | {spread} | {described(setting, epoch)} |")
    return "\n".join(lines)


def described(setting: Setting, epoch: int) -> str:
    """Return what was chosen, in words."""
    graph = f"multiplier {setting.multiplier:g}, " if setting.multiplier else ""
    graph += f"alpha {setting.alpha:g}, " if setting.alpha else ""
    return f"{graph}dropout {setting.dropout:g}, rate {setting.learning_rate:g}, {epoch + 1} epochs"


def main() -> None:
    """Run what the log lacks and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", choices=("cora", "mnist"))
    parser.add_argument("path", help="the data as an .npz file")
    parser.add_argument("--log", required=True, help="file of JSON lines to add the runs to")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--rows", action="append", help="of the table; all by default")
    parser.add_argument("--pool", type=int, default=20_000, help="MNIST's training images")
    options = parser.parse_args()
    is_cora = options.data == "cora"
    problem = cora(options.path) if is_cora else mnist(options.path, options.pool)
    versions = f"Keras {keras.__version__} on {keras.backend.backend()}, NumPy {np.__version__}"
    print(f"{versions}, {platform.machine()}, {os.cpu_count()} cores; {vars(options)}")
    log = Log(options.log)
    measure(problem, options.draws, options.rows or list(problem.settings), log)
    print(table(problem, log))


if __name__ == "__main__":
    main()
