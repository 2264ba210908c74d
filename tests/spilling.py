"""No memory and tiny blocks, in this process and in its children: all goes by scratch files.

`pytest --spill ROWS` runs any test so. Modules of nsl_tools get other values for a few
of their names (`changes`): here by monkeypatch, in each child process that starts
Python by `spilled/sitecustomize.py`, which Python runs first where it is on the path. So
the command line is tested like this too, without a hook in it.
"""

from __future__ import annotations

import importlib
import os
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    import pytest

ROWS = "NSL_TOOLS_TESTS_SPILL"
"""Environment variable: how many rows a block is to have."""


def changes(rows: int) -> dict[str, dict[str, Any]]:
    """Return for each module the names to change, and to what.

    A run of either tool may use one byte of memory. `rows` are a block of a matrix,
    a batch of edges and records, a run, what is found of a part of the node table at once,
    or less.
    """
    tool = {"memory_of": lambda _: 1, "claim_space": _claim_unannounced}
    found: dict[str, dict[str, Any]] = {
        "build_graph.pipeline": {**tool, "_BYTES_PER_DIMENSION": 0},
        "build_graph.search.block_products": {"TILE": rows, "_LEAST_LOT": rows, "_STRIP": rows},
        "arrays.groups": {"_BLOCK": rows},
        "arrays.ids": {"_SHARE": 1e18},
        "spill.id_texts": {"_RANKED_SHARE": 1e18},
        "pack_nbrs.plan": {"_COPIES": 0, "_BYTES_PER_EDGE": 0},
        "formats.graph_tsv_writer": {"_PIECE_BYTES": 20 * rows},
        "build_graph.search.ties": {"_STRIP": rows, "_SEEDS": rows},
        "spill.matrix": {
            "_LOT_BYTES": 1000 * rows,
            "_GAP_BYTES": 64,
            "announce": lambda *_: None,
        },
        "build_graph.search.exact": {"_PAIR_FLOATS": rows},
        "build_graph.search.lsh": {"_PAIRS": rows},
        "build_graph.search.recall": {"_BYTES_PER_ROW": 0, "_BYTES_PER_CANDIDATE": 0},
        "build_graph.search.candidate_spill": {"_GROUP": rows, "_MOST_PARTS": rows},
        "pack_nbrs.pipeline": tool,
        "pack_nbrs.id_index": {
            "_LEAST_BYTES_PER_NODE": 0,
            "_ENTRIES_PER_RUN": rows,
            "_PIECE": 4 * rows,
        },
        "pack_nbrs.top_edges": {"_LEAST_PENDING": rows},
        "formats.graph_tsv": {"_BLOCK": 12 * rows},
        "formats.tfrecord": {"_BATCH_BYTES": 40 * rows},
        "pack_nbrs.join": {"_MOST_BYTES": 100 * rows},
        "formats.protobuf.lockstep": {"_STEPS": rows},
        "formats.protobuf.example_columns": {"_MANY": 0},
    }
    return {f"nsl_tools.{module}": names for module, names in found.items()}


def _claim_unannounced(size: int, what: str, _: object) -> None:
    """Check that there is space, and do not say so: there always is a need for some."""
    from nsl_tools.progress import Progress
    from nsl_tools.spill.scratch import claim_space

    claim_space(size, what, Progress())


def spill_everywhere(patch: pytest.MonkeyPatch, rows: int) -> None:
    """Change this process."""
    for module, names in changes(rows).items():
        for name, value in names.items():
            patch.setattr(importlib.import_module(module), name, value)


def spill_in_children(rows: int) -> None:
    """Change each process that starts Python with our environment from now on."""
    here = Path(__file__).parent
    path = [str(here / "spilled"), str(here), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    os.environ[ROWS] = str(rows)


def spill_on_import() -> None:
    """Change modules as this process imports them."""
    sys.meta_path.insert(0, _Changing(changes(int(os.environ[ROWS]))))


class _Changing(MetaPathFinder):
    """Finds the modules that are to be changed."""

    def __init__(self, changed: dict[str, dict[str, Any]]) -> None:
        self._changed = changed

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._changed:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _ChangingLoader(spec.loader, self._changed[fullname])
        return spec


class _ChangingLoader(Loader):
    """Loads a module as another loader does, then changes it."""

    def __init__(self, loader: Loader, names: dict[str, Any]) -> None:
        self._loader = loader
        self._names = names

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        for name, value in self._names.items():
            getattr(module, name)  # a name that is gone is an error
            setattr(module, name, value)
