#!/bin/sh
# Run MLflow's server, and create its bucket if it does not exist. Addresses and keys come from the environment:
# every user of the machine can read a command line.
set -eu
python - <<'PYTHON'
import os, boto3
s3 = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"])
if "ectopy" not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
    s3.create_bucket(Bucket="ectopy")
PYTHON
exec mlflow server --app-name ectopy --host 0.0.0.0 --port 5000 --workers 2 --artifacts-destination s3://ectopy/artifacts
