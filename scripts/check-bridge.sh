#!/usr/bin/env bash
# An unmodified Python HemoStat beside ours: its agents as processes of their own, its dashboard's reader and its
# exporter, on a private container engine and a private Redis. Fails where one of them, or our bridge, raises, misses or
# misreads anything; what is a known defect of the Python code is held to be one. Wants PyPI; no part of scripts/test.sh.
#
#   scripts/check-bridge.sh PYTHON                builds (minutes), then checks; PYTHON is a folder with its sources, a
#                                                 git directory, or what HEMOSTAT_PYTHON names
#   scripts/check-bridge.sh --bin FOLDER PYTHON   with a program that is there: FOLDER/hemostat
set -euo pipefail

usage() { sed -n '2,8s/^# \{0,1\}//p' "$0"; exit "$1"; }

bin='' python=${HEMOSTAT_PYTHON:-}
while [ $# -gt 0 ]; do
    case "$1" in
        --bin) [ $# -ge 2 ] || { echo "error: $1 needs a value" >&2; exit 2; }; bin=$(realpath "$2"); shift ;;
        -h | --help) usage 0 ;;
        -*) echo "error: unknown argument \`$1\`" >&2; usage 2 >&2 ;;
        *) python=$1 ;;
    esac
    shift
done
[ -e "$python" ] || { echo "error: there is no \`$python\`; the sources are those of github.com/jondmarien/HemoStat" >&2; exit 2; }
python=$(realpath "$python")

ASSUME_YES=yes
. "$(dirname "$0")/setup.sh"
need_packages redis-server=redis-server dockerd=docker.io iptables=iptables busybox=busybox-static python3=python3

if [ -z "$bin" ]; then
    need_rust
    say "building (minutes)"
    cargo build --locked --target "$TARGET" --package hemostat
    bin="$PWD/target/$TARGET/debug"
fi

folder=$(mktemp -d)
finish() {
    local code=$?
    trap - EXIT
    containers=$([ -z "${engine_dir:-}" ] || docker ps --all --quiet)
    [ -z "$containers" ] || docker rm --force $containers >/dev/null 2>&1 || :
    stop_engine
    rm -rf "$folder"
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM

# A copy, so that nothing is written beside the sources.
mkdir "$folder/python"
if [ -d "$python/agents" ]; then
    cp -r "$python/." "$folder/python"
    rm -f "$folder/python/.env"
else
    git --git-dir="$python" archive HEAD | tar -xC "$folder/python"
fi

say "installing what the Python HemoStat needs"
python3 -m venv "$folder/venv"
# The versions that its pyproject.toml names. Its language models are imported only when one is asked for.
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    redis==7.0.1 python-dotenv==1.2.1 python-json-logger==4.0.0 docker==7.1.0 requests==2.32.5 \
    prometheus-client==0.21.0 streamlit==1.51.0

# Its own engine always: the old monitor looks at every container there is, and the old responder restarts it.
own_engine
root="$folder/image"
mkdir -p "$root/bin" "$root/tmp"
cp "$(command -v busybox)" "$root/bin/busybox"
for name in sh sleep test tail true false; do ln -s busybox "$root/bin/$name"; done
tar -C "$root" -c . | docker import --change 'ENV PATH=/bin' - sick:1 >/dev/null

say "running"
"$folder/venv/bin/python" scripts/check_bridge.py "$bin/hemostat" "$folder/python" "$folder"
