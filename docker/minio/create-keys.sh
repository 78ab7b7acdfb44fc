#!/bin/sh
# Makes the least-privilege keys of the stack, or gives them the secrets that .env holds now.
# Runs once each time the stack starts; only shell builtins, cat and mc: the image has little else.
#
#   interlock-runs        code server and its runs: data, and what steps printed; the audit trail may
#                         be added to and read, never deleted from; environment marks only be read
#   interlock-mlflow      MLflow's server: its own prefix of the artifact bucket
#   interlock-logs        daemon: read what steps printed
#   interlock-web         web server, console and `interlock user`: accounts and what proves them, which
#                         no run may read or write; add to the audit trail; read all that it is about
#   interlock-monitoring  exporters: read data and audit trail
set -eu

: "${MC_HOST_store:?}" "${DATA_BUCKET:?}" "${ARTIFACT_BUCKET:?}" "${AUDIT_BUCKET:?}"

statement() { # statement Allow|Deny ACTIONS RESOURCES: the last two as quoted, comma-separated lists
  printf '{"Effect": "%s", "Action": [%s], "Resource": [%s]}' "$1" "$2" "$3"
}
bucket() { printf '"arn:aws:s3:::%s"' "$1"; }
objects() { printf '"arn:aws:s3:::%s/%s"' "$1" "$2"; }

LIST='"s3:ListBucket", "s3:ListBucketVersions", "s3:GetBucketLocation", "s3:GetBucketVersioning", "s3:GetBucketObjectLockConfiguration", "s3:ListBucketMultipartUploads"'
GET='"s3:GetObject", "s3:GetObjectVersion"'
PUT='"s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"'
LOCKED_PUT='"s3:PutObject", "s3:PutObjectRetention", "s3:GetObjectRetention"'
DELETE='"s3:DeleteObject", "s3:DeleteObjectVersion"'

# grant NAME SECRET STATEMENT...: a user, a policy of the same name, the one attached to the other
grant() {
  name=$1 secret=$2
  shift 2
  statements=
  for each in "$@"; do statements="$statements${statements:+, }$each"; done
  printf '{"Version": "2012-10-17", "Statement": [%s]}\n' "$statements" >"/tmp/$name.json"
  mc --quiet admin policy create store "$name" "/tmp/$name.json" >/dev/null
  printf '%s\n%s\n' "$name" "$secret" | mc --quiet admin user add store >/dev/null
  # Attaching what is attached is an error of mc's; what counts is what the user has afterwards.
  mc --quiet admin policy attach store "$name" --user "$name" >/dev/null 2>&1 || true
  case $(mc --quiet --json admin user info store "$name") in
    *"\"policyName\":\"$name\""* | *"\"policyName\": \"$name\""*) echo "key $name is in place" ;;
    *) echo "key $name has not the policy $name" >&2; exit 1 ;;
  esac
}

trail=${AUDIT_LOG_PREFIX:-governance/audit/}
trail=${trail%/}/

# Deleting under the probe's prefix is the probe's own attempt to break the lock. Deleting leases is
# how they are given back.
grant interlock-runs "${RUNS_S3_SECRET_KEY:?}" \
  "$(statement Allow "$LIST" "$(bucket "$DATA_BUCKET"), $(bucket "$ARTIFACT_BUCKET"), $(bucket "$AUDIT_BUCKET")")" \
  "$(statement Allow "$GET, $PUT" "$(objects "$DATA_BUCKET" '*')")" \
  "$(statement Deny '"s3:PutObject"' "$(objects "$DATA_BUCKET" '_interlock/*')")" \
  "$(statement Allow '"s3:DeleteObject"' "$(objects "$DATA_BUCKET" 'leases/*')")" \
  "$(statement Allow "$GET, $PUT" "$(objects "$ARTIFACT_BUCKET" 'dagster/*')")" \
  "$(statement Allow "$GET" "$(objects "$ARTIFACT_BUCKET" '_interlock/*'), $(objects "$AUDIT_BUCKET" '*')")" \
  "$(statement Allow "$LOCKED_PUT" "$(objects "$AUDIT_BUCKET" "$trail*"), $(objects "$AUDIT_BUCKET" '_interlock/probe/*')")" \
  "$(statement Allow "$DELETE" "$(objects "$AUDIT_BUCKET" '_interlock/probe/*')")"

# Accounts are written, never deleted; the environment's mark beside them is only read.
grant interlock-web "${WEB_S3_SECRET_KEY:?}" \
  "$(statement Allow "$LIST" "$(bucket "$DATA_BUCKET"), $(bucket "$ARTIFACT_BUCKET"), $(bucket "$AUDIT_BUCKET")")" \
  "$(statement Allow "$GET" "$(objects "$DATA_BUCKET" '*'), $(objects "$AUDIT_BUCKET" '*'), $(objects "$ARTIFACT_BUCKET" 'dagster/*'), $(objects "$ARTIFACT_BUCKET" '_interlock/*'), $(objects "$ARTIFACT_BUCKET" 'credentials/*')")" \
  "$(statement Allow '"s3:PutObject"' "$(objects "$ARTIFACT_BUCKET" '_interlock/people/*'), $(objects "$ARTIFACT_BUCKET" 'credentials/*'), $(objects "$DATA_BUCKET" 'leases/*')")" \
  "$(statement Allow '"s3:DeleteObject"' "$(objects "$DATA_BUCKET" 'leases/*')")" \
  "$(statement Allow "$LOCKED_PUT" "$(objects "$AUDIT_BUCKET" "$trail*"), $(objects "$AUDIT_BUCKET" '_interlock/probe/*')")" \
  "$(statement Allow "$DELETE" "$(objects "$AUDIT_BUCKET" '_interlock/probe/*')")"

grant interlock-mlflow "${MLFLOW_S3_SECRET_KEY:?}" \
  "$(statement Allow "$LIST" "$(bucket "$ARTIFACT_BUCKET")")" \
  "$(statement Allow "$GET, $PUT, \"s3:DeleteObject\"" "$(objects "$ARTIFACT_BUCKET" 'mlflow/*')")"

grant interlock-logs "${LOGS_S3_SECRET_KEY:?}" \
  "$(statement Allow "$LIST" "$(bucket "$ARTIFACT_BUCKET")")" \
  "$(statement Allow "$GET" "$(objects "$ARTIFACT_BUCKET" 'dagster/*')")"

grant interlock-monitoring "${MONITORING_S3_SECRET_KEY:?}" \
  "$(statement Allow "$LIST" "$(bucket "$DATA_BUCKET"), $(bucket "$ARTIFACT_BUCKET"), $(bucket "$AUDIT_BUCKET")")" \
  "$(statement Allow "$GET" "$(objects "$DATA_BUCKET" '*'), $(objects "$AUDIT_BUCKET" '*'), $(objects "$ARTIFACT_BUCKET" '_interlock/*')")"
