"""Damaged files of every format, given to the commands: each is refused in one line, or read.

What a flipped bit makes of a number may be another number: where a format has no checksum,
nobody can tell. But no command ends in a traceback, in silence, in another file's name, or leaves
anything behind.
"""

from __future__ import annotations

import json
import random
import shutil
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from judge import call
from support import drawn

from nsl_tools.formats.example_writer import write_examples

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNT, WIDTH = 12, 4
VECTORS = np.random.default_rng(0).integers(-8, 8, (COUNT, WIDTH)).astype(np.float32) + 0.5
IDS = [f"n{i}" for i in range(COUNT)]
TABLE = pa.table(
    {
        "id": IDS,
        "embedding": pa.array(list(VECTORS), pa.list_(pa.float32())),
        "text": [None if i % 3 == 0 else "w" * i for i in range(COUNT)],
        "tags": [[1] * (i % 4) for i in range(COUNT)],
    }
)
BUILD = ["build-graph", "-k3", "--similarity-threshold=-1"]
PACK = ["pack-nbrs", "--max-nbrs=2"]
OUT = Path("out")


def write_matrices() -> None:
    """Write the vectors in all formats of matrices."""
    np.save("rows.npy", VECTORS)
    np.save("columns.npy", np.asfortranarray(VECTORS))
    np.savez("v.npz", VECTORS)
    np.savez_compressed("small.npz", VECTORS)
    with h5py.File("v.h5", "w") as file:
        file["x"] = VECTORS
    with h5py.File("small.h5", "w") as file:
        file.create_dataset("x/y", data=VECTORS.astype("f2"), chunks=(4, 4), compression=1)
    places = {"dtype": "F32", "shape": [COUNT, WIDTH], "data_offsets": [0, VECTORS.nbytes]}
    header = json.dumps({"x": places}).encode()
    size = struct.pack("<Q", len(header))
    Path("v.safetensors").write_bytes(size + header + VECTORS.tobytes())
    Path("v.fbin").write_bytes(struct.pack("<II", COUNT, WIDTH) + VECTORS.tobytes())


def write_tables() -> None:
    """Write ids, vectors and other features in all formats of tables."""
    pq.write_table(TABLE, "v.parquet")
    pq.write_table(
        TABLE, "groups.parquet", compression="zstd", write_page_checksum=True, row_group_size=5
    )
    pyarrow.feather.write_feather(TABLE, "v.feather", compression="lz4")
    with pa.ipc.new_stream("v.arrow", TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=5)
    TABLE.to_pandas().to_json("v.jsonl", orient="records", lines=True)
    columns = {f"e{place}": VECTORS[:, place] for place in range(WIDTH)}
    pd.DataFrame({"id": IDS, **columns}).to_csv("v.csv", index=False)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same nodes, and the same graph, in every format."""
    folder = tmp_path_factory.mktemp("good")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_all()
    return folder


@pytest.fixture(autouse=True)
def files(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder: a copy of the good one."""
    shutil.copytree(good, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)


def write_all() -> None:
    """Write everything to the current folder."""
    write_matrices()
    write_tables()
    rows = ({"id": i, "embedding": v} for i, v in zip(IDS, VECTORS, strict=True))
    write_examples("v.tfr", rows)
    Path("ids.txt").write_text("".join(f"{i}\n" for i in IDS))
    for name in ("g.tsv", *GRAPHS):
        assert call([*BUILD, "v.tfr", name]).code == 0


MATRICES = (
    "v.tfr", "rows.npy", "columns.npy", "v.npz", "small.npz", "v.h5", "small.h5", "v.safetensors",
    "v.fbin",
)  # fmt: skip
TABLES = ("v.parquet", "groups.parquet", "v.feather", "v.arrow", "v.jsonl", "v.csv")
GRAPHS = {
    "g.tsv.gz": [], "g.tsv.zst": [], "g.parquet": [],
    "g.npz": ["--graph-ids=ids.txt"], "g.h5": ["--graph-ids=ids.txt"],
}  # fmt: skip
WIDE = {"v.csv": ["--embedding-columns=e*"]}
CASES = {
    **{f"embeddings {name}": (name, [*BUILD, name]) for name in MATRICES},
    **{
        f"embeddings {name}": (name, [*BUILD, *WIDE.get(name, []), name]) for name in TABLES
    },
    **{f"examples {name}": (name, [*PACK, name, "", "g.tsv"]) for name in TABLES},
    **{f"graph {name}": (name, [*PACK, *ids, "v.tfr", "", name]) for name, ids in GRAPHS.items()},
    "ids": ("ids.txt", [*BUILD, "--ids=ids.txt", "rows.npy"]),
}  # fmt: skip


def damaged(data: bytes, draws: random.Random, count: int) -> Iterator[bytes]:
    """Yield cut files, files of which some bytes are others, and files of other lengths."""
    size = len(data)
    yield from (data + b"x", data * 2, data[: size // 2] + data, bytes(size), b"", b"\xff" * size)
    for _ in range(count // 4):
        yield data[: draws.randrange(size)]
    for _ in range(count - count // 4):
        wrong = bytearray(data)
        for _ in range(draws.choice((1, 1, 1, 3))):
            anywhere = draws.randrange(size)
            # What tells of all that follows is at the start, or at the end.
            place = draws.choice((anywhere, anywhere % 200, size - 1 - anywhere % 400)) % size
            wrong[place] = draws.choice((wrong[place] ^ 1 << draws.randrange(8), 0, 128, 255))
        yield bytes(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_damaged_file_is_refused_in_one_line_or_read(case: str) -> None:
    name, args = CASES[case]
    data = Path(name).read_bytes()
    assert call([*args, "out"]).code == 0
    known = {path.name for path in Path().iterdir()} - {"out"}
    draws = random.Random(case)  # noqa: S311 - no secret
    for wrong in damaged(data, draws, drawn(80)):
        Path(name).write_bytes(wrong)
        OUT.unlink(missing_ok=True)
        outcome = call([*args, "out"])
        if outcome.code:
            (line,) = (line for line in outcome.lines if "error:" in line)
            assert line == outcome.lines[-1]
            assert line.isprintable()
            assert "unexpected" not in line
            # The examples may be wrong, so that the graph knows none of them; and so on.
            assert any(word in line for word in (name, "g.tsv", "--")), line
        assert OUT.exists() == (not outcome.code)
        assert {path.name for path in Path().iterdir()} - {"out"} == known


@pytest.mark.parametrize("metric", ["distance", np.bytes_("cosine"), 7])
def test_a_graph_of_another_measure_is_refused(metric: object) -> None:
    # A text of varying length among them: in a damaged file, libhdf5 would search without an end.
    with h5py.File("g.h5", "r+") as file:
        file["dists"].attrs["weights"] = metric
    outcome = call([*PACK, "--graph-ids=ids.txt", "v.tfr", "", "g.h5", "out"])
    assert outcome.code == 1
    assert "the attribute 'weights' of dists is" in outcome.lines[-1]


@pytest.mark.parametrize("name", ["v.csv", "v.jsonl", "v.arrow", "v.feather"])
def test_a_name_of_a_column_that_is_not_utf8(name: str) -> None:
    data = Path(name).read_bytes()
    column = b"e1" if name == "v.csv" else b"tags"
    Path(name).write_bytes(data.replace(column, b"\xff\xfe" + column[2:]))
    for args in ([*BUILD, name, "out"], [*PACK, name, "", "g.tsv", "out"]):
        outcome = call(args)
        assert outcome.code == 1
        assert f"error: {name}: " in outcome.lines[-1]
        assert "UTF-8" in outcome.lines[-1] or "UTF8" in outcome.lines[-1]
