"""What to read of packed examples, and how it becomes tensors: the same for every reader."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nsl_tools.data.features import (
    BYTES,
    FLOATS,
    FixedFeature,
    ListFeature,
    features_of,
    is_required,
    padded,
)
from nsl_tools.data.packed_spec import check_neighbors, infer_spec
from nsl_tools.errors import UsageError
from nsl_tools.feature_names import neighbor_feature, neighbor_weight

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nsl_tools.data.features import Feature, Spec, Value

    Decode = Callable[[Any], Any]

WEIGHT = FixedFeature((1,), FLOATS, 0.0)
"""The weight of an edge to a neighbour; 0 where there is none."""
LABEL_WEIGHT = FixedFeature((), FLOATS, 1.0)
"""What a label counts for; 1 where that is not said."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a reader is asked for; `make_dataset` says what each option means.

    Attributes:
        features: of a sample, and of its neighbours, by name.
        max_neighbors: neighbours that each sample has.
        labels: the label by its name, if there is one.
        label_weight: name of the feature that says what a label counts for.
        pad: number of values by name.
        pad_values: what to pad with, by name.
        ragged: names of lists that stay ragged.
        decode: what makes an array of one bytes value, by name.
        cut: counts, by name, lists that were cut.
    """

    features: Spec
    max_neighbors: int = 0
    labels: Spec = field(default_factory=dict)
    label_weight: str | None = None
    pad: Mapping[str, int] = field(default_factory=dict)
    pad_values: Mapping[str, Value] = field(default_factory=dict)
    ragged: Sequence[str] = ()
    decode: Mapping[str, Decode] = field(default_factory=dict)
    cut: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Refuse options for another kind of feature, and lengths below 1.

        Raises:
            UsageError: there is one.
        """
        varying = sorted(n for n, f in self.known.items() if isinstance(f, ListFeature))
        for option in ("pad", "pad_values", "ragged"):
            for name in getattr(self, option):
                if name not in varying:
                    raise UsageError(
                        f"{option}: {name!r} is no feature of varying length, expected one of "
                        f"{varying}"
                    )
        for name, size in self.pad.items():
            if size < 1:
                raise UsageError(f"pad: expected at least 1 value for {name!r}, received {size}")
        for name in self.decode:
            found = known_feature(self.known, name)
            is_one = isinstance(found, FixedFeature) and found.size == 1
            if not is_one or found.dtype != BYTES:
                raise UsageError(f"decode: {name!r} is {found}, expected one bytes value")

    @cached_property
    def known(self) -> Spec:
        """The features and the label."""
        return {**self.features, **self.labels}

    @cached_property
    def weights(self) -> list[str]:
        """The names of the neighbours' weights, by rank."""
        return [neighbor_weight(rank) for rank in range(self.max_neighbors)]

    def alike(self, name: str) -> list[str]:
        """Return the names of a feature: its own, then those of the neighbours, by rank."""
        if name not in self.features:
            return [name]
        return [name, *(neighbor_feature(rank, name) for rank in range(self.max_neighbors))]

    def count_cut(self, name: str, longer: int, longest: int) -> None:
        """Count lists that are longer than `pad` says; say so at the first of them."""
        if longer and not self.cut[name]:
            logging.getLogger("nsl_tools").warning(
                "feature %r: lists of more than %d values are cut, here one of %d",
                name, self.pad[name], longest,
            )  # fmt: skip
        self.cut[name] += longer


def request_of(
    spec: Mapping[str, Any],
    *,
    label: str | None,
    label_weight: str | None,
    features: Sequence[str] | None,
    **options: Any,
) -> Request:
    """Return what is asked for of features that are known; the options are a `Request`'s.

    Raises:
        UsageError: `label` or one of `features` is not in `spec`, or an option is for
            another kind of feature.
    """
    known = features_of(spec)
    names = _others(known, label, label_weight) if features is None else features
    labels = {}
    if label is not None:
        found = _scalar(known_feature(known, label))
        labels[label] = found if label_weight is None else padded(found)
    given = {name: option for name, option in options.items() if option is not None}
    return Request(
        features={name: labels.get(name, known_feature(known, name)) for name in names},
        labels=labels,
        label_weight=label_weight if label is not None else None,
        **given,
    )


def request_for(
    paths: Sequence[str],
    *,
    label: str | None,
    label_weight: str | None,
    features: Sequence[str] | None,
    id_feature: str,
    spec: Mapping[str, Any] | None,
    **options: Any,
) -> Request:
    """Return what is asked for of packed files, which tell what a spec does not.

    Raises:
        DataError: a file is not a packed TFRecord file.
        UsageError: as of `request_of`, or the type of a feature differs between records.
    """
    labels = [] if label is None else [label]
    wanted = None if features is None else {*features, *labels}
    known = features_of(spec or {})
    if not spec or (wanted and not wanted <= set(known)):
        found = infer_spec(paths, wanted, required=labels)
        # What is to be padded or ragged varies, even if it does not among the first records.
        options_of_lists = ("pad", "pad_values", "ragged")
        lists = {name for option in options_of_lists for name in options.get(option) or ()}
        found |= {name: ListFeature(found[name].dtype) for name in lists & set(found)}
        known = {**found, **known}
    names = _others(known, id_feature, label, label_weight) if features is None else features
    request = request_of(known, label=label, label_weight=label_weight, features=names, **options)
    if request.max_neighbors:
        needed = [name for name in names if is_required(known[name])]
        check_neighbors(paths, needed, request.max_neighbors)
    return request


def _others(spec: Spec, *but: str | None) -> list[str]:
    return [name for name in spec if name not in but]


def known_feature(spec: Spec, name: str) -> Feature:
    """Return a feature by its name.

    Raises:
        UsageError: there is none.
    """
    if name not in spec:
        raise UsageError(f"no feature {name!r}, expected one of {sorted(spec)}")
    return spec[name]


def _scalar(feature: Feature) -> Feature:
    """Return a feature of one value with shape () instead of (1,)."""
    if not isinstance(feature, FixedFeature) or feature.shape != (1,):
        return feature
    default = None if feature.default is None else feature.defaults()[0]
    return FixedFeature((), feature.dtype, default)
