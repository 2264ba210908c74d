"""Digests of what both commands write, on many small inputs of each kind.

Before a change of how records are parsed or packed, and after it, the bytes are the same:

    .venv/bin/python scripts/output_digests.py            # against scripts/output_digests.json
    .venv/bin/python scripts/output_digests.py --record   # anew, where outputs are to change
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from varied_records import KINDS, write_examples

from nsl_tools.build_graph.pipeline import build_graph
from nsl_tools.options import BuildGraphOptions, PackOptions
from nsl_tools.pack_nbrs.pipeline import pack_nbrs
from nsl_tools.progress import Progress

Random = np.random.Generator

RECORDED = Path(__file__).with_suffix(".json")
INPUTS = 500
QUIET = Progress(quiet=True)


def digest(kind: str, count: int) -> str:
    """Return the digest of all that is written for so many inputs of a kind."""
    found = hashlib.sha256()
    for number in range(count):
        with tempfile.TemporaryDirectory() as folder:
            random = np.random.default_rng([number, *kind.encode()])
            for output in outputs(Path(folder), kind, random):
                found.update(len(output).to_bytes(8, "little") + output)
    return found.hexdigest()


def outputs(folder: Path, kind: str, random: Random) -> list[bytes]:
    """Write one input of a kind, and return what the commands make of it."""
    paths = [str(folder / name) for name in ("labeled", "unlabeled", "graph")]
    few = kind in ("images", "many")
    seeds, others = (int(count) for count in random.integers(1, 12 if few else 40, 2))
    ids = [b"%d" % (7 * i) for i in range(seeds + others)]
    write_examples(paths[0], kind, ids[:seeds], random)
    write_examples(paths[1], kind, ids[seeds:], random)
    edges = int(random.integers(1, 200))
    ends = random.integers(0, len(ids), (edges, 2)).tolist()
    weights = random.integers(-9, 10, edges).tolist()
    lines = [b"%b\t%b\t%d\n" % (ids[a], ids[b], w) for (a, b), w in zip(ends, weights, strict=True)]
    Path(paths[2]).write_bytes(b"".join(lines))
    pack_nbrs(*paths, str(folder / "merged"), packing(random), QUIET)
    graph = BuildGraphOptions(k=5, similarity_threshold=-1)
    build_graph(paths[:2], str(folder / "built"), graph, progress=QUIET)
    return [(folder / name).read_bytes() for name in ("merged", "built")]


def packing(random: Random) -> PackOptions:
    """Return options, any of them."""
    options = PackOptions(
        max_neighbors=[None, 0, 1, 5, 15][random.integers(0, 5)],
        add_undirected_edges=bool(random.integers(0, 2)),
        seed_unlabeled=bool(random.integers(0, 2)),
    )
    return replace(options, memory_limit=[None, 32_000_000][random.integers(0, 2)])


def main() -> int:
    """Print digests; return 1 if one is not as it was recorded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--inputs", type=int, default=INPUTS, help="of each kind")
    given = parser.parse_args()
    found = {kind: digest(kind, given.inputs) for kind in KINDS}
    key = str(given.inputs)
    known = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    if given.record:
        RECORDED.write_text(json.dumps({**known, key: found}, indent=1) + "\n")
        return 0
    for kind, value in found.items():
        right = value == known.get(key, {}).get(kind)
        print(f"{kind}: {value[:16]} {'as recorded' if right else 'DIFFERS'}")
    return 0 if known.get(key) == found else 1


if __name__ == "__main__":
    sys.exit(main())
