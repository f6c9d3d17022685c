#!/usr/bin/env bash
# The first command of README, as it stands there but for an end: quickstart.sh builds HemoStat, lets the demo's
# containers get sick, and ends by itself; every one of them was healed, and none is left.
#
#   scripts/check-quickstart.sh    builds (minutes), then two minutes
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1:-}" in -h | --help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
said=$(mktemp)
trap 'rm -f "$said"' EXIT

./scripts/quickstart.sh --yes --for 90s | tee "$said"
for name in leak burn crash crash-loop unhealthy oom; do
    grep -q "demo-$name .*success.*verified" "$said" || { echo "error: demo-$name was not healed" >&2; exit 1; }
done
