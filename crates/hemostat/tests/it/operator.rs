//! The operator's commands, on a log with one healed container.

use hemostat_docker::testing::Lab;
use hemostat_event::{Data, Verification, cloudevents};
use serde_json::Value;

use crate::rig::{LIMIT, Process, Rig, hemostat, run};

#[tokio::test(flavor = "multi_thread")]
async fn every_command_shows_what_is_in_the_log() {
    let _engine = crate::rig::ENGINE.lock().await;
    let rig = Rig::start().await;
    let lab = Lab::start().await.expect("a container engine");
    let mut command = rig.command(&["up"]);
    command
        .env("HEMOSTAT_HOST", "test-host")
        .env("HEMOSTAT_INSTANCE", "one")
        .env("HEMOSTAT_RESPONDER_STABILISE", "1s")
        .env("HEMOSTAT_MONITOR_INTERVAL", "1s");
    let hemostat = Process::start(&mut command);
    let script = "test -e /seen && exec tail -f /dev/null; : > /seen; echo out of luck; exit 3";
    let enable = |spec: &mut hemostat_docker::workload::WorkloadSpec| {
        spec.labels.insert("hemostat.enable".to_owned(), "true".to_owned());
    };
    lab.run("web", script, enable).await.expect("a container");
    let name = lab.container_name("web");
    let verified =
        |data: &Data| matches!(data, Data::RemediationVerified(v) if v.verdict == Verification::Verified);
    let events =
        rig.until("a verdict", LIMIT, |events| events.iter().any(|(_, event)| verified(&event.data))).await;
    let alert =
        events.iter().find(|(_, event)| matches!(event.data, Data::HealthAlert(_))).expect("an alert");
    let incident = alert.1.envelope.incident.expect("an incident").to_string();

    let ask = |args: &[&str]| {
        let answer = run(&mut rig.command(args));
        assert_eq!(answer.code, 0, "{args:?}: {}", answer.err);
        answer.out
    };
    // The log, for people and for programs.
    let table = ask(&["log", "--container", &name]);
    for word in ["SEQ", "health_alert", "remediation_started", "remediation_verified"] {
        assert!(table.contains(word), "`{word}` is missing in {table}");
    }
    let lines: Vec<Value> =
        ask(&["log", "-o", "json"]).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let read: Vec<_> =
        lines.iter().map(|line| cloudevents::from_json(line).expect("one of our events")).collect();
    assert!(events.iter().all(|(_, event)| read.contains(event)), "the export is the log");
    let seqs: Vec<_> = lines.iter().map(|line| line["seq"].as_u64().expect("a number")).collect();
    assert!(seqs.is_sorted());
    let alerts = ask(&["log", "-o", "json", "--type", "health_alert", "--since", "1h"]);
    assert!(
        alerts.lines().count() >= 1 && alerts.lines().all(|line| line.contains("\"type\":\"health_alert\""))
    );
    assert!(ask(&["log", "-o", "json", "--type", "container_sample"]).lines().count() >= 1);
    // Incidents and why.
    let incidents = ask(&["incidents"]);
    assert!(incidents.contains(&incident[..8]) && incidents.contains(&name), "{incidents}");
    let json: Value = serde_json::from_str(ask(&["incidents", "-o", "json"]).lines().next().expect("a line"))
        .expect("JSON");
    assert_eq!(json["id"], incident.as_str());
    let shown = ask(&["incident", "show", &incident[..8]]);
    assert!(shown.contains("application_error") && shown.contains("remediation_complete"), "{shown}");
    assert!(
        ask(&["incident", "show", &name]).contains(&incident),
        "an incident is found by its container too"
    );
    let explained = ask(&["explain", &incident[..8]]);
    for word in ["exit code 3", "out of luck", "rule `application_exit`", "attempt 1 of 3"] {
        assert!(explained.contains(word), "`{word}` is missing in {explained}");
    }
    assert_eq!(run(&mut rig.command(&["incident", "show", "ffffffff"])).code, 2);
    // Who runs, and what waits.
    let status = ask(&["status"]);
    for word in ["monitor-one", "analyzer-one", "responder-one", "alert-one", "remediation_needed:test-host"]
    {
        assert!(status.contains(word), "`{word}` is missing in {status}");
    }
    let json: Value = serde_json::from_str(&ask(&["status", "-o", "json"])).expect("JSON");
    assert_eq!(json["agents"].as_array().map(Vec::len), Some(4));
    let doctor = ask(&["doctor"]);
    for word in ["container engine", "event log", "clock", "ok"] {
        assert!(doctor.contains(word), "`{word}` is missing in {doctor}");
    }
    // Health and metrics of the running process.
    let said = hemostat.said().join("\n");
    let at = said
        .split("\"address\":\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("the address is logged");
    assert_eq!(run(&mut crate::rig::hemostat(&["healthcheck", "--address", at])).code, 0);
    assert_eq!(run(&mut crate::rig::hemostat(&["healthcheck", "--ready", "--address", at])).code, 0);
    drop(hemostat);
    lab.cleanup().await.expect("the lab is cleaned up");
}

#[test]
fn the_configuration_is_shown_with_the_origin_of_every_value() {
    let mut command = hemostat(&["check-config", "-o", "json", "--set", "monitor.interval=15s"]);
    command.env("RESPONDER_COOLDOWN_SECONDS", "600").env("SLACK_WEBHOOK_URL", "http://127.0.0.1:1/T0/secret");
    let answer = run(&mut command);
    assert_eq!(answer.code, 0, "{}", answer.err);
    let settings: Vec<Value> =
        answer.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of = |key: &str| settings.iter().find(|setting| setting["setting"] == key).expect("a setting");
    assert_eq!(
        (&of("monitor.interval")["value"], &of("monitor.interval")["origin"]),
        (&"15s".into(), &"--set".into())
    );
    assert_eq!(of("responder.cooldown")["origin"], "RESPONDER_COOLDOWN_SECONDS");
    assert_eq!(of("alert.slack_url")["value"], "(hidden)");
    assert!(!answer.out.contains("T0/secret"), "a secret is not shown");
}

#[test]
fn completion_and_help_are_complete() {
    for shell in ["bash", "zsh", "fish"] {
        let answer = run(&mut hemostat(&["completion", shell]));
        assert_eq!(answer.code, 0);
        assert!(answer.out.contains("check-config"));
    }
    let help = run(&mut hemostat(&["--help"])).out;
    for word in [
        "up",
        "monitor",
        "analyzer",
        "responder",
        "alert",
        "log",
        "status",
        "incidents",
        "incident",
        "explain",
        "doctor",
        "check-config",
        "healthcheck",
        "demo",
        "bench",
        "completion",
        "Examples:",
        "Exit codes",
    ] {
        assert!(help.contains(word), "`{word}` is missing in {help}");
    }
    assert!(!help.contains("workload"), "what is not for people is hidden");
}
