//! Gathers what there is to see about a sick container, with secrets taken out.

use std::time::Duration;

use hemostat_core::engine::Inspection;
use hemostat_core::redact::redact;
use hemostat_event::{ContainerId, Evidence, EvidenceItem, EvidenceKind};
use tokio::time::timeout;

use crate::containers::{Containers, EngineError};
use crate::telemetry::Telemetry;

/// Lines of the container's log that go into the evidence.
const LOG_LINES: usize = 30;
/// An alert does not wait longer for its log lines: they explain, they do not decide.
const LOG_WAIT: Duration = Duration::from_millis(150);

/// The last lines of a container's log; empty where they cannot be had in time.
pub(super) async fn log_tail(engine: &dyn Containers, telemetry: &Telemetry, id: &ContainerId) -> String {
    let answer = timeout(LOG_WAIT, engine.log_tail(id, LOG_LINES)).await;
    let answer = answer.unwrap_or(Err(EngineError::Timeout { operation: "read the log", limit: LOG_WAIT }));
    answer.unwrap_or_else(|error| {
        telemetry.engine_failed("read the log", &error);
        String::new()
    })
}

/// Completes the evidence of an alert: log tail, output of the last health check, what the engine knows.
pub(super) fn complete(evidence: &mut Evidence, log_tail: &str, inspection: &Inspection) {
    let health = inspection.health_output.as_deref().unwrap_or_default();
    let digest = digest(inspection);
    let pieces = [
        ("log", EvidenceKind::LogTail, log_tail),
        ("health", EvidenceKind::HealthOutput, health),
        ("inspection", EvidenceKind::Inspection, digest.as_str()),
    ];
    for (name, kind, text) in pieces {
        if !text.trim().is_empty() {
            evidence.items.push(EvidenceItem { id: name.to_owned(), kind, text: text.to_owned() });
        }
    }
    for item in &mut evidence.items {
        let (text, found) = redact(&item.text);
        item.text = text;
        evidence.redactions += found;
    }
}

/// The facts of an inspection that explain a failure, one per line.
fn digest(inspection: &Inspection) -> String {
    let mut lines = vec![
        format!("image: {}", inspection.image),
        format!("state: {:?}", inspection.state).to_lowercase(),
        format!("restart policy: {:?}, restarts: {}", inspection.restart_policy, inspection.restart_count),
    ];
    let mut optional = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            lines.push(format!("{name}: {value}"));
        }
    };
    optional("exit code", inspection.exit_code.map(|code| code.to_string()));
    optional("oom killed", inspection.oom_killed.then(|| "yes".to_owned()));
    optional("engine error", inspection.error.clone().filter(|error| !error.is_empty()));
    optional("memory limit", inspection.memory_limit_bytes.map(|bytes| format!("{bytes} bytes")));
    optional("cpu limit", inspection.cpu_limit_cores.map(|cores| format!("{cores} cores")));
    optional("started at", inspection.started_at.map(|time| time.to_string()));
    optional("finished at", inspection.finished_at.map(|time| time.to_string()));
    lines.join("\n")
}
