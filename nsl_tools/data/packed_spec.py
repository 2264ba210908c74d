"""What each feature of packed examples is, found out from the first of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from nsl_tools.data.features import (
    BYTES,
    FLOATS,
    INTEGERS,
    NAMES,
    FixedFeature,
    ListFeature,
    padded,
)
from nsl_tools.errors import DataError, UsageError
from nsl_tools.feature_names import LABEL_WEIGHT, NEIGHBOR_PREFIX, NUM_NEIGHBORS, neighbor_feature
from nsl_tools.files.streams import source
from nsl_tools.formats.example_batch import read_examples
from nsl_tools.formats.protobuf import example

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence, Sized
    from typing import Any

    import numpy as np

    from nsl_tools.data.features import Feature, Spec

_KINDS: dict[str, tuple[np.dtype[Any], Callable[[bytes], Sized]]] = {
    "bytes": (BYTES, example.decode_bytes),
    "float": (FLOATS, example.decode_floats),
    "int64": (INTEGERS, example.decode_int64),
}
_LOOKED_AT = 100  # records that tell what the features of all are


def infer_spec(
    paths: Sequence[str],
    names: Collection[str] | None = None,
    required: Collection[str] = (),
) -> Spec:
    """Return what each of a sample's own features is, from the first 100 records.

    A feature of as many values in each record is a `FixedFeature`, of zeros where it is
    missing if it is in some; one whose number varies is a `ListFeature`.

    Args:
        paths: of TFRecord files.
        names: of the features that matter; all by default.
        required: names of those that no record may lack, such as a label.

    Raises:
        DataError: there is no record, or a file is not a TFRecord file.
        UsageError: the type of a feature differs between records.
    """
    dtypes: dict[str, np.dtype[Any]] = {}
    lengths: defaultdict[str, Counter[int]] = defaultdict(Counter)
    records = 0
    for first in _first_examples(paths):
        for name, feature in first.features.items():
            is_own = not name.startswith(NEIGHBOR_PREFIX) and name not in (
                NUM_NEIGHBORS,
                LABEL_WEIGHT,
            )
            if is_own and feature and (names is None or name in names):
                dtype, decode = _KINDS[example.kind_name(feature)]
                _agree(name, dtypes.setdefault(name, dtype), dtype, first)
                lengths[name][len(decode(feature))] += 1
        records += 1
    if not dtypes:
        raise DataError(paths[0], "", "no example with a feature, expected packed examples")
    # The map of an example has no order: sort, so that every run reads the same.
    return {
        name: _inferred(dtypes[name], lengths[name], records, is_required=name in required)
        for name in sorted(dtypes)
    }


def _inferred(
    dtype: np.dtype[Any], lengths: Counter[int], records: int, *, is_required: bool
) -> Feature:
    if len(lengths) > 1:
        return ListFeature(dtype)
    (length,) = lengths
    fixed = FixedFeature((length,), dtype)
    return fixed if is_required or lengths.total() == records else padded(fixed)


def _agree(name: str, expected: np.dtype[Any], found: np.dtype[Any], first: _First) -> None:
    if found != expected:
        raise UsageError(
            f"{first.path}: record {first.number}: feature {name!r} is {NAMES[found]}, "
            f"earlier ones were {NAMES[expected]}: expected one type, choose `features`"
        )


def check_neighbors(paths: Sequence[str], names: Sequence[str], max_neighbors: int) -> None:
    """Refuse files that were not packed, or not with these features: padding would hide it.

    Raises:
        DataError: one of the first 100 records says so.
    """
    for first in _first_examples(paths):
        for rank in range(min(max_neighbors, _count_of(first))):
            for name in names:
                if neighbor_feature(rank, name) not in first.features:
                    problem = f"neighbour {rank} lacks the feature {name!r}: choose `features`"
                    problem = f"neighbour {rank} lacks the feature {name!r}: choose `features`"
                    raise first.error(problem)


def _count_of(first: _First) -> int:
    count = first.features.get(NUM_NEIGHBORS)
    if not count or example.kind_name(count) != "int64":
        raise first.error(f"no feature {NUM_NEIGHBORS!r}: expected a packed file")
    return max([0, *example.decode_int64(count)])


class _First(NamedTuple):
    """One of the first records: its file, its number there, and its encoded features."""

    path: str
    number: int
    features: dict[str, bytes]

    def error(self, problem: str) -> DataError:
        return DataError(self.path, f"record {self.number}", problem)


def _first_examples(paths: Sequence[str]) -> Iterator[_First]:
    return islice(_examples(paths), _LOOKED_AT)


def _examples(paths: Sequence[str]) -> Iterator[_First]:
    for batch in read_examples([source(path) for path in paths]):
        for index, number in enumerate(batch.records.numbers):
            features = batch.parsed.features(index)
            named = {name.decode(): feature for name, feature in features.items()}
            yield _First(batch.records.source, number, named)
