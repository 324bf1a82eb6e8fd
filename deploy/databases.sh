#!/bin/sh
# A database and a user each for Prefect and MLflow; PostgreSQL's image runs this once, when it begins.
set -eu
psql --set=ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" \
  --set=prefect="$PREFECT_DB_PASSWORD" --set=mlflow="$MLFLOW_DB_PASSWORD" <<'SQL'
CREATE USER prefect PASSWORD :'prefect';
CREATE DATABASE prefect OWNER prefect;
\connect prefect
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE USER mlflow PASSWORD :'mlflow';
CREATE DATABASE mlflow OWNER mlflow;
SQL
