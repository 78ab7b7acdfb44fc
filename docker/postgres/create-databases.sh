#!/bin/bash
# One database and one role each for Dagster and MLflow, with the passwords that .env holds now.
# Runs once each time the stack starts; does nothing where all is as it should be.
# Connects as the variables PGHOST, PGUSER and PGPASSWORD say.
set -euo pipefail

provide() { # provide NAME PASSWORD
  # By standard input: an argument would show the password in the process list.
  psql --no-psqlrc --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 --dbname postgres >/dev/null <<SQL
\set name '$1'
\set password '$2'
SELECT format('CREATE ROLE %I LOGIN', :'name')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'name') \gexec
ALTER ROLE :"name" PASSWORD :'password';
SELECT format('CREATE DATABASE %I OWNER %I', :'name', :'name')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \gexec
REVOKE CONNECT ON DATABASE :"name" FROM PUBLIC;
SQL
  echo "database $1 is in place"
}

provide dagster "${DAGSTER_DB_PASSWORD:?}"
provide mlflow "${MLFLOW_DB_PASSWORD:?}"
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --dbname postgres \
  --command 'REVOKE CONNECT ON DATABASE postgres FROM PUBLIC'
