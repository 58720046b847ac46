#!/usr/bin/env bash
# Measure this project beside others: about ten minutes (quick) or half an hour (full) on two cores. Let nothing else run.
#
#   benchmarks/bench.sh quick|full [--suites S...] [--index PLANET] [--out FILE.jsonl]
#
# Makes .venv (with usearch and LanceDB) and .venv-released (geoclip==1.3.0, faiss-cpu) where they are missing, and takes a
# copy of FastGeoCLIP into .fastgeoclip; PYTHON, RELEASED_PYTHON and FASTGEOCLIP name others.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source benchmarks/environments.sh

"$RELEASED_PYTHON" -c 'import faiss' 2>/dev/null || "$RELEASED_PYTHON" -m pip install --quiet faiss-cpu
FASTGEOCLIP="${FASTGEOCLIP:-.fastgeoclip}"
COMMIT=2e5423aab6e429e91ac8b1db594ccdee310598aa
if ! [ -d "$FASTGEOCLIP" ]; then
  { git clone --quiet https://github.com/fbarbe00/FastGeoCLIP "$FASTGEOCLIP" &&
    git -C "$FASTGEOCLIP" checkout --quiet "$COMMIT"; } || {
    rm -rf "$FASTGEOCLIP"
    echo "FastGeoCLIP cannot be fetched; it is left out." >&2
  }
fi
[ -d "$FASTGEOCLIP" ] && set -- "$@" --fastgeoclip "$FASTGEOCLIP"
"$PYTHON" -m geoclip fetch
exec "$PYTHON" -m benchmarks "$@" --released-python "$RELEASED_PYTHON"
