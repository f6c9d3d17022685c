#!/usr/bin/env bash
# How much faster analyzers are together: the compose file on a real engine with 1, 2 and 4 of them, one after the other in
# each round, `hemostat bench load` on each, and a table of what came of it: once as the file has them, and once with a share
# of a core for each, so that the machine is not what they share. Every alert has to have exactly one answer. Images come
# from this machine, as for check-compose.sh. Takes what it makes away again; fails where anything is left.
#
#   scripts/bench-compose.sh                 builds (minutes), then measures
#   scripts/bench-compose.sh --bin FOLDER    with programs that are there: FOLDER/hemostat
#
# HEMOSTAT_BENCH_ROUNDS: rounds, 3. HEMOSTAT_BENCH_EVENTS: alerts of each run, 40000; a quarter of them where cores are shared
# out. HEMOSTAT_BENCH_CORES: what each analyzer may have of a core, 'any 0.15'.
set -euo pipefail
. "$(dirname "$0")/compose-rig.sh"

rounds=${HEMOSTAT_BENCH_ROUNDS:-3} all=${HEMOSTAT_BENCH_EVENTS:-40000}
secrets

# known NUMBER: so many analyzers announce themselves.
known() { [ "$(compose run --rm -T operator status -o json 2>/dev/null | grep -o '"role":"analyzer"' | wc -l)" = "$1" ]; }

# measured REPLICAS EVENTS CORE: one run; its row is added to `folder/rows`.
measured() {
    local replicas=$1 events=$2 core=$3 analyzers
    compose up -d --scale "analyzer=$replicas" analyzer >"$folder/up" 2>&1 || { cat "$folder/up" >&2; exit 1; }
    wait_for 60 "$replicas analyzers run" running analyzer "$replicas"
    wait_for 60 "and are known in the log" known "$replicas"
    analyzers=$(compose ps -q analyzer)
    [ "$core" = any ] || docker update --cpus "$core" $analyzers >/dev/null
    # They stand still while the alerts are written, so that all begin at once and never wait for more.
    docker pause $analyzers >/dev/null
    : >"$folder/said"
    # Under the user of a monitor, who may write alerts.
    compose run --rm -T monitor bench load --replicas "$replicas" --events "$events" -o json \
        >"$folder/row" 2>>"$folder/said" </dev/null &
    wait_for 60 "$events alerts wait" grep -q 'alerts are written' "$folder/said"
    docker unpause $analyzers >/dev/null
    wait $! || { cat "$folder/said" >&2; exit 1; }
    say "$(cat "$folder/row")"
    cat "$folder/row" >>"$folder/rows"
}

tables=''
for core in ${HEMOSTAT_BENCH_CORES:-any 0.15}; do
    : >"$folder/rows"
    for round in $(seq "$rounds"); do
        say "round $round of $rounds, $core core for each"
        # There and back, so that a machine that gets slower or faster does so for all.
        if [ $((round % 2)) = 1 ]; then order='1 2 4'; else order='4 2 1'; fi
        for replicas in $order; do
            measured "$replicas" $([ "$core" = any ] && echo "$all" || echo $((all / 4))) "$core"
        done
        # Each round begins with an empty log.
        down
    done
    grep -c . "$folder/rows" | grep -qx "$((rounds * 3))" || die "some runs have no result"
    tables+=$(python3 scripts/bench_compose.py "$folder/rows" "$core")$'\n\n'
done
printf '%s' "$tables"
