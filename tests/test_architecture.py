"""The floors of `docs/architecture.md` are the folders of the code: imports point down."""

from __future__ import annotations

import ast
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "nsl_tools"
FLOORS = {"": 0, "progress": 1, "arrays": 1, "spill": 2, "files": 3}
FLOORS |= {"formats": 4, "engines": 4, "estimates": 4}
FLOORS |= {
    "build_graph": 5,
    "pack_nbrs": 5,
    "spread_labels": 5,
    "convert": 5,
    "check": 5,
    "inspect": 5,
}  # the wings
WAYS_IN = {"cli", "tools", "__main__"}
FLOORS |= {"data": 5}  # a wing as well, of which the tools know nothing
TRAINING = {"keras", "lib", "configs"}
MOST_MODULES = 14
# Inputs are asked for by name in one place; outputs and scratch files are reached by descriptor.
CALLS_THE_FILE_SYSTEM = {
    *("files.filesystem", "files.own_files", "files.staging", "files.locking", "files.outputs"),
    *(
        "files.direct_io",
        "files.preflight",
        "files.publishing",
        "files.shards.resume",
        "engines.work_folder",
        "spill.scratch",
    ),
    "memory",  # asks /proc and the control groups for their limits
    "cli.process",  # keeps the descriptors of the standard streams taken
}
FILE_CALLS = {
    *("os.access", "os.listdir", "os.lstat", "os.mkdir", "os.open", "os.readlink", "os.remove"),
    *("os.rename", "os.replace", "os.rmdir", "os.scandir", "os.stat", "os.statvfs", "os.unlink"),
    *(f"os.path.{name}" for name in ("exists", "getsize", "isdir", "isfile", "islink")),
    *("os.path.lexists", "os.path.realpath", "os.path.samefile", "open", "glob.glob"),
}


def find_modules() -> dict[str, Path]:
    """Return the file of every module of the package, by its full name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


MODULES = find_modules()


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


def room_of(module: str) -> str:
    """Return the first folder of a module, or its own name where that is a way in or training."""
    _, *parts = module.split(".")
    if not parts:
        return ""
    named = parts[0] in WAYS_IN | TRAINING
    return parts[0] if named or len(parts) > 1 or parts[0] in FLOORS else ""


def may_import(module: str, other: str) -> bool:
    """Tell whether the floors allow it."""
    own, found = room_of(module), room_of(other)
    if own in TRAINING:
        return found in TRAINING | {""} or other == "nsl_tools.files.paths"
    if found == "data":
        return own == "data"
    if found in TRAINING:
        # NSL's own function takes NSL's configuration.
        return (module, other) == ("nsl_tools.tools", "nsl_tools.configs")
    if own in WAYS_IN:
        return found not in WAYS_IN or own in (found, "__main__")
    return found not in WAYS_IN and (own == found or FLOORS[found] < FLOORS[own])


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_down(module: str) -> None:
    ours = imports(module) & set(MODULES)
    assert [other for other in ours if not may_import(module, other)] == []


def test_no_module_needs_itself() -> None:
    known = set(MODULES)
    graph = {module: imports(module) & known - {module} for module in MODULES}
    assert list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("module", sorted(name for name in MODULES if room_of(name) == ""))
def test_the_files_at_the_top_need_the_standard_library_only(module: str) -> None:
    packages = {name.split(".")[0] for name in imports(module)} - {"nsl_tools"}
    # For types alone.
    assert packages - sys.stdlib_module_names <= {"typing_extensions"}


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES.values()}))
def test_a_folder_is_taken_in_at_a_glance(folder: Path) -> None:
    modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(modules) <= MOST_MODULES


def calls(tree: ast.AST) -> set[str]:
    """Return what is called, as it is written."""
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_the_file_system_is_called_in_few_places(module: str) -> None:
    found = calls(ast.parse(MODULES[module].read_text())) & FILE_CALLS
    assert not found or module.removeprefix("nsl_tools.") in CALLS_THE_FILE_SYSTEM


def test_a_call_of_the_file_system_would_be_found() -> None:
    assert calls(ast.parse("with open(p) as f: os.stat(p)")) == {"open", "os.stat"}
    assert {name.removeprefix("nsl_tools.") for name in MODULES} >= CALLS_THE_FILE_SYSTEM


def test_the_floors_would_be_missed() -> None:
    """The rules above tell good from bad."""
    assert may_import("nsl_tools.cli.commands", "nsl_tools.errors")
    assert may_import("nsl_tools.formats.matrices.npy", "nsl_tools.spill.matrix")
    assert not may_import("nsl_tools.errors", "nsl_tools.cli.commands")
    assert not may_import("nsl_tools.files.streams", "nsl_tools.formats.matrices.npy")
    assert not may_import("nsl_tools.pack_nbrs.pipeline", "nsl_tools.build_graph.pipeline")
    assert may_import("nsl_tools.data.batches", "nsl_tools.formats.protobuf.example")
    assert not may_import("nsl_tools.data.tf_dataset", "nsl_tools.keras.layers")
    assert not may_import("nsl_tools.keras.layers", "nsl_tools.formats.tfrecord")
    assert not may_import("nsl_tools.cli.commands", "nsl_tools.data.tf_dataset")
