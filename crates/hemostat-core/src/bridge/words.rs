//! The words and figures of the Python HemoStat for ours, and ours for its.

use hemostat_event::{Action, ActionKind, AnomalyKind, Basis, Health, Sample, Severity, Timestamp};
use serde_json::{Map, Value, json};

/// A time as Python's `datetime.isoformat()` writes it in UTC: with microseconds where there are any, and with the offset
/// `+00:00`.
#[must_use]
pub fn isoformat(time: Timestamp) -> String {
    let text = time.to_string();
    let text = text.trim_end_matches('Z');
    format!("{}+00:00", text.strip_suffix(".000000").unwrap_or(text))
}

/// The same, cut to the hour.
pub(super) fn hour_of(time: Timestamp) -> String {
    const HOUR_MICROS: i64 = 3_600_000_000;
    isoformat(Timestamp::from_micros(time.micros() / HOUR_MICROS * HOUR_MICROS))
}

/// A number that JSON can write; a figure that is absent or none is 0, as the old monitor wrote it.
pub(super) fn figure(value: Option<f64>) -> f64 {
    value.filter(|value| value.is_finite()).unwrap_or(0.0)
}

/// A confidence, within 0 to 1.
pub(super) fn confidence(value: f64) -> f64 {
    figure(Some(value)).clamp(0.0, 1.0)
}

/// A threshold: whole where it is, because the old ones are.
pub(super) fn threshold(value: f64) -> Value {
    let value = figure(Some(value));
    if value.fract() == 0.0 && value.abs() < 9e15 { json!(value as i64) } else { json!(value) }
}

/// `round(value, 2)`.
pub(super) fn rounded(value: f64) -> f64 {
    (figure(Some(value)) * 100.0).round() / 100.0
}

/// The eight figures of an old `metrics`.
pub(super) fn metrics(sample: &Sample) -> Map<String, Value> {
    let figures = [
        ("cpu_percent", json!(figure(sample.cpu_percent))),
        ("memory_percent", json!(figure(sample.memory_percent))),
        ("memory_usage", json!(sample.memory_bytes.unwrap_or(0))),
        ("memory_limit", json!(sample.memory_limit_bytes.unwrap_or(0))),
        ("network_rx_bytes", json!(sample.network_rx_bytes.unwrap_or(0))),
        ("network_tx_bytes", json!(sample.network_tx_bytes.unwrap_or(0))),
        ("blkio_read_bytes", json!(sample.block_read_bytes.unwrap_or(0))),
        ("blkio_write_bytes", json!(sample.block_write_bytes.unwrap_or(0))),
    ];
    figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

pub(super) const fn health(health: Health) -> &'static str {
    match health {
        Health::None => "unknown",
        Health::Starting => "starting",
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
    }
}

/// The old monitor knows three severities.
pub(super) const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info | Severity::Warning => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

pub(super) fn severity_of(word: &str) -> Severity {
    match word {
        "critical" => Severity::Critical,
        "high" => Severity::High,
        _ => Severity::Warning,
    }
}

/// The kind of an old anomaly, or of one of ours that went out and came back.
pub(super) fn kind_of(word: &str) -> Option<AnomalyKind> {
    if word == "excessive_restarts" {
        return Some(AnomalyKind::RestartLoop);
    }
    AnomalyKind::ALL.into_iter().find(|kind| kind.as_str() == word)
}

/// `image.tags[0]`, which an image without a tag does not have.
pub(super) fn image(image: &str) -> &str {
    let is_digest = image.starts_with("sha256:") || image.is_empty();
    if is_digest { "unknown" } else { image }
}

/// How a verdict came about.
pub(super) const fn method(basis: &Basis) -> &'static str {
    match basis {
        Basis::Rule { .. } => "rule_based",
        Basis::Model { .. } => "ai",
    }
}

/// The old word for an action.
pub(super) const fn action(action: &Action) -> &'static str {
    match action.kind() {
        ActionKind::Restart => "restart",
        ActionKind::Scale => "scale_up",
        ActionKind::Cleanup => "cleanup",
        ActionKind::Exec => "exec",
        ActionKind::Escalate => "none",
    }
}
