# Sourced by quickstart.sh and test.sh: brings in what a fresh Debian or Ubuntu with a Rust toolchain lacks.
# Expects `set -euo pipefail`; uses `ASSUME_YES` (yes or no).

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$here"

# The static target of this machine: what we ship, and what runs in an image made from nothing.
TARGET="$(uname -m)-unknown-linux-musl"

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# need_packages command=package ...: installs the packages whose command is missing.
need_packages() {
    local missing=() pair
    for pair in "$@"; do
        PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%=*}" >/dev/null || missing+=("${pair##*=}")
    done
    [ ${#missing[@]} = 0 ] && return
    command -v apt-get >/dev/null || die "please install: ${missing[*]}"
    if [ "$ASSUME_YES" != yes ]; then
        [ -t 0 ] || die "missing: ${missing[*]} (run again with --yes to install them)"
        local answer
        read -r -p "Install ${missing[*]} with apt-get? [y/N] " answer
        case "$answer" in [yY]*) ;; *) die "cannot go on without: ${missing[*]}" ;; esac
    fi
    say "installing ${missing[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

need_rust() {
    command -v cargo >/dev/null || die "no Rust toolchain; install one with rustup (https://rustup.rs)"
    if command -v rustup >/dev/null; then
        rustup target list --installed | grep -qx "$TARGET" || rustup target add "$TARGET"
    fi
}

# build_dist PROGRAM...: as they are shipped; sets `bin` to their folder. What stands in them does not depend on where
# they were built: no path of this machine is left in, neither by the compiler of Rust nor by that of C. Nor on what was
# built with them: each by itself, since cargo would give them all the features that any of them wants.
build_dist() {
    local target=${CARGO_TARGET_DIR:-$PWD/target} cargo=${CARGO_HOME:-$HOME/.cargo} rust='' c='' map program
    for map in "$PWD=." "$cargo=cargo" "$target=target"; do
        rust+=" --remap-path-prefix=$map"
        c+=" -ffile-prefix-map=$map"
    done
    for program in "$@"; do
        SOURCE_DATE_EPOCH=0 RUSTFLAGS="${RUSTFLAGS:-}$rust" CFLAGS="${CFLAGS:-}$c" \
            cargo build --locked --profile dist --target "$TARGET" --package "$program" >&2
    done
    bin="$target/$TARGET/dist"
}

engine_answers() { docker version >/dev/null 2>&1; }

# Uses the engine that runs; where none does, starts a private one that is gone when the script ends.
need_engine() {
    engine_answers && return
    if [ -d /run/systemd/system ] && as_root systemctl start docker 2>/dev/null && engine_answers; then return; fi
    own_engine
}

# Starts a private engine, whichever runs already; it is gone when the script ends.
own_engine() {
    say "starting a private dockerd"
    engine_dir=$(mktemp -d)
    # Its own socket, data and process files, and no network: it cannot meet another engine on this machine.
    as_root sh -c "PATH=\$PATH:/usr/sbin:/sbin exec dockerd --host unix://$engine_dir/docker.sock \
        --data-root $engine_dir/data --exec-root $engine_dir/exec --pidfile $engine_dir/dockerd.pid \
        --bridge none --iptables=false --ip-forward=false" >"$engine_dir/log" 2>&1 &
    export DOCKER_HOST="unix://$engine_dir/docker.sock"
    local tries=0
    until engine_answers; do
        tries=$((tries + 1))
        [ "$tries" -lt 150 ] || { tail -5 "$engine_dir/log" >&2; die "dockerd did not start in 30 s"; }
        sleep 0.2
    done
}

stop_engine() {
    [ -n "${engine_dir:-}" ] || return 0
    local pid
    pid=$(cat "$engine_dir/dockerd.pid" 2>/dev/null) || pid=
    if [ -n "$pid" ]; then
        as_root kill "$pid" 2>/dev/null || :
        while as_root kill -0 "$pid" 2>/dev/null; do sleep 0.2; done
    fi
    as_root rm -rf --one-file-system "$engine_dir" 2>/dev/null || :
}
