"""Packing Parquet into Parquet, against DuckDB's join, and against packing TFRecord files.

    .venv/bin/python scripts/bench_tables.py
    .venv/bin/python scripts/bench_tables.py --rows 500000 --limit 1GB --rounds 3

DuckDB (`pip install duckdb`) does the same in SQL: of each labeled row the five best edges whose
targets are known, ties by id, joined with the rows of the targets, which are gathered as a list.
Whole processes, one after the other in each round, within the same memory limit.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from bench_support import nsl_tools, print_machine, time_command

from nsl_tools.formats.example_writer import write_examples

QUERY = """
import duckdb
db = duckdb.connect()
db.execute("SET memory_limit='{limit}'; SET threads=2; SET preserve_insertion_order=false")
db.execute("SET temp_directory='{folder}/spill'")
db.execute('''
COPY (
  WITH nodes AS (
    SELECT * FROM '{folder}/l.parquet' UNION ALL BY NAME SELECT * FROM '{folder}/u.parquet'
  ), best AS (
    SELECT source, target, max(weight) AS weight FROM '{folder}/g.parquet'
    WHERE target IN (SELECT id FROM nodes) AND source IN (SELECT id FROM '{folder}/l.parquet')
    GROUP BY source, target
    QUALIFY row_number() OVER (PARTITION BY source ORDER BY max(weight) DESC, target DESC) <= 5
  ), neighbors AS (
    SELECT source, list({{'weight': weight, 'node': nodes}} ORDER BY weight DESC) AS neighbors
    FROM best JOIN nodes ON nodes.id = best.target GROUP BY source
  )
  SELECT l.*, neighbors FROM '{folder}/l.parquet' AS l LEFT JOIN neighbors ON source = l.id
) TO '{folder}/duck.parquet' (FORMAT parquet)
''')
"""


def write_inputs(folder: Path, rows: int, edges: int, width: int) -> None:
    """Write labeled and unlabeled rows of varied lengths, as Parquet and TFRecord, and a graph."""
    random = np.random.default_rng(0)
    for name, first, end in (("l", 0, rows // 3), ("u", rows // 3, rows)):
        count = end - first
        lengths = random.integers(0, 30, count)
        words = np.split(random.integers(0, 30_000, lengths.sum()), np.cumsum(lengths)[:-1])
        columns = {
            "id": [f"document {i}" for i in range(first, end)],
            "words": pa.array(words, pa.list_(pa.int64())),
            "vector": pa.array(list(random.random((count, width), np.float32))),
            "title": ["x" * n for n in random.integers(0, 80, count).tolist()],
        }
        if name == "l":
            columns["label"] = random.integers(0, 20, count)
        table = pa.table(columns)
        pq.write_table(table, folder / f"{name}.parquet")
        write_examples(f"{folder}/{name}.tfr", table.to_pylist())
    ends = random.integers(0, rows, (2, edges))
    names = [pa.array([f"document {i}" for i in part.tolist()]) for part in ends]
    graph = {"source": names[0], "target": names[1], "weight": random.random(edges)}
    pq.write_table(pa.table(graph), folder / "g.parquet")


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--edges", type=int, default=3_000_000)
    parser.add_argument("--limit", default="1GB")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print_machine("pyarrow", "duckdb")
    print(
        f"{given.rows:,} rows, {given.edges:,} edges, within {given.limit}, {given.rounds} rounds"
    )
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_inputs(folder, given.rows, given.edges, given.width)
        options = ["--max-nbrs=5", f"--memory-limit={given.limit}", "-q"]
        commands = {
            "DuckDB": [sys.executable, "-c", QUERY.format(folder=folder, limit=given.limit)],
            "Parquet to Parquet": _pack(folder, ".parquet", "out.parquet", options),
            "Parquet to TFRecord": _pack(folder, ".parquet", "out.tfr", options),
            "TFRecord to TFRecord": _pack(folder, ".tfr", "out.tfr", options),
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for name, command in commands.items():
            if subprocess.run(command, check=False).returncode:
                print(f"{name}: failed", flush=True)
        for _ in range(given.rounds):
            for name, command in commands.items():
                times[name].append(time_command(command, 1).median)
    print("| what | seconds | DuckDB's time, as a multiple |\n|---|---|---|")
    for name, seconds in times.items():
        ratios = [a / b for a, b in zip(times["DuckDB"], seconds, strict=True)]
        shown = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"| {name} | {statistics.median(seconds):.2f} | {shown} |")


def _pack(folder: Path, suffix: str, output: str, options: list[str]) -> list[str]:
    inputs = [f"{folder}/l{suffix}", f"{folder}/u{suffix}", f"{folder}/g.parquet"]
    return nsl_tools("pack-nbrs", *options, *inputs, f"{folder}/{output}")


if __name__ == "__main__":
    main()
