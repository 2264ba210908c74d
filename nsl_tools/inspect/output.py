"""Where findings go: text or JSON to standard output, a page to a file."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from nsl_tools.files.outputs import Outputs
from nsl_tools.inspect.page import page
from nsl_tools.inspect.text import text

if TYPE_CHECKING:
    from nsl_tools.inspect.findings import Findings


def write_findings(findings: Findings, *, html: str | None, as_json: bool, quiet: bool) -> None:
    """Write what was found.

    Args:
        findings: what to write.
        html: file of a page; None for none.
        as_json: write JSON instead of text.
        quiet: no text.

    Raises:
        OutputError: a file cannot be written.
    """
    if html:
        with Outputs() as outputs, outputs.open(html) as file:
            file.write(page(findings).encode())
    if as_json:
        sys.stdout.write(json.dumps(findings.as_json(), indent=2, ensure_ascii=False) + "\n")
    elif not quiet:
        sys.stdout.write(text(findings))
    sys.stdout.flush()
