#!/usr/bin/env bash
# How much faster analyzers are together: the compose file on a real engine with 1, 2 and 4 of them, one after the other in
# each round, `hemostat bench load` on each, and a table of what came of it. Every alert has to have exactly one answer.
# Images come from this machine, as for check-compose.sh. Takes what it makes away again; fails where anything is left.
#
#   scripts/bench-compose.sh                 builds (minutes), then measures
#   scripts/bench-compose.sh --bin FOLDER    with programs that are there: FOLDER/hemostat
#   HEMOSTAT_BENCH_EVENTS=20000 HEMOSTAT_BENCH_ROUNDS=1 scripts/bench-compose.sh    alerts of each run, 40000; rounds, 3
set -euo pipefail
. "$(dirname "$0")/compose-rig.sh"

events=${HEMOSTAT_BENCH_EVENTS:-40000} rounds=${HEMOSTAT_BENCH_ROUNDS:-3}
secrets

# known NUMBER: so many analyzers announce themselves.
known() { [ "$(compose run --rm -T operator status -o json 2>/dev/null | grep -o '"role":"analyzer"' | wc -l)" = "$1" ]; }

for round in $(seq "$rounds"); do
    # There and back, so that a machine that gets slower or faster does so for all.
    if [ $((round % 2)) = 1 ]; then order='1 2 4'; else order='4 2 1'; fi
    for replicas in $order; do
        compose up -d --scale "analyzer=$replicas" analyzer >"$folder/up" 2>&1 || { cat "$folder/up" >&2; exit 1; }
        wait_for 60 "$replicas analyzers run" running analyzer "$replicas"
        wait_for 60 "and are known in the log" known "$replicas"
        # They stand still while the alerts are written, so that all begin at once and never wait for more.
        analyzers=$(compose ps -q analyzer)
        docker pause $analyzers >/dev/null
        : >"$folder/said"
        # Under the user of a monitor, who may write alerts.
        compose run --rm -T monitor bench load --replicas "$replicas" --events "$events" -o json \
            >"$folder/row" 2>>"$folder/said" </dev/null &
        wait_for 60 "$events alerts wait" grep -q 'alerts are written' "$folder/said"
        docker unpause $analyzers >/dev/null
        wait $! || { cat "$folder/said" >&2; exit 1; }
        cat "$folder/row" >>"$folder/rows"
        say "round $round of $rounds: $(tail -1 "$folder/rows")"
    done
    # Each round begins with an empty log.
    [ "$round" = "$rounds" ] || down
done

grep -c . "$folder/rows" | grep -qx "$((rounds * 3))" || die "some runs have no result"
python3 scripts/bench_compose.py "$folder/rows"
