#!/usr/bin/env bash
# Has a change made the heart slower? Two minutes; let nothing else run:  bash scripts/bench_guard.sh [--save]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh

project_environment dev
.venv/bin/geoclip fetch
exec "$PYTHON" -m benchmarks.guard "$@"
