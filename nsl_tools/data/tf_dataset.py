"""Packed shards as a `tf.data.Dataset` that `fit` takes: nobody writes a `parse_example`.

A packed example (see `nsl-tools pack-nbrs`) becomes `(features, label)` or
`(features, label, sample_weight)`. `features` holds the sample's own features
and, for each neighbour rank `i` below `max_neighbors`, the same features as
`NL_nbr_<i>_<name>` and its weight as `NL_nbr_<i>_weight`, shape (batch, 1).
Where a sample has fewer neighbours, their weight is 0.0 and their features are zeros (or
empty strings). Lists of varying length are padded, sample and neighbours alike, or ragged on
request; a missing neighbour has the padded list of its sample. Bytes that stand for
something else are decoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from nsl_tools.data.parsing import make_parse_fn, parse_fn
from nsl_tools.data.request import request_for
from nsl_tools.errors import DataError, UsageError
from nsl_tools.files.paths import resolve_inputs

__all__ = ["make_dataset", "make_parse_fn"]

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping, Sequence
    from typing import Any

    from nsl_tools.data.features import Value
    from nsl_tools.data.parsing import Decode

_COMPRESSIONS = ("", "GZIP", "ZLIB")
_READ_AT_ONCE = 4  # files, when shuffling


def make_dataset(
    files: str | Sequence[str],
    *,
    batch_size: int,
    max_neighbors: int = 0,
    label: str | None = "label",
    label_weight: str | None = None,
    features: Sequence[str] | None = None,
    id_feature: str = "id",
    spec: Mapping[str, Any] | None = None,
    pad: Mapping[str, int] | None = None,
    pad_values: Mapping[str, Value] | None = None,
    ragged: Sequence[str] = (),
    decode: Mapping[str, Decode] | None = None,
    cut: Counter[str] | None = None,
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
        spec: by feature name a `tf.io.FixedLenFeature` (or `nsl_tools.data.FixedFeature`),
            or a `tf.io.RaggedFeature` (`ListFeature`) for a list of varying length;
            `features` are those of the spec by default. Without a spec, and for `features`
            that it lacks, it is inferred from the first 100 records, and checked on all.
        pad: number of values by name of a feature whose number varies; by default that of
            the longest list of the batch, neighbours' lists included. What is longer is
            cut, and a line in the log says so once.
        pad_values: what lists are padded with, by name; 0 or the empty string by default.
        ragged: names of features to return as `tf.RaggedTensor` instead.
        decode: by name of a feature of one bytes value, a TensorFlow function from that
            value to a tensor, such as `tf.io.decode_jpeg` and a resize. It is applied to a
            sample and to its neighbours alike; a missing neighbour is zeros.
        cut: counts, by name, the lists that were cut.
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
        UsageError: a name is not a feature, its type differs between records, or an
            option is for another kind of feature.
    """
    paths = resolve_inputs([files] if isinstance(files, str) else files)
    compression = _common_compression(paths)
    request = request_for(
        paths,
        label=label,
        label_weight=label_weight,
        features=features,
        id_feature=id_feature,
        spec=spec,
        max_neighbors=max_neighbors,
        pad=pad,
        pad_values=pad_values,
        ragged=ragged,
        decode=decode,
        cut=cut,
    )
    records = _records(paths, compression, shuffle, seed)
    if samples is not None:
        records = records.apply(tf.data.experimental.assert_cardinality(samples))
    if shuffle:
        records = records.shuffle(shuffle, seed=seed)
    batches = records.batch(batch_size, drop_remainder=drop_remainder)
    return batches.map(parse_fn(request), num_parallel_calls=tf.data.AUTOTUNE).prefetch(
        tf.data.AUTOTUNE
    )


def _common_compression(paths: Sequence[str]) -> str:
    found = sorted({_compression_of(path) for path in paths if tf.io.gfile.stat(path).length})
    if len(found) > 1:
        raise UsageError(f"the files are of different compression: {found}, expected one")
    return found[0] if found else ""


def _compression_of(path: str) -> str:
    """Return the compression of a file: the one that gives TensorFlow a record."""
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
