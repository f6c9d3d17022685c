"""The readers of the Python HemoStat, unmodified, on what our bridge has written; started by check_bridge.py.

Its dashboard's functions, the whole page that it draws, and its exporter's handlers.
"""

import json
import os
import sys

sys.path.insert(0, sys.argv[1])
os.chdir(sys.argv[1])
IDS, COUNTS = json.loads(os.environ["IDS"]), json.loads(os.environ["COUNTS"])
failed = False


def check(what, kept, told=""):
    global failed
    failed = failed or not kept
    print(f"{'  ok' if kept else 'NO  '}  {what}" + ("" if kept else f": {told}"))


def same(what, found, wanted):
    check(what, found == wanted, f"{found!r} is not {wanted!r}")


def dashboard():
    from dashboard import data_fetcher as data

    print("  dashboard's functions")
    same("get_active_containers", set(IDS.values()) - set(data.get_active_containers()), set())
    for name, id in IDS.items():
        state = data.get_container_stats(id)
        same(f"get_container_stats of {name}", [state["container_name"], state["status"], state["health_status"]], [f"keys-{name}", "running", "unhealthy" if name == "ill" else "unknown"])
        check("with its figures", all(isinstance(state[field], (int, float)) for field in ("cpu_percent", "memory_percent", "memory_usage", "memory_limit")), state)
    stats = data.get_all_container_stats()
    same("get_all_container_stats", {f"keys-{name}" for name in IDS} - set(stats), set())
    check("with figures", all(isinstance(stats[f"keys-{name}"]["cpu_percent"], float) for name in IDS), stats)
    events = data.get_all_events()
    types = {kind: sum(event["event_type"] == kind for event in events) for kind in {event["event_type"] for event in events}}
    same("get_all_events has all four", set(types), {"health_alert", "remediation_needed", "remediation_complete", "false_alarm"})
    times = [event["timestamp"] for event in events]
    check("newest first", times == sorted(times, reverse=True), times)
    complete = data.get_events_by_type("remediation_complete")
    same("get_events_by_type", [(e["agent"], e["data"]["container"], e["data"]["result"]["status"]) for e in complete], [("alert", "keys-web", "success")])
    same("get_false_alarm_count", data.get_false_alarm_count(), COUNTS["false_alarm"])
    same("get_remediation_stats; D5: no success is seen, as of old", data.get_remediation_stats(), {"total": COUNTS["remediation_complete"], "success": 0, "failed": 0, "rejected": 0, "success_rate": 0.0})


def page():
    from streamlit.testing.v1 import AppTest

    print("  dashboard's page")
    app = AppTest.from_file("dashboard/app.py", default_timeout=60).run()
    check("nothing raises", not app.exception and not app.error, [*app.exception, *app.error])
    cards = {metric.label: metric.value for metric in app.metric}
    same("cards", [cards.get(name) for name in ("Total Remediations", "False Alarms", "Success Rate")], [str(COUNTS["remediation_complete"]), str(COUNTS["false_alarm"]), "0.0%"])
    check("active containers", len(IDS) <= int(cards["Active Containers"]), cards)
    grid = app.dataframe[0].value
    rows = {row["Container"]: row["Status"] for row in grid.to_dict("records")}
    same("health grid", rows.get("keys-web"), "SUCCESS")
    history = app.dataframe[1].value.to_dict("records")
    same("history", [(row["Container"], row["Action"], row["Status"]) for row in history], [("keys-web", "restart", "SUCCESS")])


def exporter():
    from prometheus_client import REGISTRY

    from agents.hemostat_metrics.metrics import MetricsExporter

    print("  exporter's handlers")
    exporter = MetricsExporter()
    for message in json.load(open(os.environ["ALERTS"])):
        exporter._handle_health_alert(message)
    for name, kind in [("web", "non_zero_exit"), ("flaky", "non_zero_exit"), ("ill", "unhealthy_status"), ("burn", "high_cpu")]:
        labels = {"container_id": IDS[name], "container_name": f"keys-{name}"}
        found = [REGISTRY.get_sample_value(f"hemostat_container_{figure}", labels) for figure in ("cpu_percent", "memory_percent", "memory_bytes")]
        check(f"figures of {name}", all(isinstance(value, float) for value in found), found)
        count = REGISTRY.get_sample_value("hemostat_anomalies_detected_total", {"container_name": f"keys-{name}", "anomaly_type": kind})
        check(f"symptom of {name}", count is not None and 1 <= count, count)
        severities = ("medium", "high", "critical")
        alerts = [REGISTRY.get_sample_value("hemostat_health_alerts_total", {"container_name": f"keys-{name}", "severity": severity}) for severity in severities]
        check(f"severity of {name}", any(alerts), alerts)
        if name == "burn":
            check("its CPU", 50 < found[0], found)


dashboard()
page()
exporter()
sys.exit(failed)
