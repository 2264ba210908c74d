#!/usr/bin/env bash
# Set up what training needs and run the main job on data/samples; needs Python and pip only.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x .venv/bin/python ] || python3 -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check -e '.[train]'
exec .venv/bin/python scripts/run_samples.py "$@"
