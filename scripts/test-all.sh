#!/usr/bin/env bash
# Everything there is: test.sh, every check-*.sh, bench-compose.sh, and the fault suite; then a table of what came of each
# and how long it took. Exit code 1 when any of them failed; the rest runs all the same.
#
#   scripts/test-all.sh                      an hour, most of it the fault suite and optimized builds
#   scripts/test-all.sh test check-compose   only these
#   HEMOSTAT_CHAOS_KILLS=200 scripts/test-all.sh
#   HEMOSTAT_PYTHON=FOLDER scripts/test-all.sh   check-bridge.sh too
set -uo pipefail
cd "$(dirname "$0")/.."

case "${1:-}" in -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
parts=("$@")
if [ ${#parts[@]} = 0 ]; then
    parts=(test)
    for script in scripts/check-*.sh; do
        # It wants sources that are not here, and says where from.
        [ "$script" != scripts/check-bridge.sh ] || [ -n "${HEMOSTAT_PYTHON:-}" ] || continue
        parts+=("$(basename "$script" .sh)")
    done
    parts+=(bench-compose chaos)
fi

logs=$(mktemp -d)
table='' failed=0
for part in "${parts[@]}"; do
    arguments=()
    [ "$part" != chaos ] || arguments=(--kills "${HEMOSTAT_CHAOS_KILLS:-1000}")
    printf '\033[1m==>\033[0m %s\n' "$part" >&2
    began=$SECONDS
    if "scripts/$part.sh" "${arguments[@]}" >"$logs/$part" 2>&1; then
        result=ok
    else
        result="failed ($?)"
        failed=1
        tail -40 "$logs/$part" >&2
    fi
    table+=$(printf '%-20s %6d s  %s' "$part" $((SECONDS - began)) "$result")$'\n'
done
printf '\n%s' "$table"
[ "$failed" = 0 ] || echo "logs: $logs" >&2
[ "$failed" != 0 ] || rm -rf "$logs"
exit "$failed"
