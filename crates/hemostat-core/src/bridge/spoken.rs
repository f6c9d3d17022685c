//! What the old agents say, field by field, and what of it is taken.

use std::fmt;

use hemostat_event::{
    Action, Anomaly, AnomalyKind, Basis, Cause, ContainerId, ContainerPolicy, ContainerRef, Mode, Timestamp,
    Verdict,
};
use serde::Deserialize;
use serde_json::Value;

use super::inbound::Refusal;
use super::words::{kind_of, severity_of};

/// Most bytes of a text that is taken from a message.
pub(super) const TEXT_BYTES_MAX: usize = 2_000;

#[derive(Deserialize)]
pub(super) struct Heard {
    pub(super) event_type: String,
    pub(super) timestamp: String,
    pub(super) data: Value,
}

#[derive(Deserialize)]
pub(super) struct Unhealthy {
    pub(super) container_id: String,
    pub(super) container_name: String,
    #[serde(default)]
    pub(super) image: String,
    #[serde(default)]
    pub(super) status: String,
    #[serde(default)]
    pub(super) metrics: Metrics,
    pub(super) anomalies: Vec<OldAnomaly>,
    #[serde(default)]
    pub(super) health_status: String,
    #[serde(default)]
    pub(super) exit_code: i64,
    #[serde(default)]
    pub(super) restart_count: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Metrics {
    pub(super) cpu_percent: Option<f64>,
    pub(super) memory_percent: Option<f64>,
    pub(super) memory_usage: Option<u64>,
    pub(super) memory_limit: Option<u64>,
    pub(super) network_rx_bytes: Option<u64>,
    pub(super) network_tx_bytes: Option<u64>,
    pub(super) blkio_read_bytes: Option<u64>,
    pub(super) blkio_write_bytes: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct OldAnomaly {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) severity: String,
    pub(super) threshold: Option<f64>,
    pub(super) actual: Option<f64>,
    pub(super) status: Option<String>,
    pub(super) exit_code: Option<i64>,
    pub(super) restart_count: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct Request {
    pub(super) container: String,
    pub(super) action: String,
    #[serde(default)]
    pub(super) reason: String,
    pub(super) confidence: f64,
    #[serde(default)]
    pub(super) analysis_method: String,
}

#[derive(Deserialize)]
pub(super) struct Alarm {
    pub(super) container: String,
    #[serde(default)]
    pub(super) reason: String,
    pub(super) confidence: f64,
    #[serde(default)]
    pub(super) analysis_method: String,
}

#[derive(Deserialize)]
pub(super) struct Done {
    pub(super) container: String,
    pub(super) action: String,
    pub(super) result: Ended,
    #[serde(default)]
    pub(super) dry_run: bool,
    pub(super) reason: Option<String>,
    pub(super) confidence: Option<f64>,
}

#[derive(Deserialize)]
pub(super) struct Ended {
    pub(super) status: String,
    pub(super) error: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) details: Option<Value>,
    pub(super) remaining_seconds: Option<u64>,
}

/// Whether a message speaks of running something, in the field for it or in another one.
pub(super) fn asks_for_exec(data: &Value) -> bool {
    let Some(data) = data.as_object() else { return false };
    let is_exec =
        |action: &Value| action.as_str().is_some_and(|word| word.trim().eq_ignore_ascii_case("exec"));
    data.contains_key("command") || data.get("action").is_some_and(is_exec)
}

pub(super) fn action_of(word: &str) -> Result<Action, Refusal> {
    match word {
        "restart" => Ok(Action::Restart { stop_timeout_secs: None }),
        "cleanup" => Ok(Action::Cleanup),
        // One replica more than there are, and nobody says how many that is; a person knows. `none` is our own word for
        // what is left to a person, said by another log's bridge.
        "scale_up" | "none" => Ok(Action::Escalate),
        other => Err(malformed(format_args!("`{}` is no action", cut(other, 64)))),
    }
}

pub(super) fn anomaly_of(heard: &OldAnomaly, since: Timestamp) -> Option<Anomaly> {
    let kind = kind_of(&heard.kind)?;
    let detail = match kind {
        AnomalyKind::UnhealthyStatus => {
            format!("its health is {}", cut(heard.status.as_deref().unwrap_or("unhealthy"), 64))
        }
        AnomalyKind::NonZeroExit | AnomalyKind::OomKilled => {
            format!("it ended with exit code {}", heard.exit_code.unwrap_or(1))
        }
        AnomalyKind::RestartLoop => format!("it was restarted {} times", heard.restart_count.unwrap_or(0)),
        kind => format!("{} is {}", kind.as_str(), heard.actual.unwrap_or(0.0)),
    };
    let count = heard.exit_code.map(|code| code as f64).or(heard.restart_count.map(|count| count as f64));
    Some(Anomaly {
        kind,
        severity: severity_of(&heard.severity),
        actual: heard.actual.or(count),
        threshold: heard.threshold,
        since,
        detail,
    })
}

pub(super) fn verdict(reason: &str, stated: f64, method: &str) -> Result<Verdict, Refusal> {
    let basis = match method {
        "ai" => Basis::Model { provider: "python".to_owned(), model: "unknown".to_owned() },
        _ => Basis::Rule { rule: "python".to_owned() },
    };
    Ok(Verdict {
        cause: Cause::Unknown,
        confidence: confidence(stated)?,
        basis,
        cited: Vec::new(),
        reason: cut(reason, TEXT_BYTES_MAX),
    })
}

pub(super) fn confidence(stated: f64) -> Result<f64, Refusal> {
    if (0.0..=1.0).contains(&stated) {
        return Ok(stated);
    }
    Err(malformed(format_args!("a confidence of {stated} is not within 0 to 1")))
}

/// Python writes an offset where it knows one; a time without any was UTC to its agents too.
pub(super) fn time_of(text: &str) -> Result<Timestamp, Refusal> {
    let read = Timestamp::parse(text).or_else(|_no_offset| Timestamp::parse(&format!("{text}Z")));
    read.map_err(|error| malformed(format_args!("its timestamp cannot be read: {error}")))
}

pub(super) fn named(name: &str) -> Result<String, Refusal> {
    let name = name.trim_start_matches('/');
    if name.is_empty() { Err(malformed("it names no container")) } else { Ok(name.to_owned()) }
}

pub(super) fn reference(id: ContainerId, name: String, image: &str) -> ContainerRef {
    let image = if image.is_empty() { "unknown".to_owned() } else { cut(image, 255) };
    ContainerRef { id, name, image, project: None, service: None }
}

/// What anybody may want from outside.
pub(super) fn suggestion() -> ContainerPolicy {
    ContainerPolicy { mode: Mode::Suggest, ..ContainerPolicy::default() }
}

pub(super) fn read<T>(parse: impl FnOnce() -> serde_json::Result<T>) -> Result<T, Refusal> {
    parse().map_err(malformed)
}

pub(super) fn malformed(why: impl fmt::Display) -> Refusal {
    Refusal::Malformed(cut(&format!("{why}"), 500))
}

pub(super) fn cut(text: &str, bytes_max: usize) -> String {
    text[..text.floor_char_boundary(bytes_max)].to_owned()
}
