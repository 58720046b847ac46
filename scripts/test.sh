#!/usr/bin/env bash
# Set up and pass the tests:  bash scripts/test.sh [PYTEST ARGUMENTS...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh

project_environment dev
.venv/bin/geoclip fetch # tests compare with the released weights; without them they would be skipped
exec "$PYTHON" -m pytest "$@"
