"""No memory and tiny blocks, in this process and in its children: all goes by scratch files.

`pytest --spill ROWS` runs any test so. `nsl_tools.tuning.TUNING` gets other sizes: here by
monkeypatch, in each child process that starts Python by `spilled/sitecustomize.py`, which
Python runs first where it is on the path. So the command line is tested like this too,
without a hook in it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from nsl_tools.progress import Progress
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

ROWS = "NSL_TOOLS_TESTS_SPILL"
"""Environment variable: how many rows a block is to have."""


def sizes(rows: int) -> dict[str, float]:
    """Return the sizes to change: `rows` are a block, a batch, a run or a piece, or less."""
    return {
        "memory_share": 0,
        "batch_bytes": 40 * rows,
        "graph_bytes": 12 * rows,
        "lines_bytes": 20 * rows,
        "packed_bytes": 100 * rows,
        "alike_records": 0,
        "steps": rows,
        "gap_bytes": 64,
        "gather_bytes": 1000 * rows,
        "copied_bytes": 100 * rows,
        "spilled_rows": rows,
        "tile_parts": rows,
        "tile_rows": rows,
        "strip_rows": rows,
        "top_rows": rows,
        "least_candidates": rows,
        "weighed_floats": rows,
        "bucket_pairs": rows,
        "tied_rows": rows,
        "index_run": rows,
        "index_piece": 4 * rows,
        "least_edges": rows,
    }


def _unannounced(note: Callable[[Progress, str], None]) -> Callable[[Progress, str], None]:
    """Say all but what is put into scratch files: here, that is always something."""

    def quiet_note(progress: Progress, text: str) -> None:
        if not text.startswith("scratch files"):
            note(progress, text)

    return quiet_note


def spill_everywhere(patch: pytest.MonkeyPatch, rows: int) -> None:
    """Change this process."""
    for name, value in sizes(rows).items():
        patch.setattr(TUNING, name, value)
    patch.setattr(Progress, "note", _unannounced(Progress.note))


def spill_in_children(rows: int) -> None:
    """Change each process that starts Python with our environment from now on."""
    here = Path(__file__).parent
    path = [str(here / "spilled"), str(here), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    os.environ[ROWS] = str(rows)


def spill_on_start() -> None:
    """Change the process that starts."""
    for name, value in sizes(int(os.environ[ROWS])).items():
        setattr(TUNING, name, value)
    setattr(Progress, "note", _unannounced(Progress.note))  # noqa: B010 - a method, which mypy wants to stay
