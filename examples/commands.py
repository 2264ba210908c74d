"""What `text.py` and `images.py` share: running `nsl-tools`."""

import subprocess
import sys


def run(folder: str, command: str) -> None:
    """Run `nsl-tools` with the words of a command, in a folder."""
    subprocess.run([sys.executable, "-m", "nsl_tools", *command.split()], cwd=folder, check=True)
