"""The report of a run, `--report FILE.json`: what was read, written, counted, dropped and skipped.

If a run succeeds, its report is one of its outputs, and appears with them or not at all. If it
fails, the report says why. `docs/reliability.md` describes the fields.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from nsl_tools import __version__
from nsl_tools.errors import without_secrets
from nsl_tools.files.outputs import Outputs
from nsl_tools.files.paths import inputs_of, named_by, split_member
from nsl_tools.files.preflight import check_report
from nsl_tools.files.shards.provenance import input_state
from nsl_tools.memory import peak_memory
from nsl_tools.statistics import Statistics

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nsl_tools.files.publishing import Written
    from nsl_tools.options import RunOptions


class Report:
    """The report of one run.

    Attributes:
        statistics: what the run counts.
    """

    def __init__(
        self,
        command: str,
        options: RunOptions,
        inputs: Mapping[str, Sequence[str]],
        output: str,
    ) -> None:
        """Begin to measure; `inputs`, by kind, and `output` are as the user gave them.

        Raises:
            OutputError: the report cannot be written.
            UsageError: it would replace an input or output.
        """
        self.statistics = Statistics(options.max_errors)
        self._start = time.monotonic()
        self._command = command
        self._options = options
        self._inputs = {
            kind: [name for path in paths for name in inputs_of(split_member(path)[0])]
            for kind, paths in inputs.items()
        }
        self._outputs = named_by(output)
        if options.report is not None:
            every = [name for names in self._inputs.values() for name in names]
            check_report(options.report, every + self._outputs)

    def of_success(self, written: Iterable[Written]) -> tuple[str, bytes] | None:
        """Return the file and content of the report of a run that succeeds; None if none is wanted.

        Args:
            written: the outputs, complete.
        """
        if self._options.report is None:
            return None
        files = {file.path: {"bytes": file.bytes, "crc32c": file.crc32c} for file in written}
        return self._options.report, self._encoded(0, None, files)

    def of_estimate(
        self, status: int, problems: Sequence[str], estimate: Mapping[str, object]
    ) -> None:
        """Write the report of a run that was only estimated, if one is wanted.

        Raises:
            OutputError: it cannot be written.
        """
        if self._options.report is not None:
            self._write(self._encoded(status, "; ".join(problems) or None, {}, estimate))

    def fail(self, status: int, error: str) -> None:
        """Write the report of a run that failed with an exit status and a line.

        Raises:
            OutputError: it cannot be written.
        """
        if self._options.report is not None:
            self._write(self._encoded(status, error, {}))

    def _write(self, content: bytes) -> None:
        path = self._options.report or ""
        with Outputs("none") as outputs, outputs.open(path) as file:
            file.write(content)

    def _encoded(
        self,
        status: int,
        error: str | None,
        written: Mapping[str, Mapping[str, object]],
        estimate: Mapping[str, object] | None = None,
    ) -> bytes:
        content = {
            "format": 1,  # version of these fields
            "command": self._command,
            "version": __version__,
            "exit_status": status,
            "error": error,
            "seconds": round(time.monotonic() - self._start, 3),
            "peak_memory_bytes": peak_memory(),
            "options": asdict(self._options),
            "inputs": {
                kind: [{**input_state(name), "name": name} for name in names]
                for kind, names in self._inputs.items()
            },
            "outputs": [{"name": name, **written.get(name, {})} for name in self._outputs],
            **self.statistics.report(),
            **({} if estimate is None else {"estimate": estimate}),
        }
        return (without_secrets(json.dumps(content, indent=1)) + "\n").encode()
