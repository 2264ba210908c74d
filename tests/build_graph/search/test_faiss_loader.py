"""FAISS, which brings a BLAS of its own, multiplies as fast as numpy."""

import builtins
import os
import subprocess
import sys

import faiss
import pytest

from nsl_tools.build_graph.search import faiss_loader


@pytest.mark.parametrize(
    ("numpys", "given", "expected"),
    [
        ("SkylakeX", None, "SkylakeX"),
        ("SapphireRapids", None, "SkylakeX"),
        ("Zen", "Haswell", "Haswell"),
        ("neoversen1", None, None),
        (None, None, None),
    ],
)
def test_a_second_openblas_is_told_the_kernels_of_the_first(
    monkeypatch: pytest.MonkeyPatch, numpys: str | None, given: str | None, expected: str | None
) -> None:
    """While it is loaded, unless the user chose any, or we do not know whether it has them."""
    libraries = [{"user_api": "openmp"}, {"user_api": "blas", "architecture": numpys}]
    seen = []

    def importing(name: str, *rest: object) -> object:
        if name == "faiss":
            seen.append(os.environ.get("OPENBLAS_CORETYPE"))
        return real(name, *rest)

    real = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", importing)
    monkeypatch.setattr(faiss_loader, "threadpool_info", lambda: libraries)
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    if given:
        monkeypatch.setenv("OPENBLAS_CORETYPE", given)
    assert faiss_loader.load_faiss() is faiss
    assert seen == [expected]
    assert os.environ.get("OPENBLAS_CORETYPE") == given


def test_faiss_multiplies_with_the_kernels_of_numpy() -> None:
    """As both say themselves, where both have an OpenBLAS that tells."""
    program = (
        "import numpy, threadpoolctl\n"
        "from nsl_tools.build_graph.search.faiss_loader import load_faiss\n"
        "load_faiss()\n"
        "print(*{i.get('architecture') for i in threadpoolctl.threadpool_info()} - {None})"
    )
    clean = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"}
    found = subprocess.run(
        [sys.executable, "-c", program], env=clean, check=True, capture_output=True, text=True
    )
    kernels = set(found.stdout.split())
    if not kernels <= {"SkylakeX", "Haswell", "Zen"}:
        pytest.skip(f"numpy's OpenBLAS is of another kind here: {kernels}")
    assert len(kernels) == 1
