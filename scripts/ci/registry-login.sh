#!/usr/bin/env bash
# Signs Docker in to a registry of ECR with the credentials of this job; they last twelve hours.
# Needs the AWS command line and REGISTRY, its host.
set -euo pipefail

: "${REGISTRY:?the host of the registry}"
[[ $REGISTRY =~ ^[0-9]{12}\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?$ ]] || {
  printf 'error: REGISTRY is no host of ECR\n' >&2
  exit 1
}
aws ecr get-login-password --region "${BASH_REMATCH[1]}" |
  docker login --username AWS --password-stdin "$REGISTRY"
