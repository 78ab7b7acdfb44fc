#!/usr/bin/env bash
# Writes a text to a pull request, in place of what it wrote there before.
# usage: scripts/ci/comment.sh FILE; needs gh, GH_TOKEN, GH_REPO and PULL_REQUEST.
set -euo pipefail

file=${1:?the file with the text}
[[ ${PULL_REQUEST:?the number of the pull request} =~ ^[0-9]+$ ]] || {
  printf 'error: PULL_REQUEST is no number\n' >&2
  exit 1
}
gh pr comment "$PULL_REQUEST" --body-file "$file" --edit-last --create-if-none
