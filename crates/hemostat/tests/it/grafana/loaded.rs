//! Every metric, expression and rule has a value on a stack on which something happens.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hemostat_agent::telemetry::metric::Kind;
use hemostat_agent::telemetry::names;

use super::scene::Scene;
use super::server::Prometheus;
use super::shape::{list, word};

/// Longest time until everything has had a value: the exporter looks at agents and groups every 15 s.
const LIMIT: Duration = Duration::from_secs(60);

/// What is so after the scene was played.
const TRUTHS: [&str; 8] = [
    // The first repair there ever was is one that rates see.
    "sum(increase(hemostat_host_remediation_attempts_total{host=\"test-host\",status=\"success\"}[5m])) > 0.9",
    "sum(hemostat_host_remediation_attempts_total{status=\"rejected\",host=\"elsewhere\"}) == 1",
    "hemostat:false_alarm_ratio:rate1h > 0 < 1",
    "hemostat:notification_failure_ratio:rate15m{channel=\"slack\"} == 1",
    "hemostat:group_unread_entries:max{group=\"responder\",stream=\"remediation_needed:elsewhere\"} == 1",
    "hemostat:group_behind_seconds:max{group=\"responder\",stream=\"remediation_needed:elsewhere\"} > 1",
    "ALERTS{alertname=\"DeadLetters\",alertstate=\"firing\"}",
    "time() - hemostat_container_acted_timestamp_seconds{host=\"test-host\",status=\"success\"} < 120",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_expression_and_rule_has_a_value_on_a_real_prometheus() {
    let _engine = crate::rig::ENGINE.lock().await;
    let scene = Scene::start().await;
    scene.play().await;
    let mut wanted = wanted(&scene.prometheus);
    let count = wanted.len();
    assert!(200 < count, "{count}");
    let began = Instant::now();
    // And some have one that could be another.
    for truth in TRUTHS {
        wanted.insert(format!("truth {truth}"), truth.to_owned());
    }
    while !wanted.is_empty() && began.elapsed() < LIMIT {
        wanted.retain(|_, expr| scene.prometheus.query(expr).is_empty());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    println!("{count} metrics, expressions and rules had a value within {:?}", began.elapsed());
    assert!(wanted.is_empty(), "without a value: {wanted:#?}; {}", scene.prometheus.said());
    // The rules are those of the files, and none of them is an error.
    let rules = scene.prometheus.get("rules");
    let rules: Vec<_> = list(&rules["groups"]).iter().flat_map(|group| list(&group["rules"])).collect();
    let ill: Vec<_> = rules.iter().filter(|rule| rule["health"] != "ok").collect();
    assert!(ill.is_empty() && 31 <= rules.len(), "{} rules; {ill:#?}", rules.len());
    scene.end().await;
}

/// Every expression by where it stands.
fn wanted(prometheus: &Prometheus) -> BTreeMap<String, String> {
    let mut wanted = BTreeMap::new();
    for of in names::ALL {
        let end = if of.kind == Kind::Histogram { "_bucket" } else { "" };
        wanted.insert(format!("metric {}", of.name), format!("{}{end}", of.name));
    }
    let rules = prometheus.get("rules");
    for rule in list(&rules["groups"]).iter().flat_map(|group| list(&group["rules"])) {
        if rule["type"] == "recording" {
            let name = word(&rule["name"]);
            wanted.insert(format!("recording rule {name}"), name.to_owned());
        }
    }
    for board in super::dashboards() {
        let title = word(&board["title"]);
        for panel in list(&board["panels"]) {
            for target in list(&panel["targets"]) {
                let place = format!("{title}, {}, {}", word(&panel["title"]), word(&target["refId"]));
                wanted.insert(place, chosen(word(&target["expr"])));
            }
        }
        for of in list(&board["annotations"]["list"]).iter().filter(|of| of["expr"].is_string()) {
            wanted.insert(format!("{title}, annotation {}", word(&of["name"])), chosen(word(&of["expr"])));
        }
        for of in list(&board["templating"]["list"]) {
            let name = word(&of["name"]);
            wanted.insert(format!("{title}, variable {name}"), values(word(&of["definition"])));
        }
    }
    wanted
}

/// An expression with everything chosen, as Grafana sends it.
fn chosen(expr: &str) -> String {
    let expr = ["$host", "$project", "$container", "$group"]
        .iter()
        .fold(expr.to_owned(), |expr, name| expr.replace(name, ".*"));
    let expr = expr.replace("$__rate_interval", "1m");
    assert!(!expr.contains('$'), "{expr}: a variable that nobody sets");
    expr
}

/// `label_values(metric, label)` as a query that has a series for each value.
fn values(definition: &str) -> String {
    let inner = definition.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
    let (metric, label) = inner.and_then(|inner| inner.rsplit_once(", ")).expect("values of a label");
    let metric = chosen(metric);
    // A label that is empty is none.
    match metric.strip_suffix('}') {
        Some(chosen) => format!("{chosen}, {label}!=\"\"}}"),
        None => format!("{metric}{{{label}!=\"\"}}"),
    }
}
