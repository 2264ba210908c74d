"""What Python runs first in each child process of `pytest --spill ROWS`; see `spilling.py`."""

from spilling import spill_on_start

spill_on_start()
