#!/bin/sh
# Installs the packages of one image at the versions and hashes of the lock file, and no others.
#
# usage: install-locked.sh NAMES LOCK
#   NAMES  file with one package name per line: what the image imports directly
#   LOCK   requirements.lock; what the named packages need in turn comes from it as well
#
# uv refuses a package whose hash the lock does not hold, so an image cannot drift from the lock.
set -eu

names=$1 lock=$2
direct=$(mktemp)
trap 'rm -f "$direct"' EXIT

while read -r name; do
  case $name in '' | '#'*) continue ;; esac
  # A name may stand in the lock once per operating system, each with its marker.
  if ! grep -E "^$name==" "$lock" | sed 's/ *\\$//' >>"$direct" || ! grep -qE "^$name==" "$lock"; then
    echo "install-locked.sh: $name is in $names and not in $lock; add it to pyproject.toml and compile the lock anew" >&2
    exit 1
  fi
done <"$names"

uv pip install --require-hashes --requirement "$direct" --constraint "$lock"

# Packages' own tests: no image runs them.
find "$VIRTUAL_ENV" -type d -name tests -prune -exec rm -rf {} +
