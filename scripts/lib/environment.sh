# shellcheck shell=bash
# The environment in .venv, set up from nothing but Python, a shell and the package index.
#
# Sourced by the scripts beside this folder. `prepare LOCK` installs what LOCK says and the
# package itself; it returns at once when that has been done. Everything that it says goes to
# standard error, so that a command's own output stays clean.

root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
venv=$root/.venv

say() {
  printf '%s\n' "$*" >&2
}

fail() {
  say "error: $*"
  exit 1
}

# Whether a program is a Python that Interlock runs on.
fits() {
  "$1" -c 'import sys; raise SystemExit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
    >/dev/null 2>&1
}

find_python() {
  local name path
  for name in python3 python3.13 python3.12 python3.11 python; do
    if path=$(command -v "$name") && fits "$path"; then
      printf '%s\n' "$path"
      return
    fi
  done
  fail "found no Python 3.11, 3.12 or 3.13 (python3 is $(python3 --version 2>&1 || true));" \
    "install one, for instance with your system's package manager or from https://www.python.org"
}

# The uv that is there when it is new enough, else one from the package index.
find_uv() {
  local path version
  for path in "$(command -v uv || true)" "$venv/bootstrap/uv"; do
    if [ -n "$path" ] && version=$("$path" --version 2>/dev/null); then
      case $version in
        'uv 0.'[0-4].* ) ;; # too old for UV_DEFAULT_INDEX
        *)
          printf '%s\n' "$path"
          return
          ;;
      esac
    fi
  done
  say 'uv is missing; getting it from the package index'
  "$1" -I "$root/scripts/lib/bootstrap.py" uv "$root/requirements.lock" "$venv/bootstrap" ||
    fail 'the environment cannot be set up without uv'
}

# Whether .venv holds exactly what a lock file and pyproject.toml say.
is_prepared() {
  [ -x "$venv/bin/interlock" ] &&
    cmp -s "$root/$1" "$venv/prepared/$1" &&
    cmp -s "$root/pyproject.toml" "$venv/prepared/pyproject.toml" &&
    [ "$(cat "$venv/prepared/root")" = "$root" ]
}

prepare() {
  local lock=$1 python uv pip_settings
  # The development environment holds everything that the plain one does.
  if is_prepared "$lock" || is_prepared requirements-dev.lock; then
    return
  fi
  say "setting up the environment in $venv (once; a few minutes)"
  python=$(find_python)
  if [ -e "$venv" ] && ! fits "$venv/bin/python"; then
    rm -rf -- "$venv"
  fi
  mkdir -p -- "$venv"
  rm -rf -- "$venv/prepared"
  uv=$(find_uv "$python")
  pip_settings=$("$python" -I "$root/scripts/lib/bootstrap.py" settings)
  (
    eval "$pip_settings"
    # The environment is .venv, whichever one is active.
    unset UV_SYSTEM_PYTHON UV_PYTHON VIRTUAL_ENV CONDA_PREFIX
    cd -- "$root"
    fits "$venv/bin/python" ||
      "$uv" venv --quiet --no-project --allow-existing --python "$python" "$venv"
    "$uv" pip sync --require-hashes --compile-bytecode --python "$venv/bin/python" "$lock"
    "$uv" pip install --quiet --no-deps --python "$venv/bin/python" --editable .
  ) >&2 || fail 'setting up the environment failed; what went wrong is above'
  mkdir -p -- "$venv/prepared"
  cp -- "$root/$lock" "$root/pyproject.toml" "$venv/prepared/"
  printf '%s\n' "$root" >"$venv/prepared/root"
}
