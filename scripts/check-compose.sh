#!/usr/bin/env bash
# The compose file on a real engine: heals a demo container, speaks and listens over the bridge, scales, finds every replica
# in Prometheus, loses one replica of every agent and then Redis, heals two others, and holds the log to what it promises.
# Images come from this machine: HemoStat from a build, Redis and Prometheus from their Debian packages. Takes what it makes
# away again; fails where anything is left.
#
#   scripts/check-compose.sh                 builds (minutes), then checks
#   scripts/check-compose.sh --bin FOLDER    with programs that are there: FOLDER/hemostat, FOLDER/hemostat-replay; their
#                                            size, which is promised of `dist` builds only, is not looked at
set -euo pipefail
. "$(dirname "$0")/compose-rig.sh"

# What the documents call it: Compose v2, the programs, and the secrets, which are not those of this checkout here.
docker() { if [ "${1:-}" = compose ]; then compose "${@:2}"; else command docker "$@"; fi; }
hemostat-replay() { "$bin/hemostat-replay" "$@"; }
scripts/compose-secrets.sh() { command scripts/compose-secrets.sh "$folder/secrets" "$folder/env"; }
# hemostat ARGUMENT...: the operator's view.
hemostat() { compose run --rm -T operator "$@" 2>"$folder/operator"; }
# documented FILE [NAME]: runs the blocks of a document that are marked `sh run`, or `sh run NAME`, line by line.
documented() {
    local line count=0
    while read -r line; do
        say "$1: $line"
        # What they write here goes to a folder that is gone in the end.
        line=${line//backup/$folder/backup}
        eval "$line" </dev/null >"$folder/said" 2>&1 || { cat "$folder/said" >&2; die "$1: it failed: $line"; }
        count=$((count + 1))
    done < <(sed -n '/^```sh run'"${2:+ $2}"'$/,/^```$/{/^```/d;p}' "$1")
    [ "$count" -gt 0 ] || die "$1 has nothing to run"
}
[ "$given" = yes ] || scripts/image.sh --bin "$bin" --check
# Paces that let a check end within its time; the rules are those of every day. Everything of this check may be healed but
# what says otherwise.
cat >>"$folder/env" <<END
HEMOSTAT_MONITOR_DEFAULT_MODE=auto
HEMOSTAT_MONITOR_INTERVAL=2s
HEMOSTAT_MONITOR_STABLE_FOR=3s
HEMOSTAT_RESPONDER_STABILISE=5s
HEMOSTAT_AGENT_CLAIM_AFTER=5s
END
documented docs/quickstart.md secrets

# healed NAME: there is an incident about the container, and its repair was verified.
healed() {
    hemostat log -o json --type remediation_verified --container "${project}_$1_1" | grep -q '"verified"'
}
# old ARGUMENT...: redis-cli as one of the Python agents would be, where they share this Redis.
old() {
    compose exec -T redis redis-cli --no-auth-warning --user hemostat-bridge --pass "$(cat "$folder/secrets/redis_bridge")" "$@"
}
# heard CHANNEL TEXT: it was said there.
heard() { grep -A1 "^hemostat:$1\$" "$folder/heard" | grep -qF "$2"; }
# is_heard FIXTURE CHANNEL: somebody hears what a Python agent says there.
is_heard() {
    local message
    message=$(python3 -c 'import json, sys; print(json.dumps(json.load(sys.stdin)["message"]))' \
        <"crates/hemostat-core/src/bridge/fixtures/$1.json")
    [ "$(old PUBLISH "hemostat:$2" "$message" | tr -d '\r')" -gt 0 ]
}
# of_python TYPE: such an event came over the bridge.
of_python() { hemostat log -o json --type "$1" | grep -q '"python/'; }

# asked EXPRESSION: what Prometheus answers.
asked() {
    busybox wget -q -O - "http://127.0.0.1:$port/api/v1/query?query=$(python3 -c \
        'import sys, urllib.parse; print(urllib.parse.quote(sys.argv[1]))' "$1")"
}
# up JOB: it scrapes all of it.
up() { asked "min(up{job=\"$1\"})" | grep -q '"1"\]'; }
# replicas SERVICE NUMBER: it has series of so many, each as it shows itself.
replicas() { asked "count(hemostat_build_info{service=\"$1\"} and on (instance) up == 1)" | grep -q "\"$2\"\]"; }

say "up, and the bridge"
compose up -d prometheus bridge >/dev/null 2>&1
wait_for 60 "Redis, Prometheus and the bridge are healthy" healthy 3
old SUBSCRIBE hemostat:health_alert hemostat:remediation_complete >"$folder/heard" 2>/dev/null </dev/null &
wait_for 10 "a Python agent would listen" grep -q remediation_complete "$folder/heard"
documented docs/quickstart.md
wait_for 90 "nine services are healthy" healthy 9
wait_for 60 "the first demo container is healed" healed demo-crash
wait_for 20 "the bridge said that it was sick" heard health_alert "${project}_demo-crash_1"
wait_for 20 "and what was done about it" heard remediation_complete "${project}_demo-crash_1"
! is_heard false_alarm false_alarm || die "the bridge listens to what nobody told it to"
sed -i 's/^#HEMOSTAT_BRIDGE_INBOUND=.*/HEMOSTAT_BRIDGE_INBOUND=false_alarm/' "$folder/env"
secrets
documented docs/migration.md
wait_for 60 "the bridge listens to what HEMOSTAT_BRIDGE_INBOUND names" is_heard false_alarm false_alarm
wait_for 20 "what a Python agent says there is in the log" of_python false_alarm
! is_heard remediation_needed remediation_needed || die "the bridge listens to more than that"

say "scaling to three analyzers and two responders"
documented docs/deploy.md
wait_for 30 "three analyzers run" running analyzer 3
wait_for 30 "two responders run" running responder 2
wait_for 60 "all of them are healthy" healthy 12
wait_for 90 "Prometheus has a series of each of the three analyzers" replicas analyzer 3
wait_for 90 "and of both responders" replicas responder 2

say "an upgrade"
documented docs/deploy.md upgrade
wait_for 90 "all of them are healthy again" healthy 12

# die_of SERVICE: its first container dies as by the kernel's hand, so that the engine's restart policy has to answer.
die_of() { as_root kill -KILL "$(docker inspect --format '{{.State.Pid}}' "${project}_$1_1")"; }

say "one replica of each agent dies, and Redis"
compose up -d demo-unhealthy >/dev/null 2>&1
for service in monitor analyzer responder alert archiver metrics bridge redis; do die_of "$service"; done
wait_for 120 "another demo container is healed" healed demo-unhealthy
compose up -d demo-oom >/dev/null 2>&1
wait_for 120 "one that got sick afterwards is healed" healed demo-oom
wait_for 60 "all services are healthy again" healthy 12

wait_for 60 "Prometheus scrapes the exporter" up hemostat
wait_for 60 "Prometheus scrapes every agent" up hemostat-agents
wait_for 60 "and again each of the three analyzers" replicas analyzer 3

say "nothing was lost"
hemostat status
[ -z "$(hemostat dlq ls -o json)" ] || die "there are dead letters"
if hemostat log -o json --type remediation_started | grep -v "\"service\":\"demo-" | grep .; then
    die "something else than a demo container was acted on"
fi
documented docs/deploy.md backup
# The archiver ends when it has everything that the others wrote until their end.
compose stop monitor analyzer responder alert metrics bridge >/dev/null 2>&1
compose stop archiver >/dev/null 2>&1
docker cp "${project}_archiver_1:/var/lib/hemostat" "$folder/archive" >/dev/null
"$bin/hemostat-replay" verify --archive "$folder/archive/archive" --key "$folder/archive/archive.key.pub" >"$folder/verified"
cat "$folder/verified"
grep -q ' 0 losses, 0 redactions' "$folder/verified" || die "the archive tells of losses"
