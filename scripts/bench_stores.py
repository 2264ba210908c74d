"""How fast files of a store are read and written, and what killed runs leave there.

    .venv/bin/python scripts/bench_stores.py
    .venv/bin/python scripts/bench_stores.py --kills 100

The stores are servers on loopback, each in a process of its own: moto's S3 server, which copies
the whole object for each range that it sends, and a web server that sends ranges from the disk.
Reading: all bytes of files, as the commands read them, against `get` and `cat_file` of fsspec.
Writing: against `put`. With `--kills`, runs of build-graph and pack-nbrs are killed at random
moments instead: an object is absent, the old one or the whole new one, and after the next run
nothing else is left.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from bench_support import print_machine

from nsl_tools.files.outputs import Outputs
from nsl_tools.files.streams import CHUNK, source

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
BUCKET = "box"
SERVER = (
    "import logging, sys; logging.disable(); from moto.server import ThreadedMotoServer as S;"
    "s = S('127.0.0.1', port=0, verbose=False); s.start();"
    "print(s.get_host_and_port()[1], flush=True); sys.stdin.read()"
)


WEB = """
import http.server, os, re, sys
class Ranges(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_HEAD(self):
        self.answer(False)
    def do_GET(self):
        self.answer(True)
    def answer(self, whole):
        with open(sys.argv[1], "rb") as file:
            size = os.fstat(file.fileno()).st_size
            asked = re.match("bytes=([0-9]+)-([0-9]*)", self.headers.get("Range") or "")
            first = int(asked[1]) if asked else 0
            end = min(size, int(asked[2]) + 1) if asked and asked[2] else size
            self.send_response(206 if asked else 200)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(end - first))
            if asked:
                self.send_header("Content-Range", f"bytes {first}-{end - 1}/{size}")
            self.end_headers()
            while whole and first < end:
                first += os.sendfile(self.connection.fileno(), file.fileno(), first, end - first)
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ranges)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


def started() -> tuple[subprocess.Popen[str], Any]:
    """Start a server; return it, and fsspec's file system of it."""
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    port = next(line for line in server.stdout or () if line.strip().isdecimal()).strip()
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    import s3fs

    store = s3fs.S3FileSystem(use_listings_cache=False)
    store.mkdir(BUCKET)
    return server, store


def read(url: str) -> None:
    """Read all bytes of a file in order."""
    with source(url).open() as file:
        while file.read(CHUNK):
            pass


def write(url: str, data: memoryview) -> None:
    """Write a file in pieces."""
    with Outputs() as outputs, outputs.open(url) as file:
        for place in range(0, len(data), CHUNK):
            file.write(data[place : place + CHUNK])


def timed(action: Callable[[], object]) -> float:
    """Return the seconds that an action takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def compare(name: str, megabytes: int, actions: dict[str, Callable[[], object]], runs: int) -> None:
    """Print the seconds of each action, and how the first compares with the others."""
    times: dict[str, list[float]] = {key: [] for key in actions}
    for _ in range(runs):
        for key in random.sample(list(actions), len(actions)):
            times[key].append(timed(actions[key]))
    ours = next(iter(actions))
    for key, each in times.items():
        ratios = [other / own for own, other in zip(times[ours], each, strict=True)]
        print(
            f"| {name}, {megabytes} MB | {key} | {statistics.median(each):.2f} s "
            f"({min(each):.2f} to {max(each):.2f}) | {statistics.median(ratios):.2f} |"
        )


def bench(store: Any, megabytes: int, runs: int, folder: Path) -> None:
    """Compare reading and writing with what fsspec does."""
    data = np.random.default_rng(0).bytes(megabytes << 20)
    (folder / "x").write_bytes(data)
    store.put(f"{folder}/x", f"{BUCKET}/x")
    print("| what | how | time | its time by ours |\n|---|---|---|---|")
    compare("read", megabytes, {
        "nsl-tools": lambda: read(f"s3://{BUCKET}/x"),
        "fsspec get": lambda: store.get_file(f"{BUCKET}/x", f"{folder}/got"),
        "fsspec cat_file": lambda: store.cat_file(f"{BUCKET}/x"),
    }, runs)  # fmt: skip
    import fsspec

    server = subprocess.Popen(
        [sys.executable, "-c", WEB, f"{folder}/x"], stdout=subprocess.PIPE, text=True
    )
    url = f"http://127.0.0.1:{next(iter(server.stdout or ())).strip()}/x"
    web = fsspec.filesystem("http")
    compare("read from a web server", megabytes, {
        "nsl-tools": lambda: read(url),
        "fsspec get": lambda: web.get_file(url, f"{folder}/got"),
    }, runs)  # fmt: skip
    server.kill()
    compare("write", megabytes, {
        "nsl-tools": lambda: write(f"s3://{BUCKET}/y", memoryview(data)),
        "fsspec put": lambda: store.put_file(f"{folder}/x", f"{BUCKET}/z"),
    }, runs)  # fmt: skip


def kill(store: Any, kills: int) -> None:
    """Kill runs at random moments; look at what is left."""
    for name in ("embeddings.tfr", "labeled.tfr", "unlabeled.tfr"):
        store.put(f"{SAMPLES}/{name}", f"{BUCKET}/in/{name}")
    of = f"s3://{BUCKET}/in/"
    graph = ["build-graph", "-q", f"{of}embeddings.tfr"]
    pack = ["pack-nbrs", "-q", "--max-nbrs=5", f"{of}labeled.tfr", f"{of}unlabeled.tfr"]
    pack.append(f"s3://{BUCKET}/graph.tsv")
    jobs = [[*graph, f"s3://{BUCKET}/graph.tsv"], [*pack, f"s3://{BUCKET}/out"]]
    jobs.append([*pack, f"s3://{BUCKET}/set@4"])
    wrong, seconds, whole = 0, [], []
    for job in jobs:
        seconds.append(timed(lambda job=job: run(job)))
        whole.append(objects(store, job[-1]))
    for number in range(kills):
        job, expected = jobs[number % 3], whole[number % 3]
        is_new = number % 2
        if is_new:
            for name in expected:
                store.rm(name)
        child = subprocess.Popen([sys.executable, "-m", "nsl_tools", *job], stderr=subprocess.PIPE)
        time.sleep(random.uniform(0.2, 1.1) * seconds[number % 3])  # noqa: S311 - moments
        child.kill()
        child.communicate()
        found = objects(store, job[-1])
        wrong += any(data != expected[name] for name, data in found.items())
        run(job)
        wrong += objects(store, job[-1]) != expected
        if "@" in job[-1]:
            manifest = json.loads(store.cat_file(f"{BUCKET}/.set@4.manifest.json"))
            wrong += not manifest["complete"]
        left = store.call_s3("list_multipart_uploads", Bucket=BUCKET).get("Uploads", [])
        wrong += bool(left)
    print(f"{kills} runs killed: {wrong} times something wrong or left over")


def run(job: list[str]) -> None:
    """Run a command."""
    subprocess.run([sys.executable, "-m", "nsl_tools", *job], check=True)


def objects(store: Any, output: str) -> dict[str, bytes]:
    """Return what the objects of an output hold, by their keys; but for manifests.

    Those tell the states of the inputs, of which one is an output as well.
    """
    base = output.removeprefix("s3://").partition("@")[0].rpartition("/")[2]
    names = [name for name in store.find(BUCKET) if f"/{base}" in name]
    return {name: store.cat_file(name) for name in names}


def main() -> None:
    """Print tables, or count what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--kills", type=int, default=0)
    args = parser.parse_args()
    print_machine()
    server, store = started()
    try:
        with tempfile.TemporaryDirectory() as folder:
            if args.kills:
                kill(store, args.kills)
            else:
                bench(store, args.megabytes, args.runs, Path(folder))
    finally:
        server.kill()


if __name__ == "__main__":
    main()
