#!/usr/bin/env bash
# Builds one service anew and replaces its container; the others keep running.
#
# usage: scripts/rebuild.sh SERVICE [--no-cache]
#
#   SERVICE     e.g. code-server, dagster-webserver, mlflow, drift-monitor, prometheus
#   --no-cache  build its image from nothing
#   --help      this text
#
# Services that run the same image are replaced with it, so that no two run different code. A run
# under way in the code server is ended with it, and Dagster starts it again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/stack.sh
. scripts/lib/stack.sh

service='' no_cache=''
while [ $# -gt 0 ]; do
  case $1 in
    --no-cache) no_cache=--no-cache ;;
    -h | --help) usage; exit 0 ;;
    -*) misused "unknown option $1" ;;
    *)
      [ -z "$service" ] || misused 'one service at a time'
      service=$1
      ;;
  esac
  shift
done
[ -n "$service" ] || misused 'which service?'

require_docker
[ -z "$(missing_secrets)" ] || die 'there is no stack yet: .env lacks its secrets' 'run scripts/build-all.sh first'
require_service "$service" "$(services)"
builder=$(builder_of "$service")
replaced=$service
if [ -n "$builder" ]; then
  step "Building the image of $service"
  # shellcheck disable=SC2086  # no word when empty
  docker compose build $no_cache "$builder"
  # Of the image's users those that run; jobs have ended, and what was left out stays out.
  running=$(docker compose ps --services --status running)
  for name in $(image_line "$service" | cut -d' ' -f3-) "$builder"; do
    if contains "$name" "$running" && [ "$name" != "$service" ]; then replaced+=" $name"; fi
  done
fi

step "Replacing $replaced"
# shellcheck disable=SC2086  # a service per word
docker compose up --detach --wait --no-deps --no-build --force-recreate $replaced || {
  docker compose ps --all $replaced >&2
  die "$replaced did not become healthy" "see why: docker compose logs $replaced"
}
