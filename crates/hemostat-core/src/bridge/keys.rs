//! The keys that the old agents wrote, and how long they stay.
//!
//! | key | of | stays |
//! |---|---|---|
//! | `hemostat:state:container:<short id>` | monitor | 300 s |
//! | `hemostat:stats:<name>`, which its documents promise | monitor | 300 s |
//! | `hemostat:containers`, likewise: the names | monitor | – |
//! | `hemostat:state:alert_history:<name>`, the last 10 | analyzer | 3,600 s |
//! | `hemostat:state:remediation_history:<name>` | responder | 7,200 s |
//! | `hemostat:state:circuit_breaker:<name>` | responder | 7,200 s |
//! | `hemostat:remediation:<name>`, which its documents promise | responder | 3,600 s |
//! | `hemostat:audit:<name>`, the newest 100 | responder | 7 d |
//! | `hemostat:events:<channel>`, `hemostat:events:all`, the newest 100 | alert | 3,600 s |
//!
//! A key is gone so long after the *event*, not after its writing: a bridge that comes late shows nothing as fresh that
//! is not. They are a function of the events and of what stood there, so whoever has the events can make them anew.

use std::collections::BTreeMap;

use hemostat_event::{
    Change, ContainerRef, Data, Event, EventType, HealthAlert, Outcome, Rejection, RemediationComplete, Role,
    Sample, Timestamp, Verification,
};
use serde_json::{Map, Value, json};

use super::OldChannel;
use super::outbound::Settings;
use super::payload::Context;
use super::words::{figure, health, hour_of, isoformat, metrics};

/// Values of keys as they are before an event; a key that is not there is missing.
pub type Before = BTreeMap<String, String>;

/// A change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The key.
    pub key: String,
    /// What is done to it.
    pub what: What,
    /// Seconds until it is gone by itself; it stays where there are none.
    pub ttl_secs: Option<u64>,
}

/// What is done to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It gets this value.
    Set(String),
    /// The list gets this in front, and is cut to [`LIST_MAX`].
    Push(String),
    /// The set gets this member.
    Add(String),
    /// The set loses this member.
    Remove(String),
    /// It goes.
    Delete,
}

/// Entries of a list.
pub const LIST_MAX: usize = 100;
/// Alerts of a history.
const ALERTS_MAX: usize = 10;
/// The old breaker forgets after so long what opened it, in microseconds.
const BREAKER_MICROS: i64 = 3_600_000_000;

const STATE_SECS: u64 = 300;
const HISTORY_SECS: u64 = 3_600;
const POLICY_SECS: u64 = 7_200;
const AUDIT_SECS: u64 = 604_800;

fn history_key(name: &str) -> String {
    format!("hemostat:state:alert_history:{name}")
}

fn remediations_key(name: &str) -> String {
    format!("hemostat:state:remediation_history:{name}")
}

fn breaker_key(name: &str) -> String {
    format!("hemostat:state:circuit_breaker:{name}")
}

fn count_key(name: &str) -> String {
    format!("hemostat:remediation:{name}")
}

/// The keys whose values are read before they are written, or said.
pub(super) fn reads(event: &Event) -> Vec<String> {
    let Some(name) = event.data.container().map(|container| container.name.as_str()) else {
        return Vec::new();
    };
    match event.event_type() {
        EventType::HealthAlert | EventType::RemediationNeeded => vec![history_key(name)],
        EventType::RemediationComplete => {
            vec![history_key(name), remediations_key(name), breaker_key(name), count_key(name)]
        }
        EventType::RemediationVerified => vec![breaker_key(name)],
        _ => Vec::new(),
    }
}

/// The figures of the last alert in the history.
pub(super) fn last_metrics(name: &str, before: &Before) -> Option<Map<String, Value>> {
    let history = object(&history_key(name), before)?;
    Some(history.get("alerts")?.as_array()?.last()?.get("metrics")?.as_object()?.clone())
}

/// Actions in a row that did not help, as far as the breaker's key tells.
pub(super) fn failures(name: &str, before: &Before) -> Option<u32> {
    let count = object(&breaker_key(name), before)?.get("failure_count")?.as_u64()?;
    u32::try_from(count).ok().filter(|count| *count != 0)
}

/// What an event does to the keys.
pub(super) fn keys(
    event: &Event,
    said: Option<&(OldChannel, Value)>,
    context: &Context,
    before: &Before,
    settings: &Settings,
    now: Timestamp,
) -> Vec<Write> {
    let time = event.envelope.time;
    let mut page = Page { time, age_secs: now.since(time).as_secs(), writes: Vec::new() };
    let of = |role| settings.keys.contains(&role);
    match &event.data {
        Data::ContainerSample(sample) if of(Role::Monitor) => {
            page.container(&sample.container, &sample.sample, Map::new());
        }
        Data::ContainerChanged(changed) if of(Role::Monitor) && changed.change == Change::Removed => {
            page.removed(&changed.container);
        }
        Data::HealthAlert(alert) => {
            if of(Role::Monitor) {
                page.container(&alert.container, &alert.sample, metrics(&alert.sample));
            }
            if let Some((_, payload)) = said.filter(|_| of(Role::Analyzer)) {
                page.alert(alert, payload, before);
            }
        }
        Data::RemediationComplete(done) if of(Role::Responder) && said.is_some() => {
            page.remediated(done, said.map(|(_, payload)| payload), context, before, settings);
        }
        Data::RemediationVerified(verified) if of(Role::Responder) => {
            let name = &verified.container.name;
            match verified.verdict {
                Verification::Verified => page.breaker(name, Some(true), before, settings),
                Verification::NotFixed => page.breaker(name, Some(false), before, settings),
                Verification::Unknown => {}
            }
        }
        _ => {}
    }
    if let Some((channel, payload)) = said.filter(|_| of(Role::Alert)) {
        page.told(*channel, payload);
    }
    page.writes
}

/// What is written at one time.
struct Page {
    time: Timestamp,
    age_secs: u64,
    writes: Vec<Write>,
}

impl Page {
    /// Writes, unless the time of the key is over.
    fn put(&mut self, key: String, ttl_secs: u64, what: What) {
        let left = ttl_secs.saturating_sub(self.age_secs);
        if left != 0 {
            self.writes.push(Write { key, what, ttl_secs: Some(left) });
        }
    }

    fn set(&mut self, key: String, ttl_secs: u64, value: &Value) {
        self.put(key, ttl_secs, What::Set(value.to_string()));
    }

    /// What is known of a container. The old monitor lost name, status and health of the unhealthy ones; here the figures
    /// of an alert stand beside them.
    fn container(&mut self, container: &ContainerRef, sample: &Sample, figures: Map<String, Value>) {
        let (cpu, memory) = (figure(sample.cpu_percent), figure(sample.memory_percent));
        let (status, timestamp) = (sample.state.as_str(), isoformat(self.time));
        let mut state = figures;
        let known = [
            ("container_id", json!(container.id.short())),
            ("container_name", json!(container.name)),
            ("status", json!(status)),
            ("cpu_percent", json!(cpu)),
            ("memory_percent", json!(memory)),
            ("memory_usage", json!(sample.memory_bytes.unwrap_or(0))),
            ("memory_limit", json!(sample.memory_limit_bytes.unwrap_or(0))),
            ("health_status", json!(health(sample.health))),
            ("timestamp", json!(timestamp)),
        ];
        state.extend(known.map(|(name, value)| (name.to_owned(), value)));
        self.set(
            format!("hemostat:state:container:{}", container.id.short()),
            STATE_SECS,
            &Value::Object(state),
        );
        // Its documents call the figures `_pct`, its dashboard looks for `_percent`.
        let stats = json!({
            "name": container.name,
            "status": status,
            "memory_pct": memory,
            "memory_percent": memory,
            "cpu_pct": cpu,
            "cpu_percent": cpu,
            "timestamp": timestamp,
        });
        self.set(format!("hemostat:stats:{}", container.name), STATE_SECS, &stats);
        let (key, what) = ("hemostat:containers".to_owned(), What::Add(container.name.clone()));
        self.writes.push(Write { key, what, ttl_secs: None });
    }

    fn removed(&mut self, container: &ContainerRef) {
        let state = format!("hemostat:state:container:{}", container.id.short());
        self.writes.push(Write { key: state, what: What::Delete, ttl_secs: None });
        let (key, what) = ("hemostat:containers".to_owned(), What::Remove(container.name.clone()));
        self.writes.push(Write { key, what, ttl_secs: None });
    }

    fn alert(&mut self, alert: &HealthAlert, payload: &Value, before: &Before) {
        let name = &alert.container.name;
        let key = history_key(name);
        let known = object(&key, before).and_then(|mut history| history.remove("alerts"));
        let mut alerts = match known {
            Some(Value::Array(alerts)) => alerts,
            _ => Vec::new(),
        };
        alerts.push(payload.clone());
        alerts.drain(..alerts.len().saturating_sub(ALERTS_MAX));
        self.set(key, HISTORY_SECS, &json!({ "alerts": alerts, "container": name }));
    }

    fn remediated(
        &mut self,
        done: &RemediationComplete,
        payload: Option<&Value>,
        context: &Context,
        before: &Before,
        settings: &Settings,
    ) {
        let name = &done.container.name;
        let field = |name: &str| payload.and_then(|payload| payload.pointer(name)).cloned();
        let result = field("/result/status").unwrap_or_default();
        match &done.outcome {
            // What was not really done starts no cooldown.
            _ if done.dry_run => {}
            Outcome::Success => {
                self.history(done, &result, true, before);
                self.breaker(name, None, before, settings);
            }
            Outcome::Failed { .. } | Outcome::Unknown { .. } => {
                self.history(done, &result, false, before);
                self.breaker(name, Some(false), before, settings);
            }
            Outcome::Rejected { rejection: Rejection::CircuitBreakerOpen, .. } => self.opened(name, before),
            Outcome::Rejected { .. } | Outcome::NotApplicable { .. } => {}
        }
        let metrics = (!context.metrics.is_empty()).then(|| context.metrics.clone());
        let audit = json!({
            "timestamp": isoformat(self.time),
            "container": name,
            "action": field("/action"),
            "result_status": result,
            "error": field("/result/error"),
            "confidence": field("/confidence"),
            "reason": done.reason,
            "metrics": metrics,
            "dry_run": done.dry_run,
        });
        self.put(format!("hemostat:audit:{name}"), AUDIT_SECS, What::Push(audit.to_string()));
    }

    fn history(&mut self, done: &RemediationComplete, result: &Value, success: bool, before: &Before) {
        let name = &done.container.name;
        let (key, hour) = (remediations_key(name), hour_of(self.time));
        let mut history = object(&key, before).unwrap_or_default();
        let same_hour = history.get("last_retry_hour").and_then(Value::as_str) == Some(&hour);
        let so_far = history.get("retry_count").and_then(Value::as_u64).unwrap_or(0);
        let retries = if success {
            0
        } else if same_hour {
            so_far.saturating_add(1)
        } else {
            1
        };
        let mut set = |name: &str, value: Value| drop(history.insert(name.to_owned(), value));
        set("last_action_timestamp", json!(isoformat(self.time)));
        set("last_action", json!(super::words::action(&done.action)));
        set("last_result_status", result.clone());
        set("retry_count", json!(retries));
        if !success {
            set("last_retry_hour", json!(hour));
        }
        self.set(key, POLICY_SECS, &Value::Object(history));

        let key = count_key(name);
        let count = object(&key, before).and_then(|known| known.get("count")?.as_u64()).unwrap_or(0);
        let known = json!({ "last_action": isoformat(self.time), "count": count.saturating_add(1) });
        self.set(key, HISTORY_SECS, &known);
    }

    /// The old breaker, told what ours knows: a success counts when it was verified, so one that is not yet leaves the
    /// count as it is.
    fn breaker(&mut self, name: &str, helped: Option<bool>, before: &Before, settings: &Settings) {
        let key = breaker_key(name);
        let mut state = self.breaker_state(&key, before);
        let failures = state.get("failure_count").and_then(Value::as_u64).unwrap_or(0);
        let mut set = |name: &str, value: Value| drop(state.insert(name.to_owned(), value));
        match helped {
            Some(true) => {
                set("is_open", json!(false));
                set("retry_count", json!(0));
                set("failure_count", json!(0));
            }
            Some(false) => {
                let failures = failures.saturating_add(1);
                set("failure_count", json!(failures));
                set("retry_count", json!(failures));
                if u64::from(settings.breaker_failures) <= failures {
                    set("is_open", json!(true));
                    set("opened_timestamp", json!(isoformat(self.time)));
                }
            }
            None => {}
        }
        self.set(key, POLICY_SECS, &Value::Object(state));
    }

    /// Our breaker is open, whatever the old one has counted.
    fn opened(&mut self, name: &str, before: &Before) {
        let key = breaker_key(name);
        let mut state = self.breaker_state(&key, before);
        if state.get("is_open") != Some(&json!(true)) {
            state.insert("is_open".to_owned(), json!(true));
            state.insert("opened_timestamp".to_owned(), json!(isoformat(self.time)));
        }
        self.set(key, POLICY_SECS, &Value::Object(state));
    }

    /// The breaker as it stands; closed and empty where there is none, or its hour is over.
    fn breaker_state(&self, key: &str, before: &Before) -> Map<String, Value> {
        let known = object(key, before).filter(|state| {
            let opened = state.get("opened_timestamp").and_then(Value::as_str);
            let opened = opened.and_then(|text| Timestamp::parse(text).ok());
            opened.is_none_or(|opened| self.time.micros() - opened.micros() < BREAKER_MICROS)
        });
        known.unwrap_or_else(|| {
            let closed = [("is_open", json!(false)), ("retry_count", json!(0)), ("failure_count", json!(0))];
            closed.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
        })
    }

    /// What the old alert agent stored of a message, and of an alert, which it forgot.
    fn told(&mut self, channel: OldChannel, payload: &Value) {
        let entry = json!({
            "timestamp": isoformat(self.time),
            "agent": "alert",
            "event_type": channel.as_str(),
            "data": payload,
        });
        for key in [channel.as_str(), "all"] {
            self.put(format!("hemostat:events:{key}"), HISTORY_SECS, What::Push(entry.to_string()));
        }
    }
}

/// The JSON object that a key holds.
fn object(key: &str, before: &Before) -> Option<Map<String, Value>> {
    match serde_json::from_str(before.get(key)?) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    }
}
