"""`nsl-tools version`: what runs here, for a report of a problem."""

from __future__ import annotations

import os
import sys

import click

from nsl_tools import __version__
from nsl_tools.memory import default_limit, shown_size


@click.command("version")
@click.option(
    "-v", "--verbose", is_flag=True, help="Versions of libraries, processor, BLAS, memory as well."
)
def version_command(*, verbose: bool) -> None:
    """Print the version."""
    click.echo(f"nsl-tools {__version__}")
    if verbose:
        for name, value in _described():
            click.echo(f"{name}: {value}")


def _described() -> list[tuple[str, str]]:
    import platform  # here, since `--help` does without

    found = [
        ("Python", f"{platform.python_version()} ({sys.executable})"),
        ("system", f"{platform.system()} {platform.release()}, {platform.machine()}"),
        ("cores", str(os.cpu_count())),
        ("memory limit", f"{shown_size(default_limit())}, half of what there is"),
    ]
    libraries = ["numpy", "pyarrow", "faiss-cpu", "google-crc32c", "click", "tqdm", "threadpoolctl"]
    libraries += ["h5py", "keras", "tensorflow", "jax", "torch"]  # of the extras
    found += [(name, _version_of(name)) for name in libraries]
    return found + _blas()


def _version_of(name: str) -> str:
    from importlib.metadata import (  # here, since `--help` does without
        PackageNotFoundError,
        version,
    )

    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _blas() -> list[tuple[str, str]]:
    """Return the libraries that multiply, their kernels, and the instructions that NumPy uses."""
    import numpy as np

    from nsl_tools.arrays.blas import blas_kernels

    simd = np.show_config(mode="dicts")["SIMD Extensions"]  # type: ignore[index,unused-ignore]
    enabled = [*simd.get("baseline", ()), *simd.get("found", ())]
    return [*(("BLAS", kernel) for kernel in blas_kernels()), ("SIMD", " ".join(enabled))]
