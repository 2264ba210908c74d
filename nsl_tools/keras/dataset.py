"""Packed shards as a `tf.data.Dataset` that `fit` takes: nobody writes a `parse_example`.

A packed example (see `nsl-tools pack-nbrs`) becomes `(features, label)` or
`(features, label, sample_weight)`. `features` holds the sample's own features
and, for each neighbour rank `i` below `max_neighbors`, the same features as
`NL_nbr_<i>_<name>` and its weight as `NL_nbr_<i>_weight`, shape (batch, 1).
Where a sample has fewer neighbours, their features are zeros (or empty strings)
and their weight is 0.0.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from nsl_tools.errors import DataError, UsageError
from nsl_tools.feature_names import (
    LABEL_WEIGHT,
    NEIGHBOR_PREFIX,
    NUM_NEIGHBORS,
    neighbor_feature,
    neighbor_weight,
)
from nsl_tools.files.paths import resolve_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Spec = dict[str, tf.io.FixedLenFeature]
"""Feature name to its shape and dtype."""

_COMPRESSIONS = ("", "GZIP", "ZLIB")
_DTYPES = {"bytes_list": tf.string, "float_list": tf.float32, "int64_list": tf.int64}
_ADDED = (NUM_NEIGHBORS, LABEL_WEIGHT)
_LOOKED_AT = 100
_READ_AT_ONCE = 4


def make_dataset(
    files: str | Sequence[str],
    *,
    batch_size: int,
    max_neighbors: int = 0,
    label: str | None = "label",
    label_weight: str | None = None,
    features: Sequence[str] | None = None,
    id_feature: str = "id",
    spec: Mapping[str, tf.io.FixedLenFeature] | None = None,
    shuffle: int = 10_000,
    seed: int | None = None,
    drop_remainder: bool = False,
    samples: int | None = None,
) -> tf.data.Dataset:
    """Read packed TFRecord files into batches for `fit` and `evaluate`.

    Args:
        files: paths, globs or shard sets `base@N`; GZIP and ZLIB by content.
        batch_size: samples per batch.
        max_neighbors: neighbours per sample; 0 reads none, and unpacked files.
        label: feature that holds the label, or None for features only.
        label_weight: feature that holds the sample weight; a sample without it
            weighs 1, and a sample without label then has label 0.
        features: names of the features to read; all but the id, the label and
            its weight by default.
        id_feature: name of the feature that holds the id, not read by default.
        spec: shape and dtype by feature name; inferred from the first 100
            records by default, and checked on all.
        shuffle: samples to shuffle among; 0 keeps the order of the files.
        seed: makes the order of shuffling repeatable.
        drop_remainder: leave out a last batch that is not full.
        samples: number of samples in the files, if known (`pack-nbrs` prints it): the
            dataset then has a length, and Keras need not find it out.

    Returns:
        Batches of `(features, label)`, with a sample weight if `label_weight` is
        given, or of `features` alone if `label` is None. Shapes are (batch, d)
        for features and (batch,) for a label of one value.

    Raises:
        DataError: a file is missing or is not a packed TFRecord file.
        UsageError: a name is not a feature, or lengths differ and `spec` is silent.
    """
    paths = _resolve(files)
    compression = _common_compression(paths)
    known = dict(spec) if spec else infer_spec(paths)
    names = _own(known, id_feature, label, label_weight) if features is None else features
    parse = make_parse_fn(
        known,
        max_neighbors=max_neighbors,
        label=label,
        label_weight=label_weight,
        features=names,
    )
    if max_neighbors:
        _check_neighbors(paths, names, max_neighbors)
    records = _records(paths, compression, shuffle, seed)
    if samples is not None:
        records = records.apply(tf.data.experimental.assert_cardinality(samples))
    if shuffle:
        records = records.shuffle(shuffle, seed=seed)
    batches = records.batch(batch_size, drop_remainder=drop_remainder)
    return batches.map(parse, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def make_parse_fn(
    spec: Mapping[str, tf.io.FixedLenFeature],
    *,
    max_neighbors: int = 0,
    label: str | None = "label",
    label_weight: str | None = None,
    features: Sequence[str] | None = None,
) -> Callable[[tf.Tensor], Any]:
    """Return a function from serialized examples, shape (batch,), to what `fit` takes.

    For those with a pipeline of their own; the arguments are `make_dataset`'s.

    Raises:
        UsageError: `label` or one of `features` is not in `spec`.
    """
    names = _own(spec, label, label_weight) if features is None else list(features)
    wanted = {name: _known(spec, name) for name in names}
    for rank in range(max_neighbors):
        for name in names:
            wanted[neighbor_feature(rank, name)] = _padded(spec[name])
        wanted[neighbor_weight(rank)] = tf.io.FixedLenFeature([1], tf.float32, [0.0])
    targets = dict(wanted)
    if label is not None:
        targets[label] = _scalar(_known(spec, label))
        if label_weight is not None:
            targets[label] = _padded(targets[label])
            targets[label_weight] = tf.io.FixedLenFeature([], tf.float32, 1.0)

    def parse(serialized: tf.Tensor) -> Any:
        parsed = tf.io.parse_example(serialized, targets)
        inputs = {name: parsed[name] for name in wanted}
        if label is None:
            return inputs
        if label_weight is None:
            return inputs, parsed[label]
        return inputs, parsed[label], parsed[label_weight]

    return parse


def infer_spec(files: str | Sequence[str]) -> Spec:
    """Return shape and dtype of each of a sample's own features, from the first 100 records.

    Raises:
        DataError: there is no record, or a file is not a TFRecord file.
        UsageError: a feature's length or type differs between records.
    """
    paths = _resolve(files)
    found: Spec = {}
    for number, (path, example) in enumerate(_first_examples(paths)):
        for name, feature in example.features.feature.items():
            if not name.startswith(NEIGHBOR_PREFIX) and name not in _ADDED:
                _agree(found, name, feature, f"{path}: record {number}")
    if not found:
        raise DataError(paths[0], "", "no example with a feature, expected packed examples")
    # protobuf's maps have no order: sort, so that every run reads the same.
    return dict(sorted(found.items()))


def _resolve(files: str | Sequence[str]) -> list[str]:
    return resolve_inputs([files] if isinstance(files, str) else files)


def _agree(found: Spec, name: str, feature: tf.train.Feature, place: str) -> None:
    kind = feature.WhichOneof("kind")
    if kind is None:
        return
    length = len(getattr(feature, kind).value)
    spec = tf.io.FixedLenFeature([length], _DTYPES[kind])
    if found.setdefault(name, spec) != spec:
        raise UsageError(
            f"{place}: feature {name!r} has {length} values of {_DTYPES[kind].name}, earlier "
            f"ones had {found[name].shape[0]} of {found[name].dtype.name}: give `spec`"
        )


def _check_neighbors(paths: Sequence[str], names: Sequence[str], max_neighbors: int) -> None:
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
        for record in tf.data.TFRecordDataset(path, _compression(path)):
            yield path, tf.train.Example.FromString(record.numpy())


def _common_compression(paths: Sequence[str]) -> str:
    found = sorted({_compression(path) for path in paths if tf.io.gfile.stat(path).length})
    if len(found) > 1:
        raise UsageError(f"the files are of different compression: {found}, expected one")
    return found[0] if found else ""


def _compression(path: str) -> str:
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


def _records(
    paths: Sequence[str], compression: str, shuffle: int, seed: int | None
) -> tf.data.Dataset:
    """Return the serialized examples: file by file, or files mixed when shuffling."""
    files = tf.data.Dataset.from_tensor_slices(list(paths))
    if not shuffle:
        return tf.data.TFRecordDataset(files, compression)
    return files.shuffle(len(paths), seed=seed).interleave(
        lambda path: tf.data.TFRecordDataset(path, compression),
        cycle_length=_READ_AT_ONCE,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def _own(spec: Mapping[str, tf.io.FixedLenFeature], *others: str | None) -> list[str]:
    return [name for name in spec if name not in others]


def _known(spec: Mapping[str, tf.io.FixedLenFeature], name: str) -> tf.io.FixedLenFeature:
    if name not in spec:
        raise UsageError(f"no feature {name!r}, expected one of {sorted(spec)}")
    return spec[name]


def _scalar(spec: tf.io.FixedLenFeature) -> tf.io.FixedLenFeature:
    """Return `spec` with shape () instead of (1,)."""
    shape = [] if list(spec.shape) == [1] else spec.shape
    return tf.io.FixedLenFeature(shape, spec.dtype, spec.default_value)


def _padded(spec: tf.io.FixedLenFeature) -> tf.io.FixedLenFeature:
    """Return `spec` with zeros, or empty strings, where the feature is missing."""
    zero = b"" if spec.dtype == tf.string else spec.dtype.as_numpy_dtype(0)
    return tf.io.FixedLenFeature(spec.shape, spec.dtype, tf.fill(spec.shape, zero))
