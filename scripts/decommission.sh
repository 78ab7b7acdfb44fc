#!/usr/bin/env bash
# Removes the composed stack. The audit trail is exported and verified first, and stays where it is
# unless its destruction is asked for.
#
# usage: scripts/decommission.sh [--yes] [--destroy-audit] [--export FOLDER] [--accept-broken-trail]
#
#   --yes                  answer the question with yes
#   --destroy-audit        remove the object store's volume too, and the secrets from .env; without
#                          it the store and its audit trail wait for the next scripts/build-all.sh
#   --export FOLDER        where the trail goes (default audit-export-<time>; must not exist)
#   --accept-broken-trail  go on although the exported trail is not intact
#   --help                 this text
#
# Order: end what writes to the trail, export the trail, verify the export, ask, remove. Until the
# answer nothing is removed; whoever says no, or interrupts, finds everything started again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/stack.sh
. scripts/lib/stack.sh

yes='' destroy='' accept_broken='' folder=audit-export-$(date -u +%Y%m%dT%H%M%SZ)
while [ $# -gt 0 ]; do
  case $1 in
    --yes) yes=1 ;;
    --destroy-audit) destroy=1 ;;
    --accept-broken-trail) accept_broken=1 ;;
    --export)
      [ $# -gt 1 ] || misused '--export needs a folder'
      folder=$2
      shift
      ;;
    -h | --help) usage; exit 0 ;;
    *) misused "unknown option $1" ;;
  esac
  shift
done

COURIER=$(project)-audit-export # the container that exports
COPY=/scratch/$(basename "$folder") # where it writes to: a volume, because its root is read-only

stopped=''
resume() {
  docker rm --force "$COURIER" >/dev/null 2>&1 || true
  [ -z "$stopped" ] || {
    say "starting again: $stopped"
    # shellcheck disable=SC2086  # a service per word
    docker compose start $stopped >/dev/null
  }
}

stop_writers() {
  local name running
  running=$(docker compose ps --services --status running)
  for name in $STACK_WRITERS; do
    if contains "$name" "$running"; then stopped+="${stopped:+ }$name"; fi
  done
  # shellcheck disable=SC2086  # a service per word
  [ -z "$stopped" ] || docker compose stop $stopped
}

# interlock COMMAND...: in a container of its own, as an auditor, with the code server's volumes.
interlock() {
  docker rm --force "$COURIER" >/dev/null 2>&1 || true
  # Whoever may start a container here is believed on their word.
  docker compose run --no-deps --no-TTY --name "$COURIER" \
    --env IDENTITY_SOURCE=env --env RUN_ROLE=auditor --env RUN_OWNER="$(id -un)" code-server uv run --no-sync interlock "$@"
}

export_trail() {
  local intact=1 verdict
  interlock audit export "$COPY" || intact=''
  # Out of the container by copy, so that the files belong to whoever calls this.
  docker cp --quiet "$COURIER:$COPY" "$folder" 2>/dev/null ||
    die 'the audit trail could not be exported' \
      'see above; nothing was removed. docs/troubleshooting.md, "The trail cannot be exported"'
  # The exit code of this would tell of the export itself, which has no end in its own copy.
  verdict=$(interlock audit verify --json --export "$COPY" || true)
  grep -q '"intact": true' <<<"$verdict" || intact=''
  # Records that still wait for the store are part of the trail too.
  docker cp --quiet "$COURIER:/var/lib/interlock/spool" "$folder/waiting" 2>/dev/null || true
  find "$folder/waiting" -type f -name .lock -delete 2>/dev/null || true
  find "$folder" -type d -empty -delete
  [ -z "$intact" ] || return 0
  [ -n "$accept_broken" ] ||
    die "the exported audit trail in $folder is not intact" \
      'find out why before anything is removed; --accept-broken-trail goes on all the same'
  warn "the exported audit trail in $folder is NOT intact, which was accepted"
}

ask() {
  local answer
  say ''
  say "This removes the containers, networks, images and databases of the stack \"$(project)\":"
  say '  Dagster'\''s run history, the MLflow registry, metrics, dashboards'\'' own settings.'
  if [ -n "$destroy" ]; then
    say '  The object store too: data snapshots, models, accounts, and THE AUDIT TRAIL. And all keys.'
  else
    say "  Kept: volume $(volume_of minio) with data, models, audit trail and accounts, those of the"
    say '  keys that sign, and .env with its secrets.'
  fi
  [ -z "$exported" ] || say "  The audit trail is exported to $folder."
  [ -z "$yes" ] || return 0
  [ -t 0 ] || die 'there is nobody to ask' 'answer with --yes'
  read -r -p 'Go on? [y/N] ' answer
  case $answer in y | Y | yes) ;; *) die 'nothing was removed' 'say yes, or use --yes' ;; esac
}

remove() {
  local name volume kept
  kept=$(volume_of minio)
  # What was signed can be checked as long as it is kept.
  for name in $STACK_KEYS; do kept+=$'\n'$(volume_of "$name"); done
  if [ -d "$folder/waiting" ]; then kept+=$'\n'$(volume_of spool); fi # the next stack writes them
  docker rm --force "$COURIER" >/dev/null 2>&1 || true
  docker compose down --remove-orphans --timeout 30
  docker volume ls --quiet --filter "label=com.docker.compose.project=$(project)" | while read -r volume; do
    if [ -z "$destroy" ] && contains "$volume" "$kept"; then continue; fi
    docker volume rm "$volume" >/dev/null
    say "removed volume $volume"
  done
  while read -r name _; do
    if docker image inspect "$(image_of "$name")" >/dev/null 2>&1; then
      docker image rm "$(image_of "$name")" >/dev/null
      say "removed image $(image_of "$name")"
    fi
  done <<<"$STACK_IMAGES"
}

forget_secrets() {
  local draft
  [ -f .env ] || return 0
  draft=$(mktemp .env.XXXXXX)
  awk -v begin="$SECRETS_BEGIN" -v end="$SECRETS_END" '
    $0 == begin {inside = 1} !inside {print} $0 == end {inside = 0}' .env >"$draft"
  chmod 600 "$draft"
  mv "$draft" .env
}

require_docker
[ ! -e "$folder" ] || die "$folder exists already" 'choose another folder with --export'
# Without its secrets compose reads no file at all; nothing is started with these.
missing=$(missing_secrets)
for name in $missing; do export "$name=none"; done
exported=''
trap resume EXIT
trap 'exit 130' INT TERM
if has_volume minio; then
  [ -z "$missing" ] || die ".env has no $(one_line <<<"$missing"), without which the audit trail cannot be read" \
    'restore the .env of this stack; docs/troubleshooting.md, "The trail cannot be exported"'
  step 'Exporting and verifying the audit trail'
  stop_writers
  docker compose up --detach --wait --no-build minio
  export_trail
  exported=1
else
  say "no volume $(volume_of minio): there is no audit trail to export"
fi
ask
step 'Removing'
trap - EXIT
remove
if [ -n "$destroy" ]; then forget_secrets; fi
step 'Done'
[ -z "$exported" ] || say "audit trail: $folder (verify it anywhere: interlock audit verify --export $folder)"
[ -n "$destroy" ] || ! has_volume minio || say "object store: volume $(volume_of minio), taken up again by scripts/build-all.sh"
