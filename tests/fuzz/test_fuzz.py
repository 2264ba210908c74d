"""A short run of the fuzz targets over their corpus; the long one is `scripts/fuzz.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from mutations import corpus_of, mutations
from support import NEEDS_NEW_PYARROW, NEEDS_PROTOBUF_7
from targets import TARGETS

from nsl_tools.formats import table_rows
from nsl_tools.formats.graphs import tsv as graph_tsv
from nsl_tools.formats.matrices import npy
from nsl_tools.formats.protobuf import example
from nsl_tools.formats.tfrecord import reader as tfrecord

if TYPE_CHECKING:
    from collections.abc import Callable

_MUTATIONS = {"records": 10_000, "examples": 10_000, "graph": 5000, "npy": 5000, "parquet": 2000}
_MOST_BYTES = 100_000

_MARKS = {"examples": NEEDS_PROTOBUF_7, "parquet": NEEDS_NEW_PYARROW}
_of_each_target = pytest.mark.parametrize(
    "name", [pytest.param(n, marks=_MARKS.get(n, ())) for n in TARGETS]
)


@_of_each_target
def test_the_corpus(name: str) -> None:
    """Each input that once reached new code is refused, or read right."""
    corpus = corpus_of(name)
    assert len(corpus) >= 12
    for data in corpus:
        TARGETS[name](data)


def test_the_corpus_is_small() -> None:
    assert sum(len(data) for name in TARGETS for data in corpus_of(name)) < _MOST_BYTES


@pytest.mark.slow
@_of_each_target
def test_mutations_of_the_corpus(name: str) -> None:
    """A few thousand inputs near it, the same ones each time."""
    _run(name)


def _run(name: str) -> None:
    for data in mutations(name, _MUTATIONS[name]):
        TARGETS[name](data)


def _unchecked(*_: object) -> None:
    pass


_FAULTS: dict[str, tuple[str, object, str, Callable[..., object]]] = {
    "contents are not checked": ("records", tfrecord, "first_damaged", _unchecked),
    "a cut is not noticed": ("records", tfrecord._Framer, "_cut", lambda _: StopIteration()),
    "names are not checked": ("examples", example, "_checked_name", lambda name: name),
    "runs are not checked": ("examples", example, "_check_run", _unchecked),
    "ids are not checked": ("graph", graph_tsv, "id_problem", _unchecked),
    "bytes after a matrix are not noticed": ("npy", npy, "check_size", _unchecked),
    "numbers are not checked": ("parquet", table_rows, "_odd_values", lambda *_: {}),
    "what pyarrow trims is trimmed": ("graph", graph_tsv, "_TRIMMED", ()),
}


@NEEDS_NEW_PYARROW
@NEEDS_PROTOBUF_7
@pytest.mark.parametrize("fault", _FAULTS)
def test_a_faulty_reader_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The targets tell: a reader that lacks one of its checks does not get through."""
    name, owner, attribute, faulty = _FAULTS[fault]
    monkeypatch.setattr(owner, attribute, faulty)
    with pytest.raises((AssertionError, RuntimeError, TypeError, ValueError)):
        _run(name)
