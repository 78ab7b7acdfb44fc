#!/usr/bin/env bash
# Builds and starts the whole platform in containers, and waits until every part is healthy.
#
# usage: scripts/build-all.sh [--no-cache] [--only SERVICE] [--without SERVICE]... [--timeout SECONDS]
#
#   --no-cache         build the images from nothing
#   --only SERVICE     build and start this service and what it needs
#   --without SERVICE  leave this one out, e.g. grafana where its image cannot be had; may be repeated
#   --timeout SECONDS  how long to wait until all is healthy (default 600)
#   --help             this text
#
# Secrets that .env does not hold are made and added to it at first use. Run it again at any time:
# what is built and running stays as it is, what was interrupted is taken up again. Stop everything
# with `docker compose stop`; remove it with scripts/decommission.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/stack.sh
. scripts/lib/stack.sh

NEEDED_DISK_GB=10 # three images, their build cache, and room to work
NEEDED_MEMORY_GB=6

no_cache='' only='' without='' timeout=600
while [ $# -gt 0 ]; do
  case $1 in
    --no-cache) no_cache=--no-cache ;;
    --only | --without | --timeout)
      [ $# -gt 1 ] || misused "$1 needs a value"
      case $1 in
        --only) only=$2 ;;
        --without) without+="$2"$'\n' ;;
        --timeout) timeout=$2 ;;
      esac
      shift
      ;;
    -h | --help) usage; exit 0 ;;
    *) misused "unknown option $1" ;;
  esac
  shift
done
[ -z "$only" ] || [ -z "$without" ] || misused '--only and --without exclude each other'

# Each published port: variable, default, service.
PORTS='POSTGRES_PORT 5432 postgres
MINIO_PORT 9000 minio
MINIO_CONSOLE_PORT 9001 minio
MLFLOW_PORT 5000 mlflow
DAGSTER_PORT 3000 dagster-webserver
CONSOLE_PORT 8080 console
DRIFT_MONITOR_PORT 9100 drift-monitor
DAGSTER_EXPORTER_PORT 9200 dagster-exporter
PROMETHEUS_PORT 9090 prometheus
ALERTMANAGER_PORT 9093 alertmanager
GRAFANA_PORT 3030 grafana'

make_secrets() {
  local missing lost draft name
  missing=$(missing_secrets)
  [ -n "$missing" ] || return 0
  # The object store is told this one at every start; an earlier stack did not have it.
  lost=$(grep -vxF WEB_S3_SECRET_KEY <<<"$missing" || true)
  [ -z "$lost" ] || ! has_volume postgres ||
    die ".env has no $(one_line <<<"$lost"), and a database of an earlier stack exists, which knows other secrets" \
      'restore the .env of that stack, or remove it with scripts/decommission.sh'
  draft=$(mktemp .env.XXXXXX)
  # shellcheck disable=SC2064  # the name as it is now
  trap "rm -f '$draft'" EXIT
  {
    cat .env
    printf '\n%s\n' "$SECRETS_BEGIN"
    while read -r name; do printf '%s=%s\n' "$name" "$(random_hex)"; done <<<"$missing"
    # In a new stack people sign in; one that exists keeps to what it was told.
    if [ "$missing" = "$STACK_SECRETS" ] && [ -z "$(setting IDENTITY_SOURCE '')" ]; then
      printf 'IDENTITY_SOURCE=local\n'
    fi
    printf '%s\n' "$SECRETS_END"
  } >"$draft"
  chmod 600 "$draft"
  mv "$draft" .env # all or nothing
  trap - EXIT
  say "made $(wc -l <<<"$missing" | tr -d ' ') secrets in .env, which only you can read now"
}

check_disk() {
  local root free
  root=$(docker info --format '{{.DockerRootDir}}')
  # Docker Desktop keeps it inside a virtual machine, which df does not see.
  [ -d "$root" ] || return 0
  free=$(df -Pk "$root" | awk 'NR == 2 {printf "%d", $4 / 1048576}')
  [ "$free" -ge "$NEEDED_DISK_GB" ] ||
    die "$root has $free GB free, $NEEDED_DISK_GB GB are needed" \
      'free some; docker system df shows what Docker uses'
}

check_memory() {
  local total
  total=$(docker info --format '{{.MemTotal}}' | awk '{printf "%d", $1 / 1073741824}')
  [ "$total" -ge "$NEEDED_MEMORY_GB" ] ||
    warn "Docker has $total GB of memory; below $NEEDED_MEMORY_GB GB a training run may be killed"
}

check_ports() {
  local running variable default service port taken=''
  running=$(docker compose ps --services --status running)
  while read -r variable default service; do
    contains "$service" "$wanted" || continue
    ! contains "$service" "$running" || continue
    port=$(setting "$variable" "$default")
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      taken+="$port ($service, $variable) "
    fi
  done <<<"$PORTS"
  [ -z "$taken" ] ||
    die "in use already: $taken" 'stop what listens there, or set the variable in .env to another port'
}

builders() { # the services whose `build:` makes what is wanted, each once
  local service builder
  while read -r service; do
    builder=$(builder_of "$service")
    [ -z "$builder" ] || printf '%s\n' "$builder"
  done <<<"$wanted"
  # What a wanted service depends on runs the platform's image.
  builder_of storage-buckets
}

has_people() { # whether anybody but the stack's own accounts was ever added; the job says so last
  [ "$(docker logs --tail 1 "$(docker compose ps --all --quiet accounts)" 2>/dev/null)" != 'people: none yet' ]
}

address() { # address LABEL SERVICE VARIABLE DEFAULT [NOTE]
  contains "$2" "$wanted" || return 0
  printf '  %-14s http://localhost:%-6s %s\n' "$1" "$(setting "$3" "$4")" "${5:-}"
}

step 'Checking Docker, secrets, disk and ports'
require_docker
[ -f .env ] || { cp .env.example .env && say 'made .env from .env.example'; }
make_secrets
all=$(services)
for name in $only $without; do require_service "$name" "$all"; done
wanted=${only:-$(grep -vxF "$without" <<<"$all")}
check_disk
check_memory
check_ports
for name in $without; do
  warn "leaving out $name: it is neither started nor checked, and nothing stands in for it"
done

step 'Building images'
# shellcheck disable=SC2046,SC2086  # words
docker compose build $no_cache $(builders | sort -u)

step 'Starting, until every part is healthy'
# The jobs run where a service needs them; naming them would make compose wait for ended ones.
# shellcheck disable=SC2046  # words
docker compose up --detach --wait --wait-timeout "$timeout" --no-build \
  $(grep -vxF "$STACK_JOBS" <<<"$wanted") || {
  docker compose ps --all >&2
  die 'not every part became healthy' 'see why: docker compose logs SERVICE, and docs/troubleshooting.md'
}

step 'Running'
address Dagster dagster-webserver DAGSTER_PORT 3000
address Console console CONSOLE_PORT 8080
address MLflow mlflow MLFLOW_PORT 5000
address 'MinIO console' minio MINIO_CONSOLE_PORT 9001 "$(setting MINIO_ROOT_USER interlock-admin), MINIO_ROOT_PASSWORD in .env"
address Grafana grafana GRAFANA_PORT 3030 "$(setting GRAFANA_ADMIN_USER admin), GRAFANA_ADMIN_PASSWORD in .env"
address Prometheus prometheus PROMETHEUS_PORT 9090
address Alertmanager alertmanager ALERTMANAGER_PORT 9093
for name in $without; do printf '  %-14s left out\n' "$name"; done
say ''
if [ "$(setting IDENTITY_SOURCE env)" = env ]; then
  warn 'IDENTITY_SOURCE is env: nobody signs in, and everybody who reaches a page acts as the operator'
  say 'Next:'
elif contains dagster-webserver "$wanted" && ! has_people; then
  cat <<'FIRST'
Next: the first administrator, who then adds everybody else (docs/operations.md, "People").
  docker compose exec dagster-webserver interlock user add NAME --role platform_admin
FIRST
else
  say 'Next:'
fi
cat <<'NEXT'
  In Dagster launch the job credit_risk_pipeline, as an ML engineer of the team credit-risk; it also
  runs every six hours.
  docker compose exec dagster-webserver interlock audit verify
NEXT
