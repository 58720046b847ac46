#!/usr/bin/env bash
# Same numbers as the released package? Runs both, each in its own environment, and compares what they answer.
#
#   scripts/check_parity.sh [--full] [--seed N] [--out FILE.jsonl]
#
# --full runs the bf16 paths over the whole gallery and all photos, not over samples of them (slow on a CPU
# without bf16 units). Takes some five minutes on two cores, 6 GB of memory and 2 GB of temporary disk.
# Exits 1 where a number is out of bounds.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
seed=0
full=()
out="$ROOT/benchmarks/results/parity-$(date -u +%Y-%m-%d).jsonl"
while [ $# -gt 0 ]; do
  case "$1" in
    --full) full=(--full); shift ;;
    --seed) seed="$2"; shift 2 ;;
    --out) out="$2"; shift 2 ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
done

# shellcheck source=scripts/parity/environments.sh
. "$ROOT/scripts/parity/environments.sh"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

echo "The released package answers (a few minutes on a small CPU)" >&2
in_released "$ROOT/scripts/parity/released_answers.py" "$work" --seed "$seed"
echo "This project answers" >&2
machine="$(in_project -m benchmarks.machine)"
in_project "$ROOT/scripts/parity/compare_answers.py" "$work" --machine "$machine" --out "$out" "${full[@]}"
