//! The golden recordings, of real containers under a real engine, against the rules of today.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::made::{complained, replay, said};

/// Recordings in which nothing had to be decided: a job that ended well, and a container that a person stopped.
const LEFT_ALONE: [&str; 2] = ["job.hsrec", "stopped.hsrec"];

fn recordings() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("recordings");
    let files = std::fs::read_dir(folder).expect("the folder is there");
    let mut files: Vec<_> = files.map(|file| file.expect("it can be listed").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "hsrec"));
    files.sort();
    files
}

fn report(file: &Path, set: &[&str]) -> Value {
    let mut args = vec!["--file", file.to_str().expect("a path"), "test", "-o", "json"];
    args.extend(set.iter().flat_map(|setting| ["--set", setting]));
    let output = replay(&args);
    let report: Value =
        serde_json::from_str(&said(&output)).unwrap_or_else(|_| panic!("{}", complained(&output)));
    let is_clean = report["different"] == 0;
    assert_eq!(output.status.code(), Some(i32::from(!is_clean)), "{}", file.display());
    report
}

#[test]
fn the_rules_of_today_decide_as_they_did() {
    let recordings = recordings();
    assert!(12 <= recordings.len(), "{} recordings", recordings.len());
    let mut exercised = std::collections::BTreeSet::new();
    for file in &recordings {
        let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
        let report = report(file, &[]);
        assert_eq!(report["different"], 0, "{name}: {:#}", report["differences"]);
        assert_eq!(report["unreadable"], 0, "{name}");
        assert_eq!(report["same"] == 0, LEFT_ALONE.contains(&name), "{name}: {report:#}");
        for rule in report["rules"].as_array().expect("a list") {
            if rule["times"] != 0 {
                exercised.insert(format!("{}/{}", rule["role"], rule["rule"]).replace('"', ""));
            }
        }
    }
    for rule in [
        "analyzer/application_error",
        "analyzer/bad_command",
        "analyzer/crash_loop",
        "analyzer/cpu_saturation",
        "analyzer/dependency",
        "analyzer/disk_full",
        "analyzer/killed_from_outside",
        "analyzer/memory_leak",
        "analyzer/memory_limit",
        "analyzer/unresponsive",
        "responder/cooldown_active",
        "responder/mode_forbids",
        "responder/verified",
        "alert/sent",
    ] {
        assert!(exercised.contains(rule), "no recording exercises {rule}: {exercised:?}");
    }
}

#[test]
fn all_recordings_together_agree_with_their_golden_files() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("recordings");
    let report = report(&folder, &[]);
    let of = report["recordings"].as_array().expect("a list");
    assert_eq!(of.len(), recordings().len());
    for recorded in of {
        assert_eq!(recorded["golden"]["state"], "agrees", "{recorded:#}");
    }
    let never = |rule: &Value| rule["times"] == 0 && rule["rule"] == "budget_spent";
    assert!(
        report["rules"].as_array().expect("a list").iter().any(never),
        "no cooldown is so short: {report:#}"
    );
}

/// What stands in no decision of any recording, because the cooldown of an hour forbids everything before it, is seeded
/// in `hemostat_core::replay`: the window of the budget, the breaker, the window of the alert agent. The time until a
/// verification stands in no event.
#[test]
fn a_change_of_any_limit_is_found_where_it_decides() {
    for (name, set, role, path, rules) in [
        (
            "disk-full",
            "analyzer.plan_ttl=1m",
            "analyzer",
            "[0].remediation_needed.plan.expires_at",
            ["disk_full", "disk_full"],
        ),
        (
            "disk-full",
            "analyzer.plans_max=0",
            "analyzer",
            "[0].remediation_needed.plan.action.action",
            ["disk_full", "disk_full"],
        ),
        (
            "disk-full",
            "responder.confidence_min=1",
            "responder",
            "[0].remediation_complete",
            ["started", "confidence_too_low"],
        ),
        (
            "crash-twice",
            "responder.cooldown=20s",
            "responder",
            "[0].remediation_complete",
            ["cooldown_active", "started"],
        ),
        (
            "crash-twice",
            "responder.budget=1",
            "responder",
            "[0].remediation_started.budget",
            ["started", "started"],
        ),
        (
            "unhealthy",
            "responder.dry_run=true",
            "responder",
            "[0].remediation_started.dry_run",
            ["started", "started"],
        ),
    ] {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("recordings/{name}.hsrec"));
        let report = report(&file, &[set]);
        let first = &report["differences"][0];
        assert_eq!(
            (first["role"].as_str(), first["first"]["path"].as_str()),
            (Some(role), Some(path)),
            "{set}: {first:#}"
        );
        assert_eq!([&first["rules_recorded"][0], &first["rules_decided"][0]], rules, "{set}: {first:#}");
        assert_eq!(report["recordings"][0]["golden"]["state"], "differs", "{set}");
    }
}

#[test]
fn every_incident_of_a_recording_can_be_told() {
    for file in recordings() {
        let path = file.to_str().expect("a path");
        let listed = replay(&["--file", path, "timeline", "-o", "json"]);
        let listed: Vec<Value> = match serde_json::from_str(&said(&listed)) {
            Ok(Value::Array(incidents)) => incidents,
            _ => said(&listed).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect(),
        };
        let is_left_alone = LEFT_ALONE.iter().any(|name| path.ends_with(name));
        assert_eq!(listed.is_empty(), is_left_alone, "{path}");
        for incident in listed {
            let id = incident["id"].as_str().unwrap_or_else(|| panic!("an id in {incident}"));
            let told = replay(&["--file", path, "timeline", id]);
            assert_eq!(told.status.code(), Some(0), "{path}: {}", complained(&told));
            assert!(said(&told).contains(id) && said(&told).contains("detection: "), "{}", said(&told));
        }
    }
}
