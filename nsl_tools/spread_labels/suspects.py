"""Labels that the graph contradicts, as lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nsl_tools.files.outputs import Outputs

if TYPE_CHECKING:
    import pyarrow as pa

    from nsl_tools.spread_labels.labels import Classes
    from nsl_tools.spread_labels.spreading import Floats


def write_suspects(path: str, ids: pa.Array, classes: Classes, probabilities: Floats) -> None:
    """Write labels as TSV, a line each, the most doubtful first.

    A line is an id, its class, the class that the others say, and the probabilities of both.

    Args:
        path: of the file.
        ids: of m labeled nodes, binary.
        classes: of each as labeled, shape (m,).
        probabilities: of all classes as the other labels say, shape (m, c).

    Raises:
        OutputError: the file cannot be written.
    """
    rows = np.arange(len(classes))
    others = probabilities.argmax(axis=1)
    own, other = probabilities[rows, classes], probabilities[rows, others]
    order = np.argsort(own - other, kind="stable").tolist()
    names = ids.to_pylist()
    lines = [
        b"%b\t%d\t%d\t%.6f\t%.6f\n" % (names[row], classes[row], others[row], own[row], other[row])
        for row in order
    ]
    with Outputs() as outputs, outputs.open(path) as file:
        file.write(b"".join(lines))
