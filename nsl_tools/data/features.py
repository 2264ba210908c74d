"""What a feature of packed examples is, for every reader: TensorFlow is not needed here."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from nsl_tools.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

Value: TypeAlias = float | bytes
"""One value of a feature."""
BYTES, FLOATS, INTEGERS = np.dtype(object), np.dtype(np.float32), np.dtype(np.int64)
NAMES = {BYTES: "bytes", FLOATS: "float", INTEGERS: "int64"}
"""The three types that an example can hold, in the words of its format."""


@dataclass(frozen=True)
class FixedFeature:
    """A feature of one shape in all records.

    Attributes:
        shape: of one record's values.
        dtype: `BYTES`, `FLOATS` or `INTEGERS`.
        default: what stands where it is missing, of this shape or of one value; None if no
            record may lack it.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    default: npt.ArrayLike | None = None

    @property
    def size(self) -> int:
        """How many values it has."""
        return prod(self.shape)

    def defaults(self) -> npt.NDArray[Any]:
        """Return what stands where it is missing, of its shape; zeros where no default is given."""
        default = zero_of(self.dtype) if self.default is None else self.default
        return np.broadcast_to(np.asarray(default, self.dtype), self.shape)

    def with_zeros(self) -> FixedFeature:
        """Return it with zeros, or empty strings, where it is missing."""
        return FixedFeature(self.shape, self.dtype, zero_of(self.dtype))

    def __str__(self) -> str:
        return f"{NAMES[self.dtype]} of shape {self.shape}"


@dataclass(frozen=True)
class ListFeature:
    """A feature of any number of values: a list of varying length, empty where it is missing."""

    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return f"{NAMES[self.dtype]} of varying length"


Feature: TypeAlias = FixedFeature | ListFeature
Spec: TypeAlias = dict[str, Feature]
"""Features by name."""


def zero_of(dtype: np.dtype[Any]) -> Value:
    """Return what stands for nothing: 0, or the empty string."""
    return b"" if dtype == BYTES else dtype.type(0)


def padded(feature: Feature) -> Feature:
    """Return a feature with zeros, or empty strings, where it is missing."""
    return feature if isinstance(feature, ListFeature) else feature.with_zeros()


def is_required(feature: Feature) -> bool:
    """Tell whether each record must have it."""
    return isinstance(feature, FixedFeature) and feature.default is None


def features_of(spec: Mapping[str, Any]) -> Spec:
    """Return a spec of features, given as such or as TensorFlow's (`tf.io.FixedLenFeature`).

    Raises:
        UsageError: one is neither of one shape nor a plain list.
    """
    return {name: _feature_of(name, given) for name, given in spec.items()}


def _feature_of(name: str, given: Any) -> Feature:
    if isinstance(given, FixedFeature | ListFeature):
        return given
    # By what they have, not by their types: TensorFlow may not be there.
    kind = type(given).__name__
    if kind == "FixedLenFeature":
        shape = tuple(int(size) for size in given.shape)
        return FixedFeature(shape, _dtype_of(name, given.dtype), given.default_value)
    if kind == "RaggedFeature" and not given.partitions and given.value_key in (None, name):
        return ListFeature(_dtype_of(name, given.dtype))
    raise UsageError(
        f"spec: {name!r} is {given}, expected a FixedFeature, a ListFeature, or "
        "TensorFlow's FixedLenFeature or RaggedFeature without partitions"
    )


def _dtype_of(name: str, given: Any) -> np.dtype[Any]:
    dtype: np.dtype[Any] = np.dtype(given.as_numpy_dtype)
    if dtype not in NAMES:
        raise UsageError(f"spec: {name!r} is of {dtype}, expected string, float32 or int64")
    return dtype
