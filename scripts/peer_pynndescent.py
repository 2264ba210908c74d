"""What a user of pynndescent would write for what build-graph does: `.npy` in, TSV out.

    python scripts/peer_pynndescent.py vectors.npy ids.txt graph.tsv '{"n_neighbors": 15}'

`bench_graph.py approximate` times it as a whole process. The ten nearest of each row,
without itself; weights are pynndescent's own, in float32.
"""

import json
import sys

import numpy as np
import pyarrow as pa
from pyarrow import csv
from pynndescent import NNDescent

K = 10


def main(vectors_path: str, ids_path: str, graph: str, settings: str) -> None:
    """Build the graph."""
    vectors = np.load(vectors_path)
    with open(ids_path, encoding="utf-8") as file:
        ids = pa.array(file.read().splitlines())
    index = NNDescent(vectors, metric="cosine", random_state=0, **json.loads(settings))
    targets, distances = index.neighbor_graph
    others = targets != np.arange(len(vectors))[:, np.newaxis]
    others &= others.cumsum(axis=1) <= K
    columns = [
        ids.take(pa.array(np.nonzero(others)[0])),
        ids.take(pa.array(targets[others])),
        1 - distances[others],
    ]
    options = csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    csv.write_csv(pa.table(columns, ["source", "target", "weight"]), graph, options)


if __name__ == "__main__":
    main(*sys.argv[1:])
