#!/bin/sh
# Plays for a minute at ten times the speed and shows how well that kept time; then lets agents decide in a shadow under
# strace and shows everything that was connected to. Fails where time was off by 1 % or something else than Redis was
# called. Needs redis-server and strace. HEMOSTAT_PLAY_SECONDS is the length of the first part, 60 where it is not set.
set -eu
cd "$(dirname "$0")/.."
: "${HEMOSTAT_PLAY_SECONDS:=60}"
export HEMOSTAT_PLAY_SECONDS

echo "== ${HEMOSTAT_PLAY_SECONDS} s at 10x"
cargo test --quiet -p hemostat-replay --test it -- --exact play::it_keeps_time --nocapture

echo "== what is connected to"
folder=$(mktemp -d)
redis=
trap 'test -z "$redis" || kill "$redis"; rm -rf "$folder"' EXIT
redis-server --port 0 --unixsocket "$folder/redis.sock" --save '' --dir "$folder" >"$folder/redis.log" &
redis=$!
for _ in $(seq 100); do
    redis-cli -s "$folder/redis.sock" ping >/dev/null 2>&1 && break
    sleep 0.1
done
cargo build --quiet -p hemostat-replay
replay=$(ls -t target/*/debug/hemostat-replay target/debug/hemostat-replay 2>/dev/null | head -1)
# An engine that would be found, as its users name it.
DOCKER_HOST="unix://$folder/engine.sock" strace -f -qq -e trace=connect,execve -e signal=none -o "$folder/trace" \
    "$replay" --file replay/recordings/crash-twice.hsrec play --into "unix://$folder/redis.sock" --speed 50 --agents
grep -c 'connect(.*redis\.sock' "$folder/trace" | sed 's/$/ connections to Redis/'
if grep 'connect(' "$folder/trace" | grep -v 'redis\.sock'; then
    echo "something else than Redis was connected to" >&2
    exit 1
fi
if grep 'execve(' "$folder/trace" | tail -n +2 | grep .; then
    echo "a program was started" >&2
    exit 1
fi
echo "nothing else was connected to, and no program was started"
