"""Graph out: blocks of edges as TSV lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nsl_tools.weights import format_lines

_TAB = pa.scalar(b"\t", pa.large_binary())

if TYPE_CHECKING:
    import numpy.typing as npt


def format_edges(
    ids: pa.Array,
    sources: npt.NDArray[np.int64],
    targets: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float64],
) -> bytes:
    r"""Return n edges as the lines `source<TAB>target<TAB>%.6f`, in order.

    Args:
        ids: binary array of all node ids.
        sources: rows of `ids`, shape (n,).
        targets: rows of `ids`, shape (n,).
        weights: cosines, shape (n,).
    """
    if not len(weights):
        return b""
    text, bounds = format_lines(weights)
    endings = pa.Array.from_buffers(
        pa.binary(), len(weights), [None, pa.py_buffer(bounds), pa.py_buffer(text)]
    )
    columns = [ids.take(pa.array(rows)).cast(pa.large_binary()) for rows in (sources, targets)]
    lines = pc.binary_join_element_wise(*columns, endings.cast(pa.large_binary()), _TAB)
    _, offsets, data = lines.buffers()
    span = np.frombuffer(offsets, np.int64)[[0, len(weights)]]
    return memoryview(data)[span[0] : span[1]].tobytes()
