# Sourced by the other scripts: makes ./.venv with this project in it, once; sets $PYTHON to its interpreter.
#   project_environment map     what users need
#   project_environment dev     and what tests, lint and types need

project_environment() {
  local extra="$1" root python stamp wanted
  root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
  PYTHON="$root/.venv/bin/python"
  stamp="$root/.venv/.installed${extra:+-$extra}"
  wanted="$(sha256sum "$root/pyproject.toml" | cut -d' ' -f1)"
  if [ -x "$PYTHON" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then return; fi

  python="$(find_python)" || {
    echo "Python 3.11 or newer is needed and none was found as python3 or python3.11 to python3.14; install one." >&2
    exit 2
  }
  echo "Installing into $root/.venv (torch with CUDA is about 5 GB; two to five minutes) ..." >&2
  # Some systems ship venv without ensurepip; virtualenv, fetched with pip to a temporary folder, needs neither.
  if ! [ -x "$PYTHON" ] || ! "$PYTHON" -m pip --version >/dev/null 2>&1; then
    rm -rf "$root/.venv"
    "$python" -m venv "$root/.venv" >/dev/null 2>&1 || {
      local bootstrap
      bootstrap="$(mktemp -d)"
      "$python" -m pip install --quiet --target "$bootstrap" virtualenv
      rm -rf "$root/.venv"
      PYTHONPATH="$bootstrap" "$python" -m virtualenv --quiet "$root/.venv"
      rm -rf "$bootstrap"
    }
  fi
  "$PYTHON" -m pip install --quiet --disable-pip-version-check --editable "$root${extra:+[$extra]}"
  echo "$wanted" >"$stamp"
}

find_python() {
  local name
  for name in python3 python3.14 python3.13 python3.12 python3.11; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  return 1
}
