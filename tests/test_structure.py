"""`scripts/structure.py`: folders, files and functions stay small, and public names documented."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

_SCRIPT = Path(__file__).parents[1] / "scripts" / "structure.py"
MOST_CONSTANTS = 134
"""Of the data tools: half of what there were once."""


@pytest.fixture(scope="module")
def found() -> Any:
    spec = importlib.util.spec_from_file_location("structure", _SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "structure", module)  # for its dataclass
        spec.loader.exec_module(module)
        return module.structure()


def test_folders_are_taken_in_at_a_glance(found: Any) -> None:
    assert {name: count for name, count in found.modules.items() if count > 14} == {}


def test_files_are_read_at_one_sitting(found: Any) -> None:
    assert {name: lines for name, lines in found.lines.items() if lines > 400} == {}


# Each module has a test file of its name in the folder that mirrors its own, or a reason.
WITHOUT_A_TEST_OF_ITS_NAME = {
    "__main__": "three lines, by which the tests of processes start",
    "cli/build_graph": "its options, which test_commands tries",
    "cli/check": "its options, which tests/check tries",
    "cli/convert": "its options, which tests/convert tries",
    "cli/inspect": "its options, which tests/inspect tries",
    "cli/pack_nbrs": "its options, which test_commands tries",
    "cli/spread_labels": "its options, which test_commands tries",
    "engines/engine": "a protocol, which test_spark and the engine of tests, here, are held to",
    "choices": "names and defaults, which test_options and test_commands go through",
    "configs": "of training: tests/training/test_configs",
    "files/shards/run_output": "one line, which test_store_set and test_shard_set go through",
    "feature_names": "names of NSL, which the tests of packing spell out",
    "inspect/graphs/agreement": "counts, which test_summary beside it compares with networkx",
    "inspect/graphs/degrees": "counts, which test_summary beside it compares with networkx",
    "lib/utils": "of training: tests/training/test_lib",
    "pack_nbrs/tasks/blocks": "between two others, through which test_packing goes",
    "tuning": "sizes, which --spill sets for all tests",
}


def test_modules_have_tests_of_their_names() -> None:
    package, tests = _SCRIPT.parents[1] / "nsl_tools", Path(__file__).parent
    modules = {str(path.relative_to(package).with_suffix("")) for path in package.rglob("*.py")}
    modules = {name for name in modules if Path(name).name != "__init__"}
    # Of training: tests/training.
    modules -= {name for name in modules if name.startswith(("keras/", "data/"))}
    without = {
        name
        for name in modules
        if not (tests / f"{Path(name).parent}/test_{Path(name).name}.py").exists()
    }
    assert without == set(WITHOUT_A_TEST_OF_ITS_NAME)


def test_functions_fit_a_screen(found: Any) -> None:
    assert found.long_functions == {}


def test_public_names_are_documented(found: Any) -> None:
    assert found.undocumented == []


def test_constants_are_few_and_tell_why(found: Any) -> None:
    assert len(found.constants) <= MOST_CONSTANTS
    assert found.bare == []
