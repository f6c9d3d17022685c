//! Reads the engine's container events, in Docker's words and in Podman's.

use std::collections::BTreeMap;

use hemostat_core::engine::{EngineEvent, EngineEventKind, signal_number};
use hemostat_event::{ContainerId, Timestamp};
use serde::Deserialize;
use serde_json::json;

use crate::answer::escaped;
use crate::inspect::health_word;

#[cfg(test)]
mod tests;

/// The actions that are asked for. The others are most of an engine's events: three for every health check.
const ACTIONS: [&str; 14] = [
    "create",
    "start",
    "die",
    "died",
    "kill",
    "stop",
    "restart",
    "oom",
    "health_status",
    "pause",
    "unpause",
    "rename",
    "destroy",
    "remove",
];

/// One line of the event stream, as far as it is used.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Message {
    #[serde(rename = "Action")]
    action: Option<String>,
    #[serde(rename = "Actor")]
    actor: Option<Actor>,
    time: Option<i64>,
    #[serde(rename = "timeNano")]
    time_nano: Option<i64>,
    /// Podman's place for the new health.
    #[serde(rename = "HealthStatus")]
    health_status: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Actor {
    #[serde(rename = "ID")]
    id: Option<String>,
    #[serde(rename = "Attributes")]
    attributes: Option<BTreeMap<String, String>>,
}

/// The event in a line of the stream; `None` for one that is not about the life of a container.
///
/// # Errors
/// When the line is not an event at all.
pub(crate) fn event(line: &[u8]) -> Result<Option<EngineEvent>, serde_json::Error> {
    serde_json::from_slice(line).map(read)
}

fn read(message: Message) -> Option<EngineEvent> {
    let actor = message.actor?;
    let attributes = actor.attributes.unwrap_or_default();
    let kind = kind(message.action.as_deref()?, message.health_status.as_deref(), &attributes)?;
    let at = match (message.time_nano, message.time) {
        (Some(nanos), _) if 0 < nanos => Timestamp::from_micros(nanos / 1_000),
        (_, Some(seconds)) => Timestamp::from_micros(seconds.saturating_mul(1_000_000)),
        _ => return None,
    };
    let name = attributes.get("name").map(|name| name.trim_start_matches('/').to_owned());
    Some(EngineEvent { id: ContainerId::new(actor.id?).ok()?, at, kind, name })
}

fn kind(
    action: &str,
    health_status: Option<&str>,
    attributes: &BTreeMap<String, String>,
) -> Option<EngineEventKind> {
    let attribute = |name: &str| attributes.get(name).map(|text| text.trim());
    let number = |name: &str| attribute(name)?.parse::<i64>().ok();
    let (word, detail) = match action.split_once(':') {
        Some((word, detail)) => (word, Some(detail.trim())),
        None => (action, None),
    };
    Some(match word {
        "create" => EngineEventKind::Create,
        "start" => EngineEventKind::Start,
        // An engine that does not give the code leaves us with "it ended"; the inspection has the code.
        "die" | "died" => EngineEventKind::Die {
            exit_code: number("exitCode").or_else(|| number("containerExitCode")).unwrap_or(-1),
        },
        "kill" => EngineEventKind::Kill { signal: attribute("signal").and_then(signal_number).unwrap_or(0) },
        "stop" => EngineEventKind::Stop,
        "restart" => EngineEventKind::Restart,
        "oom" => EngineEventKind::Oom,
        // Docker writes it behind the action, Podman beside it.
        "health_status" => EngineEventKind::Health(health_word(Some(
            detail
                .or(health_status)
                .or_else(|| attribute("health_status"))
                .filter(|word| !word.is_empty())?,
        ))),
        "pause" => EngineEventKind::Pause,
        "unpause" => EngineEventKind::Unpause,
        "rename" => EngineEventKind::Rename,
        "destroy" | "remove" => EngineEventKind::Destroy,
        _ => return None,
    })
}

/// Path and query of the stream of container events since `since`, that moment included;
/// [`Timestamp::EPOCH`] asks for new events only.
pub(crate) fn path(since: Timestamp) -> String {
    let filters = json!({ "type": ["container"], "event": ACTIONS }).to_string();
    let mut path = format!("/events?filters={}", escaped(&filters));
    if since != Timestamp::EPOCH {
        // Seconds and a fraction of nine digits.
        let micros = since.micros();
        path.push_str(&format!("&since={}.{:06}000", micros / 1_000_000, micros % 1_000_000));
    }
    path
}
