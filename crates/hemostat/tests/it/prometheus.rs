//! What Prometheus is given: rules that fire on what they are for, on metrics that exist, each with what to do.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use hemostat_agent::telemetry::metric::{Kind, Metric};
use hemostat_agent::telemetry::names;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn folder() -> PathBuf {
    root().join("grafana/prometheus")
}

fn text(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn promtool(args: &[&str]) {
    let answer = Command::new("promtool").args(args).current_dir(folder()).output();
    let answer = answer.expect("promtool, of the package prometheus");
    let said =
        String::from_utf8_lossy(&answer.stdout).into_owned() + &String::from_utf8_lossy(&answer.stderr);
    assert!(answer.status.success(), "promtool {args:?}: {said}");
}

#[test]
fn every_alert_fires_on_what_it_is_for_and_none_on_a_system_that_is_well() {
    promtool(&["check", "config", "prometheus.yml"]);
    promtool(&["test", "rules", "rules_test.yml"]);
}

#[test]
fn every_alert_has_a_test_and_an_entry_in_the_runbook() {
    let alerts: BTreeSet<_> = names_after(&text(&folder().join("alerts.yml")), "- alert: ");
    assert!(21 <= alerts.len(), "{alerts:?}");
    let tested: BTreeSet<_> = names_after(&text(&folder().join("rules_test.yml")), "- name: ")
        .into_iter()
        .filter_map(|name| name.strip_suffix(" fires").map(str::to_owned))
        .collect();
    assert_eq!(alerts, tested);
    assert_eq!(alerts, names_after(&text(&root().join("docs/runbook.md")), "## "));
}

fn names_after(text: &str, mark: &str) -> BTreeSet<String> {
    text.lines().filter_map(|line| line.trim_start().strip_prefix(mark)).map(str::to_owned).collect()
}

#[test]
fn rules_speak_of_metrics_that_exist_only() {
    let parts = |of: &Metric| -> Vec<String> {
        let ends: &[&str] = if of.kind == Kind::Histogram { &["_bucket", "_sum", "_count"] } else { &[""] };
        ends.iter().map(|end| format!("{}{end}", of.name)).collect()
    };
    let known: BTreeSet<_> = names::ALL.iter().flat_map(parts).collect();
    for file in ["recording.yml", "alerts.yml", "rules_test.yml"] {
        let text = text(&folder().join(file));
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
        let spoken: BTreeSet<_> = words.filter(|word| word.starts_with("hemostat_")).collect();
        assert!(5 <= spoken.len(), "{file}: {spoken:?}");
        let unknown: Vec<_> = spoken.into_iter().filter(|word| !known.contains(*word)).collect();
        assert_eq!(unknown, [""; 0], "{file}");
    }
}
