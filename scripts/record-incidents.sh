#!/usr/bin/env bash
# Makes the golden recordings in replay/recordings anew: sick containers under the engine of DOCKER_HOST, healed by
# `hemostat up` on a Redis of their own, then one recording per container. Takes four minutes. Everything that carries
# `hemostat.enable=true` on that engine is acted on: use one that is there for nothing else.
#
#   scripts/record-incidents.sh
set -euo pipefail

ASSUME_YES=yes
. "$(dirname "$0")/setup.sh"
need_packages redis-server=redis-server musl-gcc=musl-tools gcc=gcc busybox=busybox-static
need_rust
: "${DOCKER_HOST:?the engine to use, such as unix:///var/run/docker.sock}"

say "building"
cargo build --locked --release --package hemostat --package hemostat-replay --target "$TARGET"
programs=$PWD/target/$TARGET/release
folder=$(mktemp -d)
prefix=incident-$$
running=''
clean() {
    [ -z "$running" ] || kill "$running" 2>/dev/null || true
    docker ps -aq --filter "name=$prefix-" | xargs -r docker rm -f >/dev/null 2>&1 || true
    docker rmi "$prefix:1" >/dev/null 2>&1 || true
    redis-cli -s "$folder/redis.sock" SHUTDOWN NOSAVE >/dev/null 2>&1 || true
    rm -rf "$folder"
}
trap clean EXIT

redis-server --port 0 --unixsocket "$folder/redis.sock" --dir "$folder" --appendonly yes --daemonize yes >/dev/null
export HEMOSTAT_REDIS_URL=unix://$folder/redis.sock
mkdir -p "$folder/root/bin"
cp "$(command -v busybox)" "$folder/root/bin/busybox"
ln -s busybox "$folder/root/bin/sh"
tar -C "$folder/root" -c . | docker import - "$prefix:1" >/dev/null

HEMOSTAT_HOST=golden "$programs/hemostat" up --set http.listen=off >"$folder/up.log" 2>&1 &
running=$!
sleep 3

# start NAME OPTION... -- SCRIPT: a container that may be acted on.
start() {
    local name=$1 options=()
    shift
    while [ "$1" != -- ]; do options+=("$1"); shift; done
    docker run -d --network none --name "$prefix-$name" --label hemostat.enable=true "${options[@]}" "$prefix:1" \
        /bin/sh -c "$2" >/dev/null
}
busybox='b() { /bin/busybox "$@"; }; '
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
start stopped -- "$busybox"'trap "exit 143" TERM; b sleep 600 & wait'
sleep 8
docker stop -t 2 "$prefix-stopped" >/dev/null
kill -9 "$(docker inspect -f '{{.State.Pid}}' "$prefix-killed")"
sleep 150
kill "$running"
wait "$running" || true
running=''

say "recording"
for name in crash-twice observed bad-command disk-full dependency still-sick loop unhealthy killed job stopped; do
    "$programs/hemostat-replay" record --container "golden/$prefix-$name" --to "replay/recordings/$name.hsrec" --force
done
