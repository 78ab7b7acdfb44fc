#!/usr/bin/env bash
# A governed pipeline on real data: sets everything up, then runs `interlock demo`.
# Arguments are those of `interlock demo`, for instance --json.
set -euo pipefail

# shellcheck source=scripts/lib/environment.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib/environment.sh"

prepare requirements.lock
exec "$venv/bin/interlock" demo "$@"
