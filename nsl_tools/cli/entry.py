"""Where the program begins: `nsl-tools` and `python -m nsl_tools`."""

import signal

# Until `main` raises an exception for it, a signal from the keyboard ends the program at once:
# nothing is begun yet, and Python's own way is a traceback.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from nsl_tools.cli.commands import main

__all__ = ["main"]
