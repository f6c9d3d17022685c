//! Reads the engine's container events, in Docker's words and in Podman's.

use std::collections::HashMap;

use bollard::models::EventMessage;
use hemostat_core::engine::{EngineEvent, EngineEventKind};
use hemostat_event::{ContainerId, Health, Timestamp};

#[cfg(test)]
mod tests;

/// The event in `message`; `None` for one that is not about the life of a container (`exec_create`, `attach`, …).
pub(crate) fn event(message: EventMessage) -> Option<EngineEvent> {
    let actor = message.actor?;
    let attributes = actor.attributes.unwrap_or_default();
    let kind = kind(message.action.as_deref()?, &attributes)?;
    let at = match (message.time_nano, message.time) {
        (Some(nanos), _) if 0 < nanos => Timestamp::from_micros(nanos / 1_000),
        (_, Some(seconds)) => Timestamp::from_micros(seconds.saturating_mul(1_000_000)),
        _ => return None,
    };
    let name = attributes.get("name").map(|name| name.trim_start_matches('/').to_owned());
    Some(EngineEvent { id: ContainerId::new(actor.id?).ok()?, at, kind, name })
}

fn kind(action: &str, attributes: &HashMap<String, String>) -> Option<EngineEventKind> {
    let number = |names: &[&str]| names.iter().find_map(|name| attributes.get(*name)?.trim().parse::<i64>().ok());
    let (word, detail) = match action.split_once(':') {
        Some((word, detail)) => (word, Some(detail.trim())),
        None => (action, None),
    };
    Some(match word {
        "create" => EngineEventKind::Create,
        "start" => EngineEventKind::Start,
        // An engine that does not give the code leaves us with "it ended"; the inspection has the code.
        "die" | "died" => EngineEventKind::Die { exit_code: number(&["exitCode", "containerExitCode"]).unwrap_or(-1) },
        "kill" => EngineEventKind::Kill { signal: number(&["signal"]).unwrap_or(0) },
        "stop" => EngineEventKind::Stop,
        "restart" => EngineEventKind::Restart,
        "oom" => EngineEventKind::Oom,
        "health_status" => {
            // Docker writes it behind the action, Podman into an attribute.
            let status = detail
                .or_else(|| attributes.get("health_status").map(String::as_str))
                .or_else(|| attributes.get("containerHealthStatus").map(String::as_str))?;
            EngineEventKind::Health(health(status)?)
        }
        "pause" => EngineEventKind::Pause,
        "unpause" => EngineEventKind::Unpause,
        "rename" => EngineEventKind::Rename,
        "destroy" | "remove" => EngineEventKind::Destroy,
        _ => return None,
    })
}

fn health(status: &str) -> Option<Health> {
    match status {
        "starting" | "running" => Some(Health::Starting),
        "healthy" => Some(Health::Healthy),
        "unhealthy" => Some(Health::Unhealthy),
        "none" => Some(Health::None),
        _ => None,
    }
}

/// The time as the engine's `since` wants it: seconds and a fraction of nine digits. Absent for
/// [`Timestamp::EPOCH`], which asks for new events only.
pub(crate) fn since(time: Timestamp) -> Option<String> {
    let micros = time.micros();
    (time != Timestamp::EPOCH).then(|| format!("{}.{:06}000", micros / 1_000_000, micros % 1_000_000))
}
