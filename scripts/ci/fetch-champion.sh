#!/usr/bin/env bash
# Gets the metrics that main's newest successful build left, as the champion to compare with.
# usage: scripts/ci/fetch-champion.sh FOLDER; needs gh, GH_TOKEN and GH_REPO. Without such a build, or
# when it cannot be had, there is nothing to compare with, which is no failure.
set -euo pipefail

folder=${1:?the folder to write to}
rm -rf -- "$folder"
run=$(gh run list --workflow main.yml --branch main --event push --status success --limit 1 \
  --json databaseId --jq '.[0].databaseId // empty') || run=''
if ! [[ $run =~ ^[0-9]+$ ]]; then
  printf 'main has no successful build yet: there is no champion to compare with\n'
  exit 0
fi
gh run download "$run" --name sample-metrics --dir "$folder" ||
  printf 'the metrics of build %s are gone: there is no champion to compare with\n' "$run"
