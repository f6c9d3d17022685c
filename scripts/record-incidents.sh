#!/usr/bin/env bash
# Makes golden recordings anew, into a folder: sick containers under the engine of DOCKER_HOST, healed by `hemostat up` on a
# Redis of their own, then one recording per container, and each decided again. Takes two minutes: a container has to live
# past its verification before it may fall ill again. Everything that carries `hemostat.enable=true` on that engine is acted
# on: use one that is there for nothing else.
#
#   scripts/record-incidents.sh FOLDER
#
# PROFILE=dev takes the unoptimized build.
set -euo pipefail

[ $# = 1 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
mkdir -p "$1"
to=$(cd "$1" && pwd)
ASSUME_YES=yes
. "$(dirname "$0")/setup.sh"
need_packages redis-server=redis-server musl-gcc=musl-tools gcc=gcc busybox=busybox-static jq=jq
need_rust
: "${DOCKER_HOST:?the engine to use, such as unix:///var/run/docker.sock}"
[ -z "$(docker ps -aq --filter label=hemostat.enable=true)" ] ||
    die "there are containers on $DOCKER_HOST that would be acted on; use an engine that is there for nothing else"

profile=${PROFILE:-release}
say "building"
cargo build --locked --profile "$profile" --package hemostat --package hemostat-replay --target "$TARGET"
programs=${CARGO_TARGET_DIR:-$PWD/target}/$TARGET/${profile/#dev/debug}
folder=$(mktemp -d)
image=golden-$$:1
running=''
clean() {
    [ -z "$running" ] || kill "$running" 2>/dev/null || true
    # What is not there any more, or was never made, is no failure of the run that ends here.
    docker ps -aq --filter "ancestor=$image" | xargs -r docker rm -f >/dev/null 2>&1 || true
    docker rmi "$image" >/dev/null 2>&1 || true
    redis-cli -s "$folder/redis.sock" SHUTDOWN NOSAVE >/dev/null 2>&1 || true
    rm -rf "$folder"
}
trap clean EXIT

# Longest wait for a state: twice what the slowest container takes.
wait_max_secs=300

# wait_for WHAT COMMAND...: until the command succeeds.
wait_for() {
    local what=$1 until=$((SECONDS + wait_max_secs))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$until" ] || { tail -20 "$folder/up.log" >&2; die "no sign in $wait_max_secs s that $what"; }
        [ -z "$running" ] || kill -0 "$running" 2>/dev/null || { tail -20 "$folder/up.log" >&2; die "hemostat ended"; }
        sleep 0.5
    done
}
redis_answers() { [ "$(redis-cli -s "$folder/redis.sock" PING 2>/dev/null)" = PONG ]; }
# says NAME FILTER: whether the log has an event about the container for which the filter of jq holds.
says() {
    "$programs/hemostat" log -o json --container "golden-$1" 2>/dev/null | jq -es "any(.[]; $2)" >/dev/null
}
# tells NAME KIND...: whether people were told all of this about the container.
tells() {
    local name=$1 kind
    shift
    for kind in "$@"; do
        says "$name" ".type == \"notification\" and .data.kind == \"$kind\"" || return
    done
}
changed() { says "$1" ".type == \"container_changed\" and .data.change == \"$2\""; }

redis-server --port 0 --unixsocket "$folder/redis.sock" --dir "$folder" --appendonly yes --daemonize yes >/dev/null
wait_for "Redis answers" redis_answers
export HEMOSTAT_REDIS_URL=unix://$folder/redis.sock
mkdir -p "$folder/root/bin"
cp "$(command -v busybox)" "$folder/root/bin/busybox"
ln -s busybox "$folder/root/bin/sh"
tar -C "$folder/root" -c . | docker import - "$image" >/dev/null

# start NAME OPTION... -- SCRIPT: a container that may be acted on.
start() {
    local name=$1 options=()
    shift
    while [ "$1" != -- ]; do options+=("$1"); shift; done
    docker run -d --network none --name "golden-$name" --label hemostat.enable=true "${options[@]}" "$image" \
        /bin/sh -c "$2" >/dev/null
}
busybox='b() { /bin/busybox "$@"; }; '
# What is there already is looked at once, and its end is nobody's: everything else begins after the monitor is there.
HEMOSTAT_HOST=golden "$programs/hemostat" up --set http.listen=off >"$folder/up.log" 2>&1 &
running=$!
start stopped -- "$busybox"'trap "exit 143" TERM; b sleep 600 & wait'
wait_for "the monitor watches" changed stopped discovered

say "containers fall ill"
start crash-twice -- "$busybox"'b test -e /1 && { b sleep 85; echo fatal: again; exit 3; }; : >/1; b sleep 2; echo fatal: first; exit 3'
start observed --label hemostat.mode=observe -- "$busybox"'b sleep 3; echo boom; exit 1'
start bad-command -- "$busybox"'b sleep 3; no-such-command'
start disk-full -- "$busybox"'b test -e /1 && b sleep 600; : >/1; b sleep 3; echo write: no space left on device; exit 1'
start dependency -- "$busybox"'b test -e /1 && b sleep 600; : >/1; b sleep 3; echo dial tcp: connection refused; exit 1'
start still-sick -- "$busybox"'b sleep 4; echo fatal: always; exit 2'
start loop --restart on-failure:4 -- "$busybox"'b sleep 1; exit 1'
start unhealthy --health-cmd '/bin/busybox test -e /1' --health-interval 2s --health-retries 2 -- \
    "$busybox"'b test -e /2 && : >/1; : >/2; b sleep 600'
start killed -- "$busybox"'b sleep 600'
start job -- "$busybox"'b sleep 3; exit 0'
docker stop -t 2 golden-stopped >/dev/null
wait_for "killed was seen" changed killed started
kill -9 "$(docker inspect -f '{{.State.Pid}}' golden-killed)"

say "waiting until everybody was told how it ended"
wait_for "the stop was seen" changed stopped stopped
wait_for "the job ended" changed job died
wait_for "observed was left to people" tells observed escalation
wait_for "bad-command was left to people" tells bad-command escalation
for name in disk-full dependency killed unhealthy; do
    wait_for "$name was healed" tells "$name" remediated verified recovered
done
wait_for "still-sick was given up" tells still-sick not_fixed
wait_for "loop was given up" tells loop not_fixed
wait_for "crash-twice was refused" tells crash-twice verified remediation_rejected
kill "$running"
wait "$running" || true
running=''

say "recording"
names=(crash-twice observed bad-command disk-full dependency still-sick loop unhealthy killed job stopped)
for name in "${names[@]}"; do
    "$programs/hemostat-replay" record --container "golden/golden-$name" --to "$to/$name.hsrec" --force
done
say "deciding again"
files=()
for name in "${names[@]}"; do files+=(--file "$to/$name.hsrec"); done
"$programs/hemostat-replay" test "${files[@]}"
