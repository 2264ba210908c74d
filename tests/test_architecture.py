"""The layers of `docs/architecture.md` are those of the code: imports point down."""

from __future__ import annotations

import ast
import re
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TABLE = re.findall(
    r"^\| (L\d|training) \| (.*?) \|", (ROOT / "docs/architecture.md").read_text(), re.MULTILINE
)
LAYERS = {name: layer for layer, names in TABLE for name in re.findall(r"`(\w+)`", names)}
# What needs no place in the table: the names for users, and the way in.
EXEMPT = {"nsl_tools", "nsl_tools.__main__"}


def find_modules() -> dict[str, Path]:
    """Return the file of every module of the package, by its full name."""
    found = {}
    for path in (ROOT / "nsl_tools").rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


MODULES = find_modules()
PLACED = sorted(set(MODULES) - EXEMPT)


def imports(module: str) -> set[str]:
    """Return what a module imports, anywhere in it, be it for types only."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            members = {f"{node.module}.{alias.name}" for alias in node.names} & set(MODULES)
            found |= members or {str(node.module)}
    return found


def layer_of(module: str) -> str:
    """Return the layer of a module; what is in a package is where the package is."""
    return LAYERS[module.split(".")[1]]


def may_import(module: str, other: str) -> bool:
    """Tell whether the layers allow it."""
    own, found = layer_of(module), layer_of(other)
    if "training" in (own, found):
        # NSL's own function takes NSL's configuration.
        by_contract = (module, other) == ("nsl_tools.tools", "nsl_tools.configs")
        return (own == "training" and found in ("training", "L0")) or by_contract
    return found < own or (found == own != "L3")


def test_every_module_has_a_place_in_the_table() -> None:
    assert {name.split(".")[1] for name in PLACED} == set(LAYERS)


@pytest.mark.parametrize("module", PLACED)
def test_imports_point_down(module: str) -> None:
    ours = (imports(module) & set(MODULES)) - EXEMPT
    assert [other for other in ours if not may_import(module, other)] == []


def test_no_module_needs_itself() -> None:
    known = set(MODULES)
    graph = {module: imports(module) & known - {module} for module in MODULES}
    assert list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("module", [name for name in PLACED if layer_of(name) == "L0"])
def test_the_lowest_layer_needs_the_standard_library_only(module: str) -> None:
    packages = {name.split(".")[0] for name in imports(module)}
    # For types alone.
    assert packages <= sys.stdlib_module_names | {"nsl_tools", "typing_extensions"}


def test_the_layers_would_be_missed() -> None:
    """The rules above tell good from bad."""
    assert may_import("nsl_tools.cli", "nsl_tools.errors")
    assert not may_import("nsl_tools.errors", "nsl_tools.cli")
    assert not may_import("nsl_tools.pack_nbrs", "nsl_tools.build_graph")
    assert not may_import("nsl_tools.keras.dataset", "nsl_tools.example")
    assert not may_import("nsl_tools.cli", "nsl_tools.keras.dataset")
