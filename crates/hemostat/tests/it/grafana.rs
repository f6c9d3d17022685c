//! Dashboards, rules and metrics, held to each other on a real Prometheus.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

mod boards;
mod lagging;
mod loaded;
mod scene;
mod server;
mod shape;

use self::boards::Board;

/// The files Grafana is given.
fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../grafana")
}

fn all() -> [Board; 4] {
    [boards::overview::board(), boards::lag::board(), boards::incidents::board(), boards::agents::board()]
}

/// The dashboards as they are committed.
fn dashboards() -> Vec<Value> {
    let read = |board: &Board| {
        let file = folder().join(format!("dashboards/{}.json", board.uid));
        let text =
            std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    };
    all().iter().map(read).collect()
}

#[test]
fn the_dashboards_are_those_that_are_described() {
    for board in all() {
        let file = folder().join(format!("dashboards/{}.json", board.uid));
        let text = serde_json::to_string_pretty(&board.json()).expect("JSON") + "\n";
        if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
            std::fs::write(&file, &text).expect("the file can be written");
        }
        let committed = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(committed == text, "{}: UPDATE_GOLDEN=1 cargo test -p hemostat dashboards", file.display());
    }
    let files = std::fs::read_dir(folder().join("dashboards")).expect("a folder").count();
    assert_eq!(files, all().len(), "files that nobody describes");
}

#[test]
fn the_overview_has_the_panels_of_the_python_hemostat() {
    let old = [
        "Monitored Containers",
        "Health Alerts (per minute)",
        "Analysis Confidence (median)",
        "Remediations (per minute)",
        "Container CPU Usage",
        "Container Memory Usage",
        "Health Alerts by Severity (per minute)",
        "Analysis Requests (per minute)",
        "Remediation Attempts (per minute)",
        "Analysis Duration (percentiles)",
        "Remediation Duration (percentiles)",
    ];
    let board = &dashboards()[0];
    let titles: Vec<_> =
        shape::list(&board["panels"]).iter().filter_map(|panel| panel["title"].as_str()).collect();
    assert_eq!((board["uid"].as_str(), titles), (Some("hemostat-overview"), old.to_vec()));
}

#[test]
fn every_alert_has_a_panel_that_leads_to_its_entry_in_the_runbook() {
    let runbook = format!("{}#", boards::RUNBOOK);
    let linked: BTreeSet<_> = dashboards()
        .iter()
        .flat_map(|board| shape::list(&board["panels"]).to_vec())
        .flat_map(|panel| shape::list(&panel["links"]).to_vec())
        .filter_map(|link| Some(link["url"].as_str()?.strip_prefix(&runbook)?.to_owned()))
        .collect();
    let text = std::fs::read_to_string(folder().join("prometheus/alerts.yml")).expect("the alert rules");
    let alerts: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("- alert: "))
        .map(str::to_lowercase)
        .collect();
    assert_eq!(linked, alerts);
    let text = std::fs::read_to_string(folder().join("../docs/runbook.md")).expect("the runbook");
    assert!(text.contains("\n### From a dashboard to the log\n"), "panels about containers lead there");
}
