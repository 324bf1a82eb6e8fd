#!/bin/sh
# Run a worker of the pool `ectopy`. Each worker deploys the flows; deploying them again changes nothing.
set -eu
umask 007  # what it writes is for its user and group
prefect work-pool inspect ectopy > /dev/null 2>&1 || prefect --no-prompt work-pool create ectopy --type process
prefect --no-prompt deploy --all
exec prefect worker start --pool ectopy --type process --limit 4 --with-healthcheck
