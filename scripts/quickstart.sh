#!/usr/bin/env bash
# Set up and locate photos with the released weights:  bash scripts/quickstart.sh [PHOTO...]
# Safe to run again: what is installed, fetched and embedded stays.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh

project_environment ""
geoclip=(.venv/bin/geoclip)

echo
echo "1. The released weights and gallery (40 MB, once)"
"${geoclip[@]}" fetch

echo
echo "2. Self-check: landmarks embedded by the trained location encoder, looked up among 100,000 places"
"$PYTHON" scripts/self_check.py

echo
echo "3. Photos"
if [ -z "${GEOCLIP_CLIP_CHECKPOINT:-}" ] && ! "${geoclip[@]}" fetch --clip; then
  echo "Everything else works: see \`.venv/bin/geoclip --help\` and README.md."
  exit 0
fi
if [ $# -eq 0 ]; then
  set -- "$("$PYTHON" -c 'from geoclip.fetch import example_photo; print(example_photo())')"
  echo "No photo was given, so this is the authors' example, taken on Kauai, Hawaii (22.1, -159.5)."
fi
"${geoclip[@]}" locate "$@"
