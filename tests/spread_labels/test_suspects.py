"""`spread_labels.suspects`: lines of doubtful labels, the most doubtful first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from nsl_tools.spread_labels.suspects import write_suspects

if TYPE_CHECKING:
    from pathlib import Path


def test_lines_come_by_doubt(tmp_path: Path) -> None:
    ids = pa.array(["ö".encode(), b"b", b"c"], pa.binary())
    probabilities = np.array([[0.4, 0.6], [0.9, 0.1], [0.3, 0.7]])
    write_suspects(str(tmp_path / "s"), ids, np.array([0, 1, 0]), probabilities)
    assert (tmp_path / "s").read_text() == (
        "b\t1\t0\t0.100000\t0.900000\nc\t0\t1\t0.300000\t0.700000\nö\t0\t1\t0.400000\t0.600000\n"
    )
