#!/usr/bin/env bash
# All checks: style, types, import contracts, tests with coverage. Sets everything up first.
# With arguments, only the tests run, and the arguments are pytest's.
set -euo pipefail

# shellcheck source=scripts/lib/environment.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib/environment.sh"

prepare requirements-dev.lock
cd -- "$root"
export PATH="$venv/bin:$PATH"

if [ $# -gt 0 ]; then
  exec pytest "$@"
fi

failed=()

check() {
  local title=$1
  shift
  printf '\n== %s\n' "$title"
  "$@" || failed+=("$title")
}

check 'style' ruff check .
check 'format' ruff format --check .
check 'types' mypy platform/interlock platform_tests monitoring docker/dagster docker/platform infrastructure scripts/lib scripts/ci
check 'workflows' python scripts/ci/check_workflows.py
check 'imports' lint-imports
check 'tests' pytest -n 3 --cov --cov-report=
check 'coverage, 90 % of all' coverage report --fail-under=90
check 'coverage, 100 % of governance' \
  coverage report --include='*/interlock/governance/*' --fail-under=100

if [ ${#failed[@]} -gt 0 ]; then
  printf '\nfailed: %s\n' "$(IFS=';'; printf '%s' "${failed[*]}")"
  exit 1
fi
printf '\nall checks passed\n'
