"""NSL 1.4's own data tools, loaded so that they run today.

The package's `__init__` fails on current Keras, so its `tools` are loaded
without it, with two repairs to their text: `open(..., 'rU')`, which Python 3.11
no longer takes, and norms in float64, as its later source makes explicit.
Needs the extra `bench`.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

PACKAGE = "neural_structured_learning"
_REPAIRS = {
    "open(filename, 'rU')": "open(filename, 'r')",
    "l2_norm = np.linalg.norm(v)": "v = np.array(v, np.float64); l2_norm = np.linalg.norm(v)",
}


def load() -> tuple[ModuleType, ModuleType]:
    """Return NSL's modules `tools.build_graph` and `tools.pack_nbrs`, repaired."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        sys.exit("NSL 1.4 is not installed: pip install -e '.[bench]'")
    root = Path(spec.origin).parent
    for name in ("", ".configs", ".tools"):
        package = ModuleType(PACKAGE + name)
        package.__path__ = [str(root.joinpath(*name.split(".")))]
        sys.modules[PACKAGE + name] = package
    _run(root / "configs" / "configs.py", sys.modules[f"{PACKAGE}.configs"])
    modules = [
        _run(root / "tools" / f"{name}.py", ModuleType(f"{PACKAGE}.tools.{name}"))
        for name in ("graph_utils", "build_graph", "pack_nbrs")
    ]
    return modules[1], modules[2]


def _run(path: Path, module: ModuleType) -> ModuleType:
    text = path.read_text()
    for old, new in _REPAIRS.items():
        text = text.replace(old, new)
    sys.modules[module.__name__] = module
    parent, _, name = module.__name__.rpartition(".")
    setattr(sys.modules[parent], name, module)
    exec(compile(text, str(path), "exec"), module.__dict__)  # noqa: S102 - the peer's own code, repaired
    return module
