#!/usr/bin/env bash
# Set up and pass the tests:  bash scripts/test.sh [--fast] [PYTEST ARGUMENTS...]
# --fast leaves out what is marked slow. Two minutes become ten without it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh

tier=()
if [ "${1:-}" = --fast ]; then
  tier=(-m "not slow")
  shift
fi
project_environment dev
.venv/bin/geoclip fetch # tests compare with the released weights; without them they would be skipped
# A file's tests share what they set up, so a file stays with one worker; each worker computes on one core.
exec "$PYTHON" -m pytest -n logical --maxprocesses 4 --dist loadfile "${tier[@]}" "$@"
