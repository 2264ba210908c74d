"""`formats.example_sample`: examples of any format, as records, and which share they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import write_examples

from nsl_tools.errors import DataError
from nsl_tools.formats.example_sample import sample_examples
from nsl_tools.formats.tfrecord.reader import read_batches
from nsl_tools.options import PackOptions

if TYPE_CHECKING:
    from pathlib import Path

    from nsl_tools.files.streams import Source

pytestmark = pytest.mark.own_memory("thousands of rows, in blocks of some, would take minutes")


def count_of(found: Source) -> int:
    """Return how many records a source has, which may be read again."""
    counts = {sum(map(len, read_batches(found))) for _ in range(2)}
    (count,) = counts
    return count


@settings(max_examples=15)
@given(count=st.integers(1, 3000), most=st.sampled_from([20_000, 1 << 24]))
@pytest.mark.parametrize("table", [False, True])
def test_a_sample_is_as_large_as_its_share(
    tmp_path_factory: pytest.TempPathFactory, *, table: bool, count: int, most: int
) -> None:
    folder = tmp_path_factory.mktemp("e")
    texts = [bytes([65 + i % 26]) * (i % 90) for i in range(count)]
    if table:
        path = str(folder / "e.parquet")
        ids = [f"n{i}" for i in range(count)]
        pq.write_table(pa.table({"id": ids, "x": texts}), path)
    else:
        examples = [{"id": [b"n%d" % i], "x": [text]} for i, text in enumerate(texts)]
        path = write_examples(folder / "e", examples)
    found = sample_examples(path, PackOptions(), most)
    read = count_of(found.source)
    assert 0 < read <= count
    assert read / found.share == pytest.approx(count, rel=0.15)
    assert (found.share == 1) == (read == count)
    if table:
        assert found.spooled > 0
        assert found.rows in (None, count)


def test_what_examples_cannot_hold_is_refused_as_it_is_when_read(tmp_path: Path) -> None:
    path = str(tmp_path / "e.parquet")
    times = pa.array(np.array(["2020-01-01"], "datetime64[s]"))
    pq.write_table(pa.table({"id": ["a"], "when": times}), path)
    with pytest.raises(DataError, match="column 'when' is of type timestamp"):
        sample_examples(path, PackOptions(), 1 << 20)
