"""Write docs/pages/sample_graph.html: what `nsl-tools inspect` shows of the samples' graph.

The labels are those of all digits, from scikit-learn. With `--screenshot` and Chromium, the
picture of the README as well.

    python scripts/make_pages.py [--screenshot]
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.datasets import load_digits

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "pages"


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--screenshot", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(ROOT / "data" / "samples" / "embeddings.tfr", folder)
        digits = load_digits().target
        ids = [f"digit-{number:04d}" for number in range(len(digits))]
        labels = pa.table({"id": ids, "label": [f"digit {digit}" for digit in digits]})
        pq.write_table(labels, f"{folder}/labels.parquet")
        run(folder, "build-graph -q embeddings.tfr graph.tsv")
        options = "--labels=labels.parquet --examples=embeddings.tfr --html=sample_graph.html"
        run(folder, f"inspect -q graph.tsv {options}")
        shutil.copy(f"{folder}/sample_graph.html", PAGES)
    if given.screenshot:
        screenshot(PAGES / "sample_graph.html")


def run(folder: str, command: str) -> None:
    """Run a command of nsl-tools in a folder."""
    words = [sys.executable, "-m", "nsl_tools", *command.split()]
    subprocess.run(words, cwd=folder, check=True)


def screenshot(page: Path) -> None:
    """Take a picture of the first screen of a page, beside it."""
    browser = ["chromium", "--headless", "--no-sandbox", "--hide-scrollbars", "--disable-gpu"]
    picture = f"--screenshot={page.with_suffix('.png')}"
    subprocess.run([*browser, "--window-size=1100,1000", picture, page.as_uri()], check=True)


if __name__ == "__main__":
    main()
