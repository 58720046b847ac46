#!/usr/bin/env bash
# Measure this project beside others, and report.
#
#   benchmarks/bench.sh quick|full [--suites S...] [--index PLANET] [--out FILE.jsonl]   about ten minutes; half an hour
#   benchmarks/bench.sh report FILE.jsonl...                                             tables, and figures/*.png
#   benchmarks/bench.sh agreement A.jsonl B.jsonl                                        how far two runs differ
#
# Makes .venv (with usearch and LanceDB) and .venv-released (geoclip==1.3.0, faiss-cpu) where they are missing, and takes a
# copy of FastGeoCLIP into .fastgeoclip; PYTHON, RELEASED_PYTHON and FASTGEOCLIP name others. Let nothing else run meanwhile.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck source=scripts/environment.sh
[ -n "${PYTHON:-}" ] || { . "$ROOT/scripts/environment.sh"; project_environment bench; }
if [ "${1:-}" = report ] || [ "${1:-}" = agreement ]; then
  PYTHONPATH="$ROOT" exec "$PYTHON" -m benchmarks.bench "$@"
fi

# shellcheck source=scripts/parity/environments.sh
. "$ROOT/scripts/parity/environments.sh"
"$RELEASED_PYTHON" -c 'import faiss' 2>/dev/null || "$RELEASED_PYTHON" -m pip install --quiet faiss-cpu
FASTGEOCLIP="${FASTGEOCLIP:-$ROOT/.fastgeoclip}"
COMMIT=2e5423aab6e429e91ac8b1db594ccdee310598aa
if ! [ -d "$FASTGEOCLIP" ]; then
  { git clone --quiet https://github.com/fbarbe00/FastGeoCLIP "$FASTGEOCLIP" &&
    git -C "$FASTGEOCLIP" checkout --quiet "$COMMIT"; } || {
    rm -rf "$FASTGEOCLIP"
    echo "FastGeoCLIP cannot be fetched; it is left out." >&2
  }
fi
[ -d "$FASTGEOCLIP" ] && set -- "$@" --fastgeoclip "$FASTGEOCLIP"
"$PYTHON" -c 'from geoclip.release.fetch import released; released()'
PYTHONPATH="$ROOT" exec "$PYTHON" -m benchmarks.bench "$@" --released-python "$RELEASED_PYTHON"
