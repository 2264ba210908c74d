"""Check the arguments of the wrappers, and sort out NSL's older spellings of them."""

from collections.abc import Sequence
from typing import Any

from nsl_tools.configs import AdvRegConfig


def check_type(name: str, value: Any, expected: Any) -> None:
    """Raise a `TypeError` unless `value` is an instance of `expected`."""
    if not isinstance(value, expected):
        raise TypeError(
            f"Invalid value for argument `{name}`. Expected {expected}. "
            f"Received: {value!r} of type {type(value).__name__}."
        )


def keys_and_config(
    label_keys: Sequence[str] | str | AdvRegConfig, adv_config: AdvRegConfig | None
) -> tuple[tuple[str, ...], AdvRegConfig]:
    """Return label keys and configuration, whichever of them came in the second place.

    NSL 1.4 takes `label_keys` there; its announcement writes the configuration.
    """
    if isinstance(label_keys, AdvRegConfig):
        return ("label",), label_keys
    if isinstance(label_keys, str):
        label_keys = (label_keys,)
    check_type("label_keys", label_keys, Sequence)
    check_type("adv_config", adv_config, AdvRegConfig | None)
    return tuple(label_keys), adv_config or AdvRegConfig()
