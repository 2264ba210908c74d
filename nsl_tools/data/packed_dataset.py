"""Packed shards as batches of numpy arrays, for `fit` on any backend and for loops of one's own.

TensorFlow is not needed. Batches are what `make_dataset` makes of the same arguments.
"""

from __future__ import annotations

import logging
import math
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from nsl_tools.background import in_background
from nsl_tools.data.batches import BatchMaker
from nsl_tools.data.request import request_for
from nsl_tools.errors import DataError, UsageError
from nsl_tools.files.paths import resolve_inputs
from nsl_tools.formats.tfrecord.index import RecordIndex
from nsl_tools.tuning import TUNING

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Mapping, Sequence

    from nsl_tools.arrays.byte_spans import Places
    from nsl_tools.data.features import Value
    from nsl_tools.data.request import Decode
    from nsl_tools.formats.tfrecord.index import PickedRecords

try:
    # What `fit` knows as batches with a length; loops of one's own need no Keras.
    from keras.utils import PyDataset
except ImportError:

    class PyDataset:  # type: ignore[no-redef]
        """What `PackedDataset` is without Keras: batches by number."""

        def __init__(self, **options: object) -> None:
            """Refuse options of Keras."""
            if options:
                raise UsageError(f"{', '.join(options)}: expected Keras, whose options these are")


def _kept(options: dict[str, Any]) -> dict[str, Any]:
    """Return options for Keras; without workers where it loses batches with them."""
    if PyDataset.__module__ == __name__ or not {"workers", "use_multiprocessing"} & set(options):
        return options
    from keras import backend

    if backend.backend() == "tensorflow":
        return options
    # It takes the first batch to build the model, and does not give it back (3.15).
    logging.getLogger("nsl_tools").warning(
        "workers and use_multiprocessing are not given to Keras, which with %s would train "
        "without the first batch: batches are made several at a time all the same",
        backend.backend(),
    )
    others = ("workers", "use_multiprocessing")
    return {name: value for name, value in options.items() if name not in others}


class PackedDataset(PyDataset):
    """Batches of packed examples, `(features, label)` each, by number; iterate for an epoch.

    For `fit`, it is a `keras.utils.PyDataset`; for a `torch.utils.data.DataLoader` (with
    `batch_size=None`), a dataset of batches; for any other loop, an iterable. `features` is a
    dictionary of arrays: the sample's own features, and for each neighbour rank `i` below
    `max_neighbors` the same features as `NL_nbr_<i>_<name>` and its weight as
    `NL_nbr_<i>_weight`, shape (batch, 1), 0.0 where there is no such neighbour.

    With `shuffle`, each epoch draws another order of all samples; the samples of a batch are in
    the order of the files. `fit` draws the order of the batches, too, unless it is told
    `shuffle=False`.
    """

    def __init__(
        self,
        files: str | Sequence[str],
        batch_size: int,
        max_neighbors: int = 0,
        *,
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
        checksums: bool = True,
        **options: Any,
    ) -> None:
        """Find the records of packed TFRecord files, and what is in them.

        Args:
            files: as of `make_dataset`, and so are the other arguments but for these. A
                compressed file is unpacked to a scratch file, once for each process.
            batch_size: samples per batch.
            max_neighbors: neighbours per sample.
            label: feature that holds the label, or None.
            label_weight: feature that holds the sample weight.
            features: names of the features to read.
            id_feature: name of the feature that holds the id, not read by default.
            spec: by name a `FixedFeature` or a `ListFeature`, or TensorFlow's.
            pad: number of values by name of a feature whose number varies.
            pad_values: what lists are padded with, by name.
            ragged: names of features to return as `Ragged` (values, row_splits).
            decode: by name of a feature of one bytes value, a function from these bytes to an
                array.
            cut: counts, by name, the lists that were cut; in this process alone.
            shuffle: 0 keeps the order of the files; any other number shuffles all samples.
            seed: makes the order of shuffling repeatable.
            drop_remainder: leave out a last batch that is not full.
            samples: number of samples in the files, if known; compared with what is found.
            checksums: whether each record is held against its checksum when it is read.
            options: of `keras.utils.PyDataset`, such as `workers` and `max_queue_size`. With
                other backends than TensorFlow, `workers` is left out, which is said: Keras
                would lose a batch. A `DataLoader` has workers of its own.

        Raises:
            DataError: a file is missing or is not a packed TFRecord file.
            UsageError: a name is not a feature, its type differs between records, an
                option is for another kind of feature, or there are not as many `samples`.
        """
        super().__init__(**_kept(options))
        if batch_size < 1:
            raise UsageError(f"batch_size: expected 1 or more, received {batch_size}")
        paths = resolve_inputs([files] if isinstance(files, str) else files)
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
        self._index = RecordIndex(paths)
        if samples is not None and samples != len(self._index):
            raise UsageError(f"samples: {samples} were given, the files hold {len(self._index)}")
        self._maker = BatchMaker(request)
        self._batch_size = batch_size
        self._drop_remainder = drop_remainder
        self._checksums = checksums
        # Drawn now, so that all processes that get a copy agree.
        self._entropy = np.random.SeedSequence(seed).entropy if shuffle else None
        self._order: Places | None = None
        self._together = max(1, int(TUNING.batch_bytes / self._index.mean_bytes / batch_size))
        self._lock = Lock()
        self._ahead: dict[int, Any] = {}  # batches that nobody has asked for yet, by number
        self._last = -1  # the number that was asked for last
        self._step = 0  # from the one before
        self.set_epoch(0)

    def __len__(self) -> int:
        batches = len(self._index) / self._batch_size
        return math.floor(batches) if self._drop_remainder else math.ceil(batches)

    def __getitem__(self, number: int) -> Any:
        """Return a batch of this epoch, as `make_dataset` does, of numpy arrays.

        Raises:
            IndexError: there are fewer batches.
            DataError: a file cannot be read or has changed, or a record is damaged or is not
                what was asked for.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"batch {number}, expected 0 to {len(self) - 1}")
        with self._lock:
            step, self._last = number - self._last, number
            if number not in self._ahead:
                # Who asks in steps is given batches sooner, for some are made together.
                count = self._together if 0 < step == self._step else 1
                numbers = range(number, len(self), max(1, step))[:count]
                self._ahead = self._batches(numbers)
            self._step = step
            return self._ahead.pop(number)

    def _batches(self, numbers: range) -> dict[int, Any]:
        try:
            made = self._maker.batches([self._records(number) for number in numbers])
        except DataError:
            if len(numbers) == 1:
                raise
            return self._batches(numbers[:1])  # a later one has the error
        return dict(zip(numbers, made, strict=True))

    def _records(self, number: int) -> PickedRecords:
        first = number * self._batch_size
        rows = np.arange(first, min(first + self._batch_size, len(self._index)))
        if self._order is not None:
            rows = np.sort(self._order[rows])
        return self._index.read(rows, checksums=self._checksums)

    def __getstate__(self) -> dict[str, Any]:
        # Another process makes its own batches; locks cannot be copied.
        return {**self.__dict__, "_ahead": {}, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=Lock())

    def __iter__(self) -> Iterator[Any]:
        """Yield the batches of an epoch, made a few ahead in the background, then go to the next.

        Raises:
            DataError: as of a batch by its number.
        """
        yield from in_background(map(self.__getitem__, range(len(self))))
        self.on_epoch_end()

    def set_epoch(self, epoch: int) -> None:
        """Take the order of an epoch, counted from 0: for a loop that goes on from a checkpoint.

        A `DataLoader` with workers has copies of the dataset: call this before each epoch.
        """
        with self._lock:
            self.epoch = epoch
            self._ahead, self._last, self._step = {}, -1, 0
            if self._entropy is not None:
                random = np.random.default_rng([epoch, self._entropy])
                self._order = random.permutation(len(self._index))

    def on_epoch_end(self) -> None:
        """Go on to the next epoch; `fit` calls this, and so does the end of an iteration."""
        self.set_epoch(self.epoch + 1)
