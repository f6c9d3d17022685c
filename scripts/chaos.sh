#!/usr/bin/env bash
# The fault suite: real processes of every agent die and stand still at random points, and Redis with them;
# afterwards the log is held to every promise. Prints the seed and what was found; exit code 1 on any violation.
#
#   scripts/chaos.sh                          1,000 kills, about a quarter of an hour
#   scripts/chaos.sh --kills 200 --seed 7     the schedule of faults is a function of the seed
#   scripts/chaos.sh --for 5m                 as many kills as fit
set -euo pipefail

usage() { sed -n '2,7s/^# \{0,1\}//p' "$0"; exit "$1"; }

# seconds TIME: 90, 90s, 5m or 1h as seconds.
seconds() {
    case "$1" in
        *[!0-9smh]* | '' | *[smh]?*) echo "error: \`$1\` is not a time such as 90s, 5m or 1h" >&2; exit 2 ;;
        *h) echo $((${1%h} * 3600)) ;;
        *m) echo $((${1%m} * 60)) ;;
        *) echo "${1%s}" ;;
    esac
}

kills='' limit='' seed=$((RANDOM * 32768 + RANDOM))
while [ $# -gt 0 ]; do
    case "$1" in
        --kills | --seed | --for) [ $# -ge 2 ] || { echo "error: $1 needs a value" >&2; exit 2; } ;;
        -h | --help) usage 0 ;;
        *) echo "error: unknown argument \`$1\`" >&2; usage 2 >&2 ;;
    esac
    case "$1" in
        --kills) kills=$2 ;;
        --seed) seed=$2 ;;
        --for) limit=$(seconds "$2") ;;
    esac
    shift 2
done
if [ -z "$kills" ]; then
    # With a time and no number: as many as fit.
    kills=$([ -n "$limit" ] && echo 1000000 || echo 1000)
fi

ASSUME_YES=yes
. "$(dirname "$0")/setup.sh"
trap stop_engine EXIT

need_packages redis-server=redis-server dockerd=docker.io iptables=iptables musl-gcc=musl-tools gcc=gcc \
    busybox=busybox-static
need_rust
need_engine

say "building"
built=$(cargo test --locked --release --package hemostat --test it --target "$TARGET" --no-run 2>&1) ||
    { printf '%s\n' "$built" >&2; exit 1; }
tests=$(printf '%s\n' "$built" | sed -n 's/^ *Executable .*(\(.*\))$/\1/p')
[ -x "$tests" ] || die "cannot find the tests among what cargo built"

# By which the states are held against the log at the end.
cargo build --locked --release --quiet --package hemostat-replay --target "$TARGET"

say "$kills kills, seed $seed"
# Not by way of cargo: on Ctrl-C the run cleans up and ends, and this script waits for it.
trap : INT TERM
HEMOSTAT_CHAOS_KILLS=$kills HEMOSTAT_CHAOS_SEED=$seed HEMOSTAT_CHAOS_SECONDS=$limit "$tests" \
    --exact chaos::every_promise_is_kept_while_processes_die_at_random_points --nocapture || exit 1
