"""What each feature of packed examples is: of one shape, or a list of varying length."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

import tensorflow as tf

from nsl_tools.errors import DataError, UsageError
from nsl_tools.feature_names import LABEL_WEIGHT, NEIGHBOR_PREFIX, NUM_NEIGHBORS, neighbor_feature
from nsl_tools.files.paths import resolve_inputs

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

Feature: TypeAlias = tf.io.FixedLenFeature | tf.io.RaggedFeature
"""What a feature is: of one shape in all records, or a list of varying length."""
Spec: TypeAlias = dict[str, Feature]
"""Features by name."""

_COMPRESSIONS = ("", "GZIP", "ZLIB")
_DTYPES = {"bytes_list": tf.string, "float_list": tf.float32, "int64_list": tf.int64}
_LOOKED_AT = 100  # records that tell what the features of all are


def infer_spec(
    files: str | Sequence[str],
    names: Collection[str] | None = None,
    required: Collection[str] = (),
) -> Spec:
    """Return what each of a sample's own features is, from the first 100 records.

    A feature of as many values in each record is a `tf.io.FixedLenFeature`, of zeros where
    it is missing if it is in some; one whose number varies is a `tf.io.RaggedFeature`.

    Args:
        files: paths, globs or shard sets.
        names: of the features that matter; all by default.
        required: names of those that no record may lack, such as a label.

    Raises:
        DataError: there is no record, or a file is not a TFRecord file.
        UsageError: the type of a feature differs between records.
    """
    paths = resolved(files)
    kinds: dict[str, tf.DType] = {}
    lengths: defaultdict[str, Counter[int]] = defaultdict(Counter)
    records = 0
    for path, example in _first_examples(paths):
        for name, feature in example.features.feature.items():
            is_own = not name.startswith(NEIGHBOR_PREFIX) and name not in (
                NUM_NEIGHBORS,
                LABEL_WEIGHT,
            )
            if is_own and (names is None or name in names):
                _agree(kinds, lengths[name], name, feature, f"{path}: record {records}")
        records += 1
    if not kinds:
        raise DataError(paths[0], "", "no example with a feature, expected packed examples")
    # protobuf's maps have no order: sort, so that every run reads the same.
    return {
        name: _inferred(kinds[name], lengths[name], records, is_required=name in required)
        for name in sorted(kinds)
    }


def _inferred(kind: tf.DType, lengths: Counter[int], records: int, *, is_required: bool) -> Feature:
    if len(lengths) > 1:
        return tf.io.RaggedFeature(kind)
    (length,) = lengths
    fixed = tf.io.FixedLenFeature([length], kind)
    return fixed if is_required or lengths.total() == records else padded(fixed)


def _agree(
    kinds: dict[str, tf.DType],
    lengths: Counter[int],
    name: str,
    feature: tf.train.Feature,
    place: str,
) -> None:
    kind = feature.WhichOneof("kind")
    if kind is None:
        return
    if kinds.setdefault(name, _DTYPES[kind]) != _DTYPES[kind]:
        raise UsageError(
            f"{place}: feature {name!r} is {_DTYPES[kind].name}, earlier ones were "
            f"{kinds[name].name}: expected one type, choose `features`"
        )
    lengths[len(getattr(feature, kind).value)] += 1


def padded(feature: Feature) -> Feature:
    """Return a feature with zeros, or empty strings, where it is missing."""
    if not isinstance(feature, tf.io.FixedLenFeature):
        return feature
    zeros = tf.fill(feature.shape, zero_of(feature.dtype))
    return tf.io.FixedLenFeature(feature.shape, feature.dtype, zeros)


def is_required(feature: Feature) -> bool:
    """Tell whether each record must have it."""
    return isinstance(feature, tf.io.FixedLenFeature) and feature.default_value is None


def zero_of(dtype: tf.DType) -> Any:
    """Return what stands for nothing: 0, or the empty string."""
    return b"" if dtype == tf.string else dtype.as_numpy_dtype(0)


def check_neighbors(paths: Sequence[str], names: Sequence[str], max_neighbors: int) -> None:
    """Refuse files that were not packed, or not with these features: padding would hide it."""
    for number, (path, example) in enumerate(_first_examples(paths)):
        found = example.features.feature
        if NUM_NEIGHBORS not in found:
            problem = f"no feature {NUM_NEIGHBORS!r}: expected a packed file"
            raise DataError(path, f"record {number}", problem)
        for rank in range(min(max_neighbors, found[NUM_NEIGHBORS].int64_list.value[0])):
            for name in names:
                if neighbor_feature(rank, name) not in found:
                    problem = f"neighbour {rank} lacks the feature {name!r}: choose `features`"
                    raise DataError(path, f"record {number}", problem)


def _first_examples(paths: Sequence[str]) -> Iterator[tuple[str, tf.train.Example]]:
    return islice(_examples(paths), _LOOKED_AT)


def _examples(paths: Sequence[str]) -> Iterator[tuple[str, tf.train.Example]]:
    for path in paths:
        for record in tf.data.TFRecordDataset(path, compression_of(path)):
            yield path, tf.train.Example.FromString(record.numpy())


def resolved(files: str | Sequence[str]) -> list[str]:
    """Return the files that paths, globs and shard sets stand for.

    Raises:
        DataError: a file is missing.
    """
    return resolve_inputs([files] if isinstance(files, str) else files)


def compression_of(path: str) -> str:
    """Return the compression of a file: the one that gives TensorFlow a record.

    TensorFlow takes a damaged GZIP header for the end of an empty file.
    """
    if not tf.io.gfile.stat(path).length:
        return ""
    for compression in _COMPRESSIONS:
        if _gives_a_record(path, compression):
            return compression
    raise DataError(path, "record 0 at byte 0", "not a TFRecord file (plain, GZIP or ZLIB)")


def _gives_a_record(path: str, compression: str) -> bool:
    try:
        return any(True for _ in tf.data.TFRecordDataset(path, compression).take(1))
    except tf.errors.DataLossError:
        return False
