"""What tests of files of graphs share."""

import io

import numpy as np
import pyarrow as pa

from nsl_tools.formats.graphs.writer import GraphForm, GraphWriter

NODES = 9
IDS = pa.array([f"node {i}".encode() for i in range(NODES)], pa.binary())
Edge = tuple[int, int, float]
EDGES: list[Edge] = [
    (1, 4, 0.9), (1, 2, 0.5), (2, 1, 1.0), (5, 8, 0.1234564), (5, 7, 0.0), (5, 1, -0.25),
    (7, 0, -1.0),
]  # fmt: skip


def written(
    kind: type[GraphWriter], edges: list[Edge], cuts: list[int], form: GraphForm | None = None
) -> bytes:
    """Return the file of edges, given to the writer in parts that start at `cuts`."""
    file = io.BytesIO()
    writer = kind(file, form or GraphForm(IDS, range(NODES), k=3))
    for first, end in zip([0, *cuts], [*cuts, len(edges)], strict=True):
        part = np.array(edges[first:end], np.float64).reshape(-1, 3)
        writer.add(part[:, 0].astype(np.int64), part[:, 1].astype(np.int64), part[:, 2].copy())
    writer.finish()
    return file.getvalue()


def as_shown(edges: list[Edge], *, distances: bool = False) -> list[tuple[int, int, np.float32]]:
    """Return edges with their weights as float32 of six decimals."""
    shown = [round(1 - float(f"{w:.6f}"), 6) if distances else float(f"{w:.6f}") for *_, w in edges]
    pairs = [(s, t) for s, t, _ in edges]
    return [(s, t, np.float32(w)) for (s, t), w in zip(pairs, shown, strict=True)]
