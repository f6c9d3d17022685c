# Sourced by check-compose.sh and bench-compose.sh with their arguments, of which it knows `--bin FOLDER` and `--help`:
# brings in what the compose file of this checkout needs on this machine, with images made here: HemoStat from a build, Redis
# and Prometheus from their Debian packages. What it makes has a name of its own, and is gone when the script ends.
# Expects `set -euo pipefail`; leaves `project`, `folder` (with `folder/env`, which may be added to), `bin`, `given` (whether
# the programs were there), and functions.

# The first comment of the script.
usage() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit "$1"; }

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
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
need_packages redis-server=redis-server dockerd=docker.io iptables=iptables docker-compose=docker-compose \
    prometheus=prometheus busybox=busybox-static musl-gcc=musl-tools gcc=gcc python3=python3

if [ -z "$bin" ]; then
    need_rust
    say "building (minutes)"
    build_dist hemostat hemostat-replay
fi

project="hemostat-$(basename "$0" .sh)-$(od -An -N4 -tx4 /dev/urandom | tr -d ' ')"
folder=$(mktemp -d)

# compose ARGUMENT...: the compose file of this checkout, as this script's own project.
compose() { docker-compose --project-name "$project" --env-file "$folder/env" "$@"; }
# down: takes all of it away, whichever profile it is of.
down() {
    compose --profile demo --profile monitoring --profile operator --profile bridge \
        down --volumes --remove-orphans --timeout 20 >"$folder/down" 2>&1 || { cat "$folder/down" >&2; return 1; }
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
        down || code=1
        if [ -n "$(left container --all)$(left network)$(left volume)" ]; then
            echo "something of $project is left" >&2
            code=1
        fi
        docker image rm "$project/hemostat" "$project/redis" "$project/prometheus" >/dev/null 2>&1 || :
        if [ -n "${port:-}" ] && ! is_free "$port"; then
            echo "somebody still listens on port $port" >&2
            code=1
        fi
    fi
    rm -rf "$folder"
    stop_engine
    [ "$code" != 0 ] || say "taken down: no container, network, volume or port is left; $SECONDS s in all"
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM
need_engine

# is_free PORT: nobody listens there.
is_free() { ! python3 -c "import socket; socket.create_connection(('127.0.0.1', $1), 1)" 2>/dev/null; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

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

# running SERVICE NUMBER: so many replicas run.
running() {
    [ "$(docker ps --quiet --filter "label=com.docker.compose.project=$project" --filter "label=com.docker.compose.service=$1" | wc -l)" = "$2" ]
}
# healthy NUMBER: so many containers are healthy.
healthy() {
    [ "$(docker ps --quiet --filter "label=com.docker.compose.project=$project" --filter health=healthy | wc -l)" -ge "$1" ]
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
scripts/image.sh --bin "$bin" --tag "$HEMOSTAT_IMAGE" >/dev/null
image redis 999:1000 data redis-server redis-cli
entry='ENTRYPOINT ["/bin/prometheus"]' image prometheus 65534:65534 prometheus prometheus

socket=${DOCKER_HOST:-unix:///var/run/docker.sock}
port=$(free_port)
cp .env.example "$folder/env"
cat >>"$folder/env" <<END
HEMOSTAT_IMAGE=$HEMOSTAT_IMAGE
REDIS_IMAGE=$project/redis
PROMETHEUS_IMAGE=$project/prometheus
SECRETS=$folder/secrets
DOCKER_SOCKET=${socket#unix://}
PROMETHEUS_PORT=$port
# Nothing else on this engine is looked at.
HEMOSTAT_MONITOR_ONLY=${project}_*
END
# secrets: makes them, and the rights, as the environment says now.
secrets() { scripts/compose-secrets.sh "$folder/secrets" "$folder/env"; }
