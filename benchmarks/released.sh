#!/usr/bin/env bash
# Time this project and the released package side by side, and print the results as Markdown.
#
#   benchmarks/released.sh [--only speed|memory] [--repeats N] [--points N] [--seed N] [--out FILE.jsonl]
#
# Takes about a quarter of an hour on two cores, 8 GB of memory and 2 GB of temporary disk. Let nothing else run meanwhile.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck source=scripts/parity/environments.sh
. "$ROOT/scripts/parity/environments.sh"

in_project -m benchmarks.side_by_side --released-python "$RELEASED_PYTHON" "$@"
