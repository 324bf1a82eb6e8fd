#!/bin/sh
# A worker of the pool `ectopy`; each tells the server of the flows anew, which changes nothing where they are known.
set -eu
prefect work-pool inspect ectopy > /dev/null 2>&1 || prefect --no-prompt work-pool create ectopy --type process
prefect --no-prompt deploy --all
exec prefect worker start --pool ectopy --type process --with-healthcheck
