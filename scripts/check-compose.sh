#!/usr/bin/env bash
# The compose file on a real engine: heals a demo container, scales, loses one replica of every agent and then Redis,
# heals another one, and holds the log to what it promises. Images come from this machine: HemoStat from a build,
# Redis and Prometheus from their Debian packages. Takes what it makes away again; fails where anything is left.
#
#   scripts/check-compose.sh                 builds (minutes), then checks
#   scripts/check-compose.sh --bin FOLDER    with programs that are there: FOLDER/hemostat, FOLDER/hemostat-replay; their
#                                            size, which is promised of `dist` builds only, is not looked at
set -euo pipefail

usage() { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit "$1"; }

bin='' given=no
while [ $# -gt 0 ]; do
    case "$1" in
        --bin) [ $# -ge 2 ] || { echo "error: $1 needs a value" >&2; exit 2; }; bin=$(realpath "$2") given=yes; shift ;;
        -h | --help) usage 0 ;;
        *) echo "error: unknown argument \`$1\`" >&2; usage 2 >&2 ;;
    esac
    shift
done

ASSUME_YES=yes
. "$(dirname "$0")/setup.sh"
need_packages redis-server=redis-server dockerd=docker.io iptables=iptables docker-compose=docker-compose \
    prometheus=prometheus busybox=busybox-static musl-gcc=musl-tools gcc=gcc python3=python3

if [ -z "$bin" ]; then
    need_rust
    say "building (minutes)"
    cargo build --locked --profile dist --target "$TARGET" --package hemostat --package hemostat-replay
    bin="$PWD/target/$TARGET/dist"
fi

project="hemostat-check-$(od -An -N4 -tx4 /dev/urandom | tr -d ' ')"
folder=$(mktemp -d)

# compose ARGUMENT...: the compose file of this checkout, as this check's own project.
compose() { docker-compose --project-name "$project" --env-file "$folder/env" "$@"; }
# What the documents call it: Compose v2.
docker() { if [ "${1:-}" = compose ]; then compose "${@:2}"; else command docker "$@"; fi; }
# hemostat ARGUMENT...: the operator's view.
hemostat() { compose run --rm -T operator "$@" 2>"$folder/operator"; }
# documented FILE: runs the blocks of a document that are marked `sh run`, line by line.
documented() {
    local line count=0
    while read -r line; do
        say "$1: $line"
        eval "$line" </dev/null >"$folder/said" 2>&1 || { cat "$folder/said" >&2; die "$1: it failed: $line"; }
        count=$((count + 1))
    done < <(sed -n '/^```sh run$/,/^```$/{/^```/d;p}' "$1")
    [ "$count" -gt 0 ] || die "$1 has nothing to run"
}
left() { docker "$1" ls --quiet ${2:-} --filter "label=com.docker.compose.project=$project"; }

finish() {
    local code=$?
    trap - EXIT INT TERM
    if [ "$code" != 0 ] && [ -e "$folder/env" ]; then
        compose ps >&2 || :
        compose logs --tail 15 >&2 || :
    fi
    if [ -e "$folder/env" ]; then
        compose --profile demo --profile monitoring --profile operator down --volumes --remove-orphans --timeout 20 >"$folder/down" 2>&1 || { cat "$folder/down" >&2; code=1; }
        if [ -n "$(left container --all)$(left network)$(left volume)" ]; then
            echo "something of $project is left" >&2
            code=1
        fi
        docker image rm "$project/hemostat" "$project/redis" "$project/prometheus" >/dev/null 2>&1 || :
    fi
    rm -rf "$folder"
    stop_engine
    [ "$code" != 0 ] || say "taken down: no container, network or volume is left; $SECONDS s in all"
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM
need_engine

# wait_for SECONDS WHAT COMMAND...: until the command succeeds.
wait_for() {
    local until=$((SECONDS + $1)) what=$2 began=$SECONDS
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$until" ] || die "not within its time: $what"
        sleep 0.5
    done
    say "$what (after $((SECONDS - began)) s)"
}

# image NAME OWNER FOLDER PROGRAM...: an image with these programs, what they are linked with, and a folder for data.
image() {
    local name=$1 owner=$2 data=$3 root="$folder/root" program
    shift 3
    rm -rf "$root"
    mkdir -p "$root/bin" "$root/tmp" "$root/etc" "$root/$data"
    chmod 1777 "$root/tmp"
    chown "$owner" "$root/$data"
    for program in "$@"; do
        cp -L "$(command -v "$program")" "$root/bin/"
        { ldd "$(command -v "$program")" 2>/dev/null || :; } | grep -o '/[^ ]*' |
            while read -r library; do cp -L --parents "$library" "$root"; done
    done
    cp /bin/busybox "$root/bin/wget"
    tar -C "$root" -c . | docker import --change 'ENV PATH=/bin' ${entry:+--change "$entry"} - "$project/$name" >/dev/null
}

say "images"
export HEMOSTAT_IMAGE="$project/hemostat"
[ "$given" = yes ] || scripts/image.sh --bin "$bin" --check
scripts/image.sh --bin "$bin" --tag "$HEMOSTAT_IMAGE" >/dev/null
image redis 999:1000 data redis-server redis-cli
entry='ENTRYPOINT ["/bin/prometheus"]' image prometheus 65534:65534 prometheus prometheus

scripts/compose-secrets.sh "$folder/secrets" "$folder/env"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
socket=${DOCKER_HOST:-unix:///var/run/docker.sock}
# Paces that let a check end within its time; the rules are those of every day.
cat >>"$folder/env" <<END
HEMOSTAT_IMAGE=$HEMOSTAT_IMAGE
REDIS_IMAGE=$project/redis
PROMETHEUS_IMAGE=$project/prometheus
SECRETS=$folder/secrets
DOCKER_SOCKET=${socket#unix://}
PROMETHEUS_PORT=$port
# Everything of this check may be healed but what says otherwise, and nothing else on this engine is looked at.
HEMOSTAT_MONITOR_DEFAULT_MODE=auto
HEMOSTAT_MONITOR_ONLY=${project}_*
HEMOSTAT_MONITOR_INTERVAL=2s
HEMOSTAT_MONITOR_STABLE_FOR=3s
HEMOSTAT_RESPONDER_STABILISE=5s
HEMOSTAT_AGENT_CLAIM_AFTER=5s
END

# healed NAME: there is an incident about the container, and its repair was verified.
healed() {
    hemostat log -o json --type remediation_verified --container "${project}_$1_1" | grep -q '"verified"'
}
# running SERVICE NUMBER: so many replicas run.
running() { [ "$(docker ps --quiet --filter "label=com.docker.compose.project=$project" --filter "label=com.docker.compose.service=$1" | wc -l)" = "$2" ]; }
healthy() {
    [ "$(docker ps --quiet --filter "label=com.docker.compose.project=$project" --filter health=healthy | wc -l)" -ge "$1" ]
}

say "up"
compose up -d prometheus >/dev/null 2>&1
documented docs/quickstart.md
wait_for 90 "eight services are healthy" healthy 8
wait_for 60 "the first demo container is healed" healed demo-crash

say "scaling to three analyzers and two responders"
documented docs/deploy.md
wait_for 30 "three analyzers run" running analyzer 3
wait_for 30 "two responders run" running responder 2
wait_for 60 "all of them are healthy" healthy 11

# die_of SERVICE: its first container dies as by the kernel's hand, so that the engine's restart policy has to answer.
die_of() { as_root kill -KILL "$(docker inspect --format '{{.State.Pid}}' "${project}_$1_1")"; }

say "one replica of each agent dies, and Redis"
compose up -d demo-unhealthy >/dev/null 2>&1
for service in monitor analyzer responder alert archiver metrics redis; do die_of "$service"; done
wait_for 120 "another demo container is healed" healed demo-unhealthy
compose up -d demo-oom >/dev/null 2>&1
wait_for 120 "one that got sick afterwards is healed" healed demo-oom
wait_for 60 "all services are healthy again" healthy 11

# up JOB: Prometheus scrapes all of it.
up() {
    busybox wget -q -O - "http://127.0.0.1:$port/api/v1/query?query=min(up%7Bjob%3D%22$1%22%7D)" | grep -q '"1"\]'
}
wait_for 60 "Prometheus scrapes the exporter" up hemostat
wait_for 60 "Prometheus scrapes every agent" up hemostat-agents

say "nothing was lost"
hemostat status
[ -z "$(hemostat dlq ls -o json)" ] || die "there are dead letters"
if hemostat log -o json --type remediation_started | grep -v "\"service\":\"demo-" | grep .; then
    die "something else than a demo container was acted on"
fi
# The archiver ends when it has everything that the others wrote until their end.
compose stop monitor analyzer responder alert metrics >/dev/null 2>&1
compose stop archiver >/dev/null 2>&1
docker cp "${project}_archiver_1:/var/lib/hemostat" "$folder/archive" >/dev/null
"$bin/hemostat-replay" verify --archive "$folder/archive/archive" --key "$folder/archive/archive.key.pub" >"$folder/verified"
cat "$folder/verified"
grep -q ' 0 losses, 0 redactions' "$folder/verified" || die "the archive tells of losses"
