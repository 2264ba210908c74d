"""What the code looks like from afar: folders, files, functions, constants, documentation.

    .venv/bin/python scripts/structure.py

`tests/test_structure.py` holds these figures to the limits below.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "nsl_tools"
TRAINING = {"keras", "lib", "data", "configs.py"}
MOST_MODULES = 14
MOST_LINES = 400
MOST_FUNCTION_LINES = 50
_CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*")


@dataclass
class Structure:
    """What was found, by name of a folder, file, function or constant.

    Attributes:
        modules: how many each folder has.
        lines: how many each file has.
        long_functions: lines of each function that is too long.
        undocumented: public names without a docstring.
        constants: module constants of the data tools; type parameters are none, but named alike.
        bare: those of them that are numbers and have neither a comment nor a docstring.
    """

    modules: Counter[str] = field(default_factory=Counter)
    lines: dict[str, int] = field(default_factory=dict)
    long_functions: dict[str, int] = field(default_factory=dict)
    undocumented: list[str] = field(default_factory=list)
    constants: list[str] = field(default_factory=list)
    bare: list[str] = field(default_factory=list)


def structure() -> Structure:
    """Read the whole package."""
    found = Structure()
    for path in sorted(PACKAGE.rglob("*.py")):
        name = str(path.relative_to(PACKAGE))
        source = path.read_text()
        if path.name != "__init__.py":
            found.modules[str(path.parent.relative_to(PACKAGE))] += 1
        found.lines[name] = source.count("\n")
        tree = ast.parse(source)
        _look_at_definitions(tree, name, found)
        if path.relative_to(PACKAGE).parts[0] not in TRAINING:
            _look_at_constants(tree, source.splitlines(), name, found)
    return found


def _look_at_definitions(tree: ast.Module, name: str, found: Structure) -> None:
    if not ast.get_docstring(tree):
        found.undocumented.append(name)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.body[0].lineno + 1
            if lines > MOST_FUNCTION_LINES + _docstring_lines(node):
                found.long_functions[f"{name}: {node.name}"] = lines
    for scope in [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef))]:
        if isinstance(scope, ast.ClassDef) and scope.name.startswith("_"):
            continue
        for node in scope.body:
            is_definition = isinstance(node, ast.FunctionDef | ast.ClassDef)
            if is_definition and not node.name.startswith("_") and not _is_documented(node):
                found.undocumented.append(f"{name}: {node.name}")


def _docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    if ast.get_docstring(node) is None:
        return 0
    first = node.body[0]
    return (first.end_lineno or first.lineno) - first.lineno + 1


def _is_documented(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Tell whether a definition has a docstring, or is one of several of a name."""
    overloads = (each for each in node.decorator_list if isinstance(each, ast.Name))
    return bool(ast.get_docstring(node)) or any(each.id == "overload" for each in overloads)


def _look_at_constants(tree: ast.Module, lines: list[str], name: str, found: Structure) -> None:
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if not isinstance(node, ast.Assign | ast.AnnAssign) or _is_type_parameter(node.value):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = [
            each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)
        ]
        told = "#" in lines[node.lineno - 1] or lines[node.lineno - 2].startswith("#")
        told |= isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        for constant in filter(_CONSTANT.fullmatch, names):
            found.constants.append(f"{name}: {constant}")
            if _is_number(node.value) and not told:
                found.bare.append(f"{name}: {constant}")


def _is_type_parameter(value: ast.expr | None) -> bool:
    function = value.func if isinstance(value, ast.Call) else None
    return isinstance(function, ast.Name) and function.id in ("TypeVar", "ParamSpec")


def _is_number(value: ast.expr | None) -> bool:
    """Tell whether an expression is made of literal numbers alone, at least one."""
    if isinstance(value, ast.Tuple):
        return all(map(_is_number, value.elts))
    if isinstance(value, ast.BinOp):
        return _is_number(value.left) and _is_number(value.right)
    if isinstance(value, ast.UnaryOp):
        return _is_number(value.operand)
    return isinstance(value, ast.Constant) and isinstance(value.value, int | float)


def main() -> int:
    """Print the figures."""
    found = structure()
    print("| folder | modules |\n|---|---|")
    for folder, count in sorted(found.modules.items()):
        print(f"| nsl_tools/{'' if folder == '.' else folder} | {count} |")
    longest = max(found.lines, key=lambda name: found.lines[name])
    print(f"\nlongest file: {longest}, {found.lines[longest]} lines")
    print(f"functions over {MOST_FUNCTION_LINES} lines: {len(found.long_functions)}")
    print(f"public names without documentation: {len(found.undocumented)}")
    print(f"module constants of the data tools: {len(found.constants)}")
    print(f"numbers among them without a unit or a why beside them: {len(found.bare)}")
    for name in [*found.long_functions, *found.undocumented, *found.bare]:
        print(f"  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
