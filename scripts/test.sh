#!/usr/bin/env bash
# Set up what development needs and pass the tests; needs Python and pip only.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x .venv/bin/python ] || python3 -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check -e '.[dev]'
exec .venv/bin/python -m pytest -n 2 --dist worksteal "$@"
