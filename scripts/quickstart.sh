#!/usr/bin/env bash
# Installs what is missing, builds HemoStat, and runs it on sick demo containers.
set -euo pipefail

usage() {
    cat <<'USAGE'
Usage: scripts/quickstart.sh [--yes] [--for TIME]

  --yes        install missing packages without asking
  --for TIME   end after TIME (90s, 2m); without it, run until Ctrl-C

Example: ./scripts/quickstart.sh --yes --for 90s
USAGE
}

ASSUME_YES=no
run_for=()
while [ $# -gt 0 ]; do
    case "$1" in
        --yes | -y) ASSUME_YES=yes ;;
        --for)
            [ $# -ge 2 ] || { usage >&2; exit 2; }
            run_for=(--for "$2")
            shift
            ;;
        --help | -h) usage; exit 0 ;;
        *) printf 'unknown argument: %s\n' "$1" >&2; usage >&2; exit 2 ;;
    esac
    shift
done

. "$(dirname "$0")/setup.sh"
trap stop_engine EXIT

need_packages redis-server=redis-server dockerd=docker.io iptables=iptables musl-gcc=musl-tools gcc=gcc
need_rust
need_engine

say "building (a few minutes the first time)"
cargo build --release --locked --target "$TARGET" --package hemostat

say "starting: hemostat up --demo ${run_for[*]:-}"
"target/$TARGET/release/hemostat" up --demo "${run_for[@]}"
