"""How strongly a regulariser counts as training goes on.

`MultiplierSchedule` changes the multiplier of a wrapped model between epochs, as
`keras.callbacks.LearningRateScheduler` changes a learning rate. `decay_over_time` is
NSL's family of decays.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from nsl_tools.configs import DecayConfig, DecayType

Tensor = Any


def decay_over_time(global_step: Any, decay_config: DecayConfig, init_value: Any = 1.0) -> Tensor:
    """Return `init_value` decayed to the given step, and no less than the minimum.

    With `t = global_step / decay_steps` and rate `r`: exponential `init * r**t`,
    inverse time `init / (1 + r * t)`, natural exponential `init * exp(-r * t)`.
    Source: NSL 1.4, `lib/utils.py`.

    Args:
        global_step: number or scalar tensor, not negative.
        decay_config: steps, rate, minimum and type.
        init_value: number or scalar tensor.

    Returns:
        A float32 scalar tensor.
    """
    time = ops.cast(global_step, "float32") / ops.cast(decay_config.decay_steps, "float32")
    factor = _DECAYS[DecayType(decay_config.decay_type)]
    decayed = ops.cast(init_value, "float32") * factor(
        ops.cast(decay_config.decay_rate, "float32"), time
    )
    return ops.maximum(decayed, ops.cast(decay_config.min_value, "float32"))


_DECAYS: dict[DecayType, Callable[[Tensor, Tensor], Tensor]] = {
    DecayType.EXPONENTIAL_DECAY: ops.power,
    DecayType.INVERSE_TIME_DECAY: lambda rate, time: 1.0 / (1.0 + rate * time),
    DecayType.NATURAL_EXP_DECAY: lambda rate, time: ops.exp(-rate * time),
}


class MultiplierSchedule(keras.callbacks.Callback):
    """Sets the multiplier of a wrapped model at the start of each epoch.

    The multiplier is zero before `start_epoch`. From then on it is the configured
    one times `factor(epoch - start_epoch)`.

    ```python
    adv_model.fit(x, y, callbacks=[nsl.keras.MultiplierSchedule(start_epoch=2)])
    ```

    Args:
        factor: takes the number of epochs since the start, returns a number. By
            default 1.
        start_epoch: first epoch, counted from 0, that has the regulariser.
    """

    def __init__(self, factor: Callable[[int], float] | None = None, start_epoch: int = 0) -> None:
        super().__init__()
        self._factor = factor or (lambda _: 1.0)
        self._start_epoch = start_epoch

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Set the multiplier of this epoch."""
        del logs
        since_start = epoch - self._start_epoch
        factor = 0.0 if since_start < 0 else float(self._factor(since_start))
        self.model.multiplier.assign(factor * self.model.configured_multiplier)
