# shellcheck shell=bash
# shellcheck disable=SC2034  # the scripts that source this use what is set here
# What build-all.sh, rebuild.sh and decommission.sh share: messages, Docker, .env, images, volumes.
# Sourced, never run; the sourcing script has `set -euo pipefail` and is in the repository's root.
# Works with the bash 3.2 of macOS.

# Images that are built here, each with the services that run it; the first one's `build:` builds it.
STACK_IMAGES='platform code-server storage-volume storage-buckets drift-monitor dagster-exporter
dagster dagster-webserver dagster-daemon console keys accounts
mlflow mlflow'
STACK_JOBS='accounts
databases
keys
storage-volume
storage-keys
storage-buckets'
# What writes to the audit trail, directly or by starting a run.
STACK_WRITERS='dagster-webserver console dagster-daemon code-server'
# Volumes of the keys that sign, and of their public halves.
STACK_KEYS='identity-key approval-key public-keys'
# Made by build-all.sh when they are missing; compose starts nothing without them.
STACK_SECRETS='POSTGRES_PASSWORD
DAGSTER_DB_PASSWORD
MLFLOW_DB_PASSWORD
MINIO_ROOT_PASSWORD
RUNS_S3_SECRET_KEY
MLFLOW_S3_SECRET_KEY
LOGS_S3_SECRET_KEY
WEB_S3_SECRET_KEY
MONITORING_S3_SECRET_KEY
RUN_SIGNING_KEY
GRAFANA_ADMIN_PASSWORD'
SECRETS_BEGIN='# --- Made by build-all.sh; the volumes know these secrets, keep them ---'
SECRETS_END='# --- End of what build-all.sh made ---'

say() { printf '%s\n' "$*"; }
step() { printf '\n== %s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die() { # die MESSAGE REMEDY
  printf 'error: %s\n       %s\n' "$1" "$2" >&2
  exit 1
}
usage() { # the comment at the top of the script that was called
  awk 'NR > 1 && !/^#/ {exit} NR > 1 {sub(/^# ?/, ""); print}' "$0"
}
misused() { # misused MESSAGE
  printf '%s\n\n' "$1" >&2
  usage >&2
  exit 2
}

contains() { # contains WORD LINES
  grep -qxF -- "$1" <<<"$2"
}
one_line() { paste -sd' ' -; }

require_docker() {
  local version major minor
  command -v docker >/dev/null || die 'docker is not installed' 'install Docker Engine or Docker Desktop'
  docker version --format '{{.Server.Version}}' >/dev/null 2>&1 ||
    die 'the Docker daemon does not answer' 'start it, and see that you may use it: docker version'
  version=$(docker compose version --short 2>/dev/null) ||
    die 'docker has no compose plugin' 'install Docker Compose 2.20 or newer'
  IFS=. read -r major minor _ <<<"${version#v}"
  if [ "$major" -lt 2 ] || { [ "$major" -eq 2 ] && [ "$minor" -lt 20 ]; }; then
    die "Docker Compose is $version" 'install 2.20 or newer'
  fi
}

# A variable as compose would take it: the shell's, else the one in .env, else the default.
setting() { # setting NAME DEFAULT
  local value=${!1:-}
  if [ -z "$value" ] && [ -f .env ]; then
    value=$(sed -n "s/^[[:space:]]*$1=//p" .env | tail -n 1)
    value=${value%\"} value=${value#\"} value=${value%\'} value=${value#\'}
  fi
  printf '%s' "${value:-$2}"
}

missing_secrets() { # one name per line
  local name
  while read -r name; do
    [ -n "$(setting "$name" '')" ] || printf '%s\n' "$name"
  done <<<"$STACK_SECRETS"
}

random_hex() { # 32 random bytes
  od -An -N32 -tx1 /dev/urandom | tr -d ' \n'
}

services() { # all services of the stack, one per line
  docker compose config --services
}
require_service() { # require_service NAME ALL
  contains "$1" "$2" || die "there is no service $1" "choose one of: $(sort <<<"$2" | one_line)"
}

project() { setting COMPOSE_PROJECT_NAME "$(sed -n 's/^name: *//p' docker-compose.yml)"; }
volume_of() { printf '%s_%s' "$(project)" "$1"; }
has_volume() { docker volume inspect "$(volume_of "$1")" >/dev/null 2>&1; }

image_of() { # image_of platform|dagster|mlflow
  printf '%s/%s:%s' "$(setting INTERLOCK_IMAGES interlock)" "$1" "$(setting INTERLOCK_TAG 0.1.0)"
}

# The line of STACK_IMAGES in which a service stands; nothing for an image that is not built here.
image_line() { # image_line SERVICE
  local name others
  while read -r name others; do
    case " $others " in *" $1 "*) printf '%s %s' "$name" "$others" && return ;; esac
  done <<<"$STACK_IMAGES"
}
builder_of() { # builder_of SERVICE: the service whose `build:` builds its image
  local line
  line=$(image_line "$1")
  # shellcheck disable=SC2086  # words
  set -- $line
  printf '%s' "${2:-}"
}
