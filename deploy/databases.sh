#!/bin/sh
# Create a database and a user for Prefect, and for MLflow. The image of PostgreSQL runs this at its first start.
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
