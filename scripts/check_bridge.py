"""Runs an unmodified Python HemoStat beside ours; scripts/check-bridge.sh makes what it needs.

    python check_bridge.py HEMOSTAT SOURCES FOLDER

Every scene has a Redis of its own, real containers on DOCKER_HOST, and the old agents as `python -m`. Prints a line per
promise; exits with 1 where one is not kept.
"""

import atexit
import contextlib
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time

import redis

HEMOSTAT, SOURCES, FOLDER = sys.argv[1:4]
LIMIT = 60
CHANNELS = ["health_alert", "remediation_needed", "remediation_complete", "false_alarm"]
# Sick in its first run and well in the second.
CRASH_ONCE = "test -e /seen && exec tail -f /dev/null; : > /seen; exit 3"
CRASH_SOON = "test -e /seen && exec tail -f /dev/null; : > /seen; sleep 2; exit 4"
IDLE = "exec tail -f /dev/null"
BURN = "while :; do :; done"
ILL = ["--health-cmd", "false", "--health-interval", "1s", "--health-retries", "1"]
OURS = ["--label", "hemostat.enable=true"]
failures = []


def check(what, kept, told=""):
    print(f"{'ok' if kept else 'NO':>4}  {what}" + ("" if kept else f": {told}"), flush=True)
    if not kept:
        failures.append(what)


def same(what, found, wanted):
    check(what, found == wanted, f"{found!r} is not {wanted!r}")


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Slack(http.server.BaseHTTPRequestHandler):
    """What would be Slack."""

    posts = []

    def do_POST(self):
        Slack.posts.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def fields_of(posts):
    """The fields of what came to Slack."""
    return [{field["title"]: field["value"] for field in post["attachments"][0]["fields"]} for post in list(posts)]


class Scene:
    """A Redis, processes that write into files, containers, and everything that was said."""

    def __init__(self, title, namespace="hemostat"):
        print(f"\n{title}", flush=True)
        self.name = title.split()[0].strip(":").lower()
        self.folder = os.path.join(FOLDER, self.name)
        os.makedirs(self.folder)
        self.namespace = namespace
        self.port, self.processes, self.containers, self.heard = free_port(), {}, [], []
        self.start("redis", ["redis-server", "--port", str(self.port), "--dir", self.folder, "--appendonly", "yes", "--save", ""])
        self.redis = redis.Redis(port=self.port, decode_responses=True)
        self.until("Redis answers", self._answers)
        ear = self.redis.pubsub(ignore_subscribe_messages=True)
        ear.subscribe(**{f"hemostat:{channel}": self._hear for channel in CHANNELS})
        self.ear = ear.run_in_thread(sleep_time=0.05, daemon=True)

    def _answers(self):
        with contextlib.suppress(redis.ConnectionError):
            return self.redis.ping()

    def _hear(self, message):
        self.heard.append((message["channel"].removeprefix("hemostat:"), json.loads(message["data"])))

    def start(self, name, command, cwd=None, **env):
        kept = {name: os.environ[name] for name in ("PATH", "DOCKER_HOST")}
        output = open(os.path.join(self.folder, name), "w")
        process = subprocess.Popen(
            command, cwd=cwd, env={**kept, **env}, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        atexit.register(process.kill)
        self.processes[name] = process

    def ours(self, command, **settings):
        """An agent of ours, at the pace of a test."""
        fast = {"monitor_interval": "1s", "monitor_stable_for": "2s", "monitor_clear_after": "2", "responder_stabilise": "2s"}
        env = {f"HEMOSTAT_{name.upper()}": value for name, value in {"host": "here", **fast, **settings}.items()}
        self.start(f"hemostat-{command}", [HEMOSTAT, command], **self.log_env(), **env)

    def log_env(self):
        return {
            "PATH": os.environ["PATH"], "HEMOSTAT_REDIS_URL": f"redis://127.0.0.1:{self.port}",
            "HEMOSTAT_REDIS_NAMESPACE": self.namespace, "HEMOSTAT_HTTP_LISTEN": "127.0.0.1:0",
        }

    def python_env(self, **env):
        return {
            "REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(self.port), "AI_FALLBACK_ENABLED": "false",
            "AGENT_POLL_INTERVAL": "1", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", **env,
        }

    def python(self, agent, **env):
        """An agent of theirs."""
        command = [sys.executable, "-m", f"agents.hemostat_{agent}.main"]
        self.start(f"python-{agent}", command, cwd=SOURCES, **self.python_env(**env))

    def subscribed(self, channel, count):
        listens = lambda: self.redis.pubsub_numsub(f"hemostat:{channel}")[0][1] > count
        self.until(f"{count} listen on {channel}", listens)

    def run(self, name, script, *options):
        full = f"{self.name}-{name}"
        self.containers.append(full)
        command = ["docker", "run", "--detach", "--network", "none", "--name", full, *options, "sick:1", "sh", "-c", script]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()[:12]

    def remove(self, name):
        subprocess.run(["docker", "rm", "--force", f"{self.name}-{name}"], check=True, capture_output=True)

    def log(self, kind=None, container=None, bridged=None):
        command = [HEMOSTAT, "log", "--output", "json"]
        lines = subprocess.run(command, env=self.log_env(), check=True, capture_output=True, text=True).stdout.splitlines()
        fits = lambda event: (
            kind in (None, event["type"])
            and (container is None or event.get("subject", "").endswith(f"/{self.name}-{container}"))
            and bridged in (None, event["source"].startswith("/bridge/"))
        )
        return [event for event in map(json.loads, lines) if fits(event)]

    def has_its_place(self):
        """Whether what is written from now on is told by our bridge."""
        command = [HEMOSTAT, "status"]
        return "bridge" in subprocess.run(command, env=self.log_env(), capture_output=True, text=True).stdout

    def said(self, channel, container):
        about = lambda data: data.get("container", data.get("container_name")) == f"{self.name}-{container}"
        return [message for other, message in list(self.heard) if other == channel and about(message["data"])]

    def entries(self, kind, container):
        entries = map(json.loads, self.redis.lrange(f"hemostat:events:{kind}", 0, -1))
        return [entry for entry in entries if entry["data"].get("container") == f"{self.name}-{container}"]

    def until(self, what, found):
        began = time.monotonic()
        while not (value := found()):
            if LIMIT < time.monotonic() - began:
                log = subprocess.run([HEMOSTAT, "log"], env=self.log_env(), capture_output=True, text=True)
                print(*log.stdout.splitlines()[-40:], *self.heard[-10:], sep="\n")
                self.end()
                sys.exit(f"{what}: not after {LIMIT} s; see what was said above")
            time.sleep(0.1)
        return value

    def quiet(self):
        """Nobody has said anything for three seconds."""
        latest = [len(self.heard), time.monotonic()]

        def is_quiet():
            if len(self.heard) != latest[0]:
                latest[:] = len(self.heard), time.monotonic()
            return 3 < time.monotonic() - latest[1]

        self.until("an end of what is said", is_quiet)

    def complaints(self, name):
        with open(os.path.join(self.folder, name)) as said:
            return [line for line in said if " - ERROR - " in line or "Traceback" in line or '"ERROR"' in line or "Error:" in line]

    def end(self, *expected):
        """Nobody has died or complained, of anything but what was expected."""
        for name, process in self.processes.items():
            check(f"{name} still runs", process.poll() is None, f"it ended with {process.returncode}")
            if name != "redis":
                complaints = [line for line in self.complaints(name) if not any(words in line for words in expected)]
                check(f"{name} reports no error", not complaints, "".join(complaints[:5]))
        letters = self.log("dead_letter")
        check("no message is a dead letter", not letters, json.dumps(letters[:3]))
        self.ear.stop()
        self.ear.join()
        for process in reversed(self.processes.values()):
            process.kill()
            process.wait()
        subprocess.run(["docker", "rm", "--force", *self.containers], capture_output=True)


def one_by_one():
    """All of ours, and beside them each of theirs that hears or reads something."""
    scene = Scene("Beside: ours act; their alert agent, analyzer, responder (dry run) and exporter listen")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slack)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    scene.python("alert", SLACK_WEBHOOK_URL=f"http://127.0.0.1:{server.server_port}/", ALERT_DEDUPE_TTL="1")
    rejections = lambda: [f for f in fields_of(Slack.posts) if f.get("Status") == "Rejected"]
    scene.python("responder", RESPONDER_DRY_RUN="true")
    scene.python("analyzer")
    exporter = free_port()
    scene.python("metrics", METRICS_PORT=str(exporter))
    scene.ours("up", bridge_enabled="true", bridge_keys="monitor", bridge_inbound="remediation_needed,remediation_complete,false_alarm", monitor_realert_after="3s")
    # The ear, theirs, and the bridge.
    for channel, count in [("health_alert", 2), ("remediation_needed", 2), ("remediation_complete", 2), ("false_alarm", 2)]:
        scene.subscribed(channel, count)
    scene.until("our bridge has its place", scene.has_its_place)
    scene.run("web", CRASH_ONCE, *OURS)
    verified = lambda: [e for e in scene.log("remediation_verified", "web") if e["data"]["verdict"] == "verified"]
    scene.until("web is healed", verified)
    # Their engine of containers restarts it, so ours has nothing to do.
    scene.run("flaky", CRASH_SOON, *OURS, "--restart", "on-failure:3")
    alarm = scene.until("a false alarm of ours", lambda: scene.log("false_alarm", "flaky", bridged=False))
    scene.until("their answer to both", lambda: scene.log("remediation_complete", "web", True) and scene.log("remediation_needed", "flaky", True))
    # One restart does not help it, and another one has to wait.
    scene.run("ill", IDLE, *OURS, *ILL, "--stop-signal", "KILL")
    refused = lambda: [e for e in scene.log("remediation_complete", "ill", False) if e["data"]["status"] == "rejected"]
    scene.until("our refusal", lambda: refused() and rejections())
    scene.remove("ill")
    told = lambda kind, container: len(scene.said(kind, container)) == len(scene.log(kind, container))
    listed = lambda kind, container: len(scene.entries(kind, container)) == len(scene.said(kind, container))
    pairs = [(kind, name) for kind in CHANNELS[1:] for name in ("web", "flaky", "ill")]
    scene.quiet()
    check("every message stands in the log once, ours and theirs, and none comes back", all(told(*pair) for pair in pairs), [(*pair, len(scene.said(*pair)), len(scene.log(*pair))) for pair in pairs])

    print("  alert agent")
    outcome = [m for m in scene.said("remediation_complete", "web") if not m["data"].get("dry_run")]
    same("it hears our outcome", [m["data"]["result"]["status"] for m in outcome], ["success"])
    for kind in ("remediation_complete", "false_alarm"):
        scene.until(f"hemostat:events:{kind}", lambda kind=kind: all(listed(kind, name) for name in ("web", "flaky", "ill")))
        check(f"hemostat:events:{kind} has each message once", True)
    stored = [entry for entry in scene.entries("remediation_complete", "web") if entry["data"] == outcome[0]["data"]]
    same("it stores what we said, at our time", [entry["timestamp"] for entry in stored], [outcome[0]["timestamp"]])
    fields = fields_of(Slack.posts)
    about = lambda kind: [field for field in fields if field["Event Type"] == kind]
    complete, false = about("Remediation Complete"), about("False Alarm")
    check("Slack gets an outcome", bool(complete), fields)
    check("with container, action, status and confidence", any(
        (f["Container"], f["Action"], f["Status"]) == ("beside-web", "restart", "Success") and f["Confidence"].endswith("%") for f in complete), complete)
    same("Slack gets our refusal, with its reason", {(f["Container"], f["Rejection Reason"]) for f in rejections()}, {("beside-ill", "cooldown_active")})
    check("D36: its analysis is unknown, as of old", all(f["Analysis"] == "unknown" for f in complete), complete)
    same("Slack gets our false alarm", {(f["Container"], f["Reason"]) for f in false if f["Container"] == "beside-flaky"}, {("beside-flaky", alarm[0]["data"]["verdict"]["reason"])})
    check("its analysis is rule-based", all("Rule-Based" in f["Analysis"] for f in false), false)

    print("  responder, dry run")
    dry = scene.log("remediation_complete", "web", True)
    check("it answers our request, and the answer comes in", any(
        (e["data"]["status"], e["data"]["dry_run"], e["host"]) == ("success", True, "python") for e in dry), dry)
    reason = scene.log("remediation_needed", "web", False)[0]["data"]["verdict"]["reason"]
    check("it is the answer to ours", any(e["data"]["reason"] == reason for e in dry), dry)
    same("only ours acted, once", len(scene.log("remediation_started", "web")), 1)

    print("  analyzer, rules")
    asked = scene.log("remediation_needed", "web", True)
    check("it hears our alert and asks for a restart", any(
        (e["data"]["plan"]["action"]["action"], e["data"]["verdict"]["confidence"]) == ("restart", 0.9) for e in asked), asked)
    ill = scene.log("remediation_needed", "ill", True)
    check("so it does for a failed health check", any(
        (e["data"]["verdict"]["reason"], e["data"]["verdict"]["confidence"]) == ("Container health check failed", 0.7) for e in ill), ill[:2])
    check("which is a suggestion here", all(e["data"]["plan"]["policy"]["mode"] == "suggest" for e in asked), asked)
    history = json.loads(scene.redis.get("hemostat:state:alert_history:beside-web"))
    same("its history has our alerts", history["alerts"], [m["data"] for m in scene.said("health_alert", "web")])

    print("  exporter")
    import urllib.request
    page = urllib.request.urlopen(f"http://127.0.0.1:{exporter}/metrics").read().decode()
    samples = {line.split("{")[0] for line in page.splitlines() if line.startswith("hemostat_") and "{" in line and not line.endswith(" 0.0")}
    same("D1: it shows nothing but its uptime, as of old", samples, {"hemostat_agent_uptime_seconds"})
    scene.end()
    server.shutdown()


def keys():
    """Only ours write; their dashboard and handlers read, and their agents take over."""
    scene = Scene("Keys: ours write all of them; their dashboard and exporter read them, their agents go on from them", namespace="ours")
    scene.ours("up", bridge_enabled="true")
    scene.until("our bridge has its place", scene.has_its_place)
    ids = {"web": scene.run("web", CRASH_ONCE, *OURS)}
    scene.until("web is healed", lambda: scene.log("remediation_verified", "web"))
    ids["flaky"] = scene.run("flaky", CRASH_SOON, *OURS, "--restart", "on-failure:3")
    ids["idle"] = scene.run("idle", IDLE)
    ids["burn"] = scene.run("burn", BURN, "--cpus", "0.2")
    ids["ill"] = scene.run("ill", IDLE, *ILL)
    scene.until("two more alerts", lambda: scene.said("health_alert", "burn") and scene.said("health_alert", "ill"))
    scene.until("a false alarm", lambda: scene.entries("false_alarm", "flaky"))
    scene.until("samples", lambda: all(scene.redis.exists(f"hemostat:state:container:{id}") for id in ids.values()))
    settled = lambda: {s.get("status") for id in ids.values() if (s := json.loads(scene.redis.get(f"hemostat:state:container:{id}")))} == {"running"}
    scene.until("all run", settled)
    health = lambda: json.loads(scene.redis.get(f"hemostat:state:container:{ids['ill']}"))["health_status"]
    scene.until("its health is known", lambda: health() == "unhealthy")
    reader = os.path.join(os.path.dirname(os.path.abspath(__file__)), "check_bridge_readers.py")
    alerts = os.path.join(scene.folder, "alerts.json")
    with open(alerts, "w") as file:
        json.dump([message for channel, message in scene.heard if channel == "health_alert"], file)
    said = [channel for channel, _ in scene.heard]
    wanted = {name: said.count(name) for name in ("false_alarm", "remediation_complete")}
    env = {**os.environ, **scene.python_env(ALERTS=alerts, IDS=json.dumps(ids), COUNTS=json.dumps(wanted), PYTHONPATH=SOURCES)}
    read = subprocess.run([sys.executable, reader, SOURCES], env=env, capture_output=True, text=True)
    print("\n".join(line for line in read.stdout.splitlines() if line.startswith((" ", "NO"))))
    check("all of it is read", read.returncode == 0, read.stdout[-3000:] + read.stderr[-3000:])

    print("  taking over")
    scene.python("responder", RESPONDER_DRY_RUN="true")
    scene.python("analyzer")
    scene.subscribed("remediation_needed", 1)
    scene.subscribed("health_alert", 1)
    needed, alert = scene.said("remediation_needed", "web")[0], scene.said("health_alert", "web")[-1]
    before = json.loads(scene.redis.get("hemostat:state:alert_history:keys-web"))["alerts"]
    scene.redis.publish("hemostat:remediation_needed", json.dumps(needed))
    answer = scene.until("their refusal", lambda: [m for m in scene.said("remediation_complete", "web") if m["data"]["result"]["status"] == "rejected"])
    result = answer[0]["data"]["result"]
    check("their responder keeps the cooldown that ours began", result["reason"] == "cooldown_active" and 3_000 < result["remaining_seconds"] < 3_600, result)
    audit = lambda: [json.loads(entry) for entry in scene.redis.lrange("hemostat:audit:keys-web", 0, -1)]
    same("its audit list goes on from ours", [entry["result_status"] for entry in scene.until("audit", lambda: len(audit()) == 2 and audit())], ["rejected", "success"])
    scene.redis.publish("hemostat:health_alert", json.dumps(alert))
    after = lambda: json.loads(scene.redis.get("hemostat:state:alert_history:keys-web"))["alerts"]
    scene.until("their history", lambda: len(after()) == len(before) + 1)
    same("their analyzer adds to the history that ours began", after(), [*before, alert["data"]])

    print("  clearing")
    known = len(scene.log())
    # As scripts/linux/clear_redis_data.sh does, and the script that it ships.
    scene.redis.eval("return redis.call('del', unpack(redis.call('keys', 'hemostat:*')))", 0)
    clear = subprocess.run([sys.executable, "scripts/cleanup_redis.py", "--all"], cwd=SOURCES, env=scene.python_env(PATH=os.environ["PATH"], PYTHONPATH=SOURCES), input="y\n", capture_output=True, text=True)
    same("their scripts clear their keys", clear.returncode, 0)
    check("and leave our log, which has another namespace", known <= len(scene.log()), len(scene.log()))
    scene.run("late", CRASH_ONCE, *OURS)
    scene.until("what comes next is told", lambda: scene.entries("remediation_complete", "late"))
    check("what comes next is told and stored", True)
    scene.end()


def inward():
    """Theirs do everything; ours hear, suggest, and do nothing."""
    scene = Scene("Inward: their monitor, analyzer and responder act; ours hear, and only suggest")
    for agent in ("analyzer", "responder"):
        scene.python(agent)
    scene.ours("analyzer")
    # In the name of the host that theirs are heard under: the one that would act, if any did.
    scene.ours("responder", host="python")
    scene.ours("bridge", bridge_inbound=",".join(CHANNELS))
    scene.subscribed("health_alert", 2)
    scene.subscribed("remediation_needed", 2)
    scene.subscribed("remediation_complete", 1)
    id = scene.run("web", CRASH_ONCE, *OURS)
    scene.run("slow", IDLE, "--health-cmd", "false", "--health-interval", "600s", "--health-start-period", "600s")
    scene.run("ill", IDLE, *ILL)
    scene.run("burn", BURN, "--cpus", "0.9")
    scene.python("monitor")
    complete = scene.until("their outcome", lambda: scene.log("remediation_complete", "web", True))
    same("their responder's restart comes in", (complete[0]["data"]["status"], complete[0]["data"]["dry_run"]), ("success", False))
    alert = scene.log("health_alert", "web", True)[0]
    data = alert["data"]
    same("their monitor's alert comes in, about the container it means", (alert["host"], data["container"]["id"], data["container"]["image"]), ("python", id, "sick:1"))
    same("with its symptom", [(a["kind"], a["actual"]) for a in data["anomalies"]], [("non_zero_exit", 3.0)])
    ours = scene.until("our answer", lambda: scene.log("remediation_needed", "web", False))
    same("our analyzer answers it with a suggestion", (ours[0]["data"]["plan"]["action"]["action"], ours[0]["data"]["plan"]["policy"]["mode"]), ("restart", "suggest"))
    same("which names its cause", ours[0].get("causationid"), alert["id"])
    starting = scene.until("our answer to a start", lambda: scene.log("false_alarm", "slow", False))
    check("a container that starts is a false alarm to ours (D14)", "starting" in starting[0]["data"]["verdict"]["reason"], starting[0])
    ill = scene.until("our answer to a failed check", lambda: scene.log("remediation_needed", "ill", False))
    same("a failed health check is one to ours", ill[0]["data"]["plan"]["policy"]["mode"], "suggest")
    burn = scene.until("our answer to a busy one", lambda: scene.log("false_alarm", "burn", False))
    same("high CPU without a trend is a spike to ours", burn[0]["data"]["verdict"]["cause"], "transient_spike")
    request = json.loads(json.dumps(scene.said("remediation_needed", "web")[0]))
    for name, action, status in [("slow", "scale_up", "not_applicable"), ("slow", "cleanup", "success"), ("gone", "restart", "failed")]:
        request["data"].update(container=f"inward-{name}", action=action)
        scene.redis.publish("hemostat:remediation_needed", json.dumps(request))
        ended = lambda: [e for e in scene.log("remediation_complete", name, True) if e["data"]["status"] == status]
        scene.until(f"the outcome of {action} of {name}", ended)
        check(f"their {action} that is {status} comes in", True)
    theirs = scene.log("remediation_needed", bridged=True)
    check("what their analyzer asks for is a suggestion", theirs and all(e["data"]["plan"]["policy"]["mode"] == "suggest" for e in theirs), theirs[:2])
    rejected = lambda: [e for e in scene.log("remediation_complete", bridged=False) if e["data"]["status"] == "rejected"]
    scene.until("our responder's refusal", rejected)
    check("our responder carries out none of it", not scene.log("remediation_started"), "it acted")
    requests = [m for m in scene.said("remediation_needed", "web")]
    same("and our suggestion is not told to theirs", len(requests), len(scene.log("remediation_needed", "web", True)))
    # So it says of what did not go well.
    scene.end("Container not found: inward-gone", "Published remediation_complete: inward-")


for scene in (one_by_one, keys, inward):
    scene()
print(f"\n{len(failures)} of them not kept" if failures else "\nall kept")
sys.exit(bool(failures))
