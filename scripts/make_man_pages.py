"""Write the man pages of all commands to a folder: `man -l DIR/nsl-tools-inspect.1`.

pip install '.[release]'
python scripts/make_man_pages.py DIR
"""

from __future__ import annotations

import argparse
from pathlib import Path

from click_man.core import write_man_pages

from nsl_tools import __version__
from nsl_tools.cli.commands import cli


def main() -> None:
    """Write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    write_man_pages("nsl-tools", cli, version=__version__, target_dir=str(folder))


if __name__ == "__main__":
    main()
