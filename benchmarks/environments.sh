# Sourced at the top of the checkout: puts the interpreters of this project and of the released package into PYTHON and
# RELEASED_PYTHON, making their environments where there are none. Both can be set beforehand.

if [ -z "${PYTHON:-}" ]; then
  # shellcheck source=scripts/environment.sh
  source scripts/environment.sh
  project_environment bench
fi

# The released package owns the import name of this one, so it lives in an environment of its own.
if [ -z "${RELEASED_PYTHON:-}" ]; then
  RELEASED_PYTHON="$PWD/.venv-released/bin/python"
  if ! "$RELEASED_PYTHON" -c 'import importlib.metadata as m; assert m.version("geoclip") == "1.3.0"' 2>/dev/null; then
    echo "Installing geoclip==1.3.0 into $PWD/.venv-released ..." >&2
    "$PYTHON" -m venv --clear .venv-released
    # 5.0 is the first transformers with both image processors
    "$RELEASED_PYTHON" -m pip install --quiet --disable-pip-version-check "geoclip==1.3.0" "transformers>=5"
  fi
fi
