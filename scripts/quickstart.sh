#!/usr/bin/env bash
# Set up, build the small index of the planet, and locate photos with the released weights:
#   bash scripts/quickstart.sh [PHOTO...]
# Safe to run again: what is installed, fetched, embedded and built stays, and a stopped build goes on.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh

project_environment map
geoclip=(.venv/bin/geoclip)
planet="${GEOCLIP_CACHE:-$HOME/.cache/geoclip-planet}/lite"

echo
echo "1. The released weights and gallery (40 MB, once)"
"${geoclip[@]}" fetch

echo
echo "2. Self-check: landmarks embedded by the trained location encoder, looked up among 100,000 places"
"$PYTHON" scripts/self_check.py

echo
echo "3. The small index of the planet (0.5 GB, once)"
if [ ! -e "$planet" ]; then
  "${geoclip[@]}" build "$planet" --preset lite --dry-run
  "${geoclip[@]}" build "$planet" --preset lite
fi
"${geoclip[@]}" info "$planet"

echo
echo "4. The same landmarks looked up on the whole planet"
"$PYTHON" scripts/self_check.py "$planet"

echo
echo "5. Five simulated queries, answered as photos are"
"${geoclip[@]}" search "$planet" scripts/examples.parquet -k 3

echo
echo "6. Photos"
if [ -z "${GEOCLIP_CLIP_CHECKPOINT:-}" ] && ! "${geoclip[@]}" fetch --clip; then
  echo "Everything else works: see \`.venv/bin/geoclip --help\` and README.md."
  exit 0
fi
if [ $# -eq 0 ]; then
  set -- "$("$PYTHON" -c 'from geoclip.release.fetch import example_photo; print(example_photo())')"
  echo "No photo was given, so this is the authors' example, taken on Kauai, Hawaii (22.1, -159.5)."
fi
"${geoclip[@]}" locate --index "$planet" "$@"
