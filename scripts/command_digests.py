"""Digests of what whole commands write, to hold a change of the code against the code before it.

    .venv/bin/python scripts/command_digests.py --record before.json
    .venv/bin/python scripts/command_digests.py --compare before.json
    .venv/bin/python scripts/command_digests.py --compare before.json --data FOLDER

Each way of running a command is tried on records of varied lengths, some without some features;
with `--data`, also on the vectors of `wordnet_minilm.npz` and `mnist.npz` in that folder. What
`--recall` finds may depend on the processor, so both runs belong on one machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from varied_records import write_examples

from nsl_tools.formats.protobuf import example
from nsl_tools.formats.tfrecord.writer import write_records

NODES = {"lengths": 36_000, "optional": 12_000, "many": 1_500}
EDGES_PER_NODE = 4
BUILDS = {
    "k": "-k 10 --similarity-threshold=0.2",
    "all": "-k all --similarity-threshold=0.35",
    "threads": "-k 10 --similarity-threshold=0.2 --threads 1",
    "seeds": "-k 5 --similarity-threshold=0.2 --seeds {labeled}",
    "LSH": "-k 5 --similarity-threshold=0.2 --lsh-splits 3 --lsh-rounds 2",
    "recall": "-k 10 --similarity-threshold=-1 --recall 0.9",
    "spilled": "-k 10 --similarity-threshold=0.2 --memory-limit 32MB",
    "all, spilled": "-k all --similarity-threshold=0.35 --memory-limit 32MB",
    "recall, spilled": "-k 10 --similarity-threshold=-1 --recall 0.9 --memory-limit 32MB",
    "sharded": "-k 10 --similarity-threshold=0.2",
}
PACKS = {
    "plain": "",
    "five": "--max-nbrs 5",
    "undirected": "--max-nbrs 5 --add-undirected-edges",
    "seed-unlabeled": "--max-nbrs 3 --seed-unlabeled",
    "both": "--max-nbrs 3 --seed-unlabeled --add-undirected-edges",
    "spilled": "--max-nbrs 5 --add-undirected-edges --memory-limit 32MB",
    "gzip": "--max-nbrs 2 --compression gzip",
    "sharded": "--max-nbrs 5",
}


def run(command: str, options: str, inputs: list[str], folder: Path) -> str:
    """Run a command, and return the digest of all that it wrote."""
    out = folder / "out"
    out.mkdir()
    name = "all@3" if options.startswith("@") else "all"
    args = [*options.removeprefix("@").split(), *inputs, str(out / name)]
    subprocess.run([sys.executable, "-m", "nsl_tools", command, "-q", *args], check=True)
    found = hashlib.sha256()
    for path in sorted(out.glob("all*")):
        found.update(path.name.encode() + path.read_bytes())
    for path in out.iterdir():
        path.unlink()
    out.rmdir()
    return found.hexdigest()


def build(name: str, labeled: str, embeddings: list[str], folder: Path) -> str:
    """Return the digest of a graph of embeddings."""
    options = BUILDS[name].format(labeled=labeled)
    return run("build-graph", "@" * (name == "sharded") + options, embeddings, folder)


def pack(name: str, inputs: list[str], folder: Path) -> str:
    """Return the digest of packed examples."""
    return run("pack-nbrs", "@" * (name == "sharded") + PACKS[name], inputs, folder)


def write_inputs(kind: str, folder: Path) -> list[str]:
    """Write labeled and unlabeled examples and a graph of them; return their paths."""
    random = np.random.default_rng([7, *kind.encode()])
    paths = [str(folder / name) for name in ("labeled", "unlabeled", "graph")]
    count = NODES[kind]
    # Ids of 1 to 60 bytes.
    lengths = random.integers(0, 50, count)
    ids = [b"%d" % i + b"x" * int(n) for i, n in enumerate(lengths)]
    write_examples(paths[0], kind, ids[: count // 3], random)
    write_examples(paths[1], kind, ids[count // 3 :], random)
    ends = random.integers(0, count, (EDGES_PER_NODE * count, 2)).tolist()
    weights = random.integers(-9, 10, len(ends)).tolist()
    lines = [b"%b\t%b\t%d\n" % (ids[a], ids[b], w) for (a, b), w in zip(ends, weights, strict=True)]
    Path(paths[2]).write_bytes(b"".join(lines))
    return paths


def write_vectors(source: Path, folder: Path) -> str:
    """Write the vectors of a data set as examples; return the path."""
    with np.load(source) as arrays:
        name = "embedding" if "embedding" in arrays else "x_train"
        vectors = arrays[name].reshape(len(arrays[name]), -1).astype(np.float32)
    path = str(folder / "vectors")
    payloads = (
        example.encode(
            {b"id": example.encode_bytes([b"%d" % i]), b"embedding": example.encode_floats(vector)}
        )
        for i, vector in enumerate(vectors)
    )
    write_records(path, payloads, len(vectors))
    return path


def digests_of_records(kind: str) -> dict[str, str]:
    """Return the digest of each way of running each command on records of one kind."""
    with tempfile.TemporaryDirectory() as place:
        paths = write_inputs(kind, Path(place))
        found = {
            f"{kind}, build-graph, {name}": build(name, paths[0], paths[:2], Path(place))
            for name in BUILDS
        }
        for name in PACKS:
            found[f"{kind}, pack-nbrs, {name}"] = pack(name, paths, Path(place))
    return found


def digests_of_data(source: Path) -> dict[str, str]:
    """Return the digest of each way of building a graph of a data set, and of packing it."""
    with tempfile.TemporaryDirectory() as place:
        path = write_vectors(source, Path(place))
        # All pairs of so many nodes above a low threshold would be gigabytes of text.
        names = [name for name in BUILDS if not name.startswith(("all", "seeds"))]
        found = {
            f"{source.stem}, build-graph, {name}": build(name, path, [path], Path(place))
            for name in names
        }
        graph = str(Path(place) / "graph")
        command = [sys.executable, "-m", "nsl_tools", "build-graph", "-q", path, graph]
        subprocess.run(command, check=True)
        for name in ("five", "undirected"):
            found[f"{source.stem}, pack-nbrs, {name}"] = pack(name, [path, "", graph], Path(place))
    return found


def main() -> int:
    """Record digests, or compare with those recorded; return 1 if any differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", type=Path, metavar="FILE")
    parser.add_argument("--compare", type=Path, metavar="FILE")
    parser.add_argument("--data", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    found = {}
    for kind in NODES:
        found |= digests_of_records(kind)
    if given.data:
        for name in ("wordnet_minilm.npz", "mnist.npz"):
            found |= digests_of_data(given.data / name)
    if given.record:
        given.record.write_text(json.dumps(found, indent=1) + "\n")
    known = json.loads(given.compare.read_text()) if given.compare else found
    for name, value in found.items():
        print(f"{name}: {value[:16]} {'the same' if known.get(name) == value else 'DIFFERS'}")
    return int(any(known.get(name) != value for name, value in found.items()))


if __name__ == "__main__":
    sys.exit(main())
