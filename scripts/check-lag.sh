#!/bin/sh
# Switches load on and off and shows consumer lag as a real Prometheus has it beside a count from the streams. Fails where
# the two differ by more than one look of the exporter. Needs redis-server and prometheus. HEMOSTAT_LAG_SECONDS is the
# length of each phase, 20 where it is not set.
set -eu
cd "$(dirname "$0")/.."
: "${HEMOSTAT_LAG_SECONDS:=20}"
export HEMOSTAT_LAG_SECONDS
exec cargo test --quiet -p hemostat --all-features --test it -- grafana::lagging --nocapture
