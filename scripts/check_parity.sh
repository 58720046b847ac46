#!/usr/bin/env bash
# Same numbers as the released package? Runs both, each in its own environment, and compares what they answer.
#
#   scripts/check_parity.sh [--full] [--seed N] [--out FILE.jsonl]
#
# --full runs the bf16 paths over the whole gallery and all photos, not over samples of them (slow on a CPU
# without bf16 units). Takes some five minutes on two cores, 6 GB of memory and 2 GB of temporary disk.
# Exits 1 where a number is out of bounds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source benchmarks/environments.sh

exec "$PYTHON" -m benchmarks.parity --released-python "$RELEASED_PYTHON" "$@"
