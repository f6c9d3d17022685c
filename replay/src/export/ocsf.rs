//! Events as OCSF 1.3.0 (Open Cybersecurity Schema Framework), one JSON object per line.
//!
//! The mapping is a table in `docs/ocsf.md`. What is seen and judged is a Detection Finding (2004), what is done and
//! ordered is an API Activity (6003), the beginning and end of a container's first process is a Process Activity (1007).
//! Other types and changes have no class and are left out.

use hemostat_event::{
    Action, Actor, Change, Command, ContainerChanged, ContainerRef, Data, Envelope, Event, Outcome, Recovery,
    Severity, Verification,
};
use serde_json::{Map, Value, json};

use super::entry::{Content, Entry};

/// The version of the framework.
pub(crate) const VERSION: &str = "1.3.0";

const FINDING: u64 = 2004;
const API: u64 = 6003;
const PROCESS: u64 = 1007;

/// What a class adds to the attributes that every event has.
struct Mapped {
    class: u64,
    activity: u64,
    severity: u64,
    status: u64,
    message: String,
    own: Value,
}

/// The line of an entry, without its end; `None` where no class fits.
pub(crate) fn line(entry: &Entry) -> Option<String> {
    let Content::Event(event) = &entry.content else { return None };
    let mapped = mapped(event)?;
    let envelope = &event.envelope;
    let (category, category_name, class_name) = match mapped.class {
        FINDING => (2, "Findings", "Detection Finding"),
        PROCESS => (1, "System Activity", "Process Activity"),
        _ => (6, "Application Activity", "API Activity"),
    };
    let mut map = Map::new();
    let mut put = |name: &str, value: Value| map.insert(name.to_owned(), value);
    put("category_uid", json!(category));
    put("category_name", json!(category_name));
    put("class_uid", json!(mapped.class));
    put("class_name", json!(class_name));
    put("activity_id", json!(mapped.activity));
    put("type_uid", json!(mapped.class * 100 + mapped.activity));
    put("severity_id", json!(mapped.severity));
    put("status_id", json!(mapped.status));
    put("time", json!(envelope.time.millis()));
    put("message", json!(mapped.message));
    let mut metadata = json!({
        "version": VERSION,
        "product": {
            "name": "HemoStat",
            "vendor_name": "HemoStat",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "uid": envelope.id,
        "log_name": entry.kind,
        "event_code": entry.type_word(),
        "logged_time": entry.log_ms,
        "sequence": entry.seq,
    });
    if let Some(incident) = envelope.incident {
        metadata["correlation_uid"] = json!(incident);
    }
    if mapped.class == PROCESS {
        metadata["profiles"] = json!(["container"]);
    }
    put("metadata", metadata);
    // A process has its container within.
    if let Some(resource) = resource(event).filter(|_| mapped.class != PROCESS) {
        put("resources", json!([resource]));
    }
    let mut unmapped = json!({
        "partition": entry.partition,
        "host": envelope.host,
        "source": envelope.source.uri(),
        "data": event.data,
    });
    if let Some(cause) = envelope.cause {
        unmapped["cause"] = json!(cause);
    }
    put("unmapped", unmapped);
    if let Value::Object(own) = mapped.own {
        map.extend(own);
    }
    Some(Value::Object(map).to_string())
}

/// The class and what it adds; `None` where no class fits.
fn mapped(event: &Event) -> Option<Mapped> {
    let message = hemostat_core::project::summary(event);
    let envelope = &event.envelope;
    Some(match &event.data {
        Data::HealthAlert(alert) => {
            let types: Vec<_> = alert.anomalies.iter().map(|anomaly| anomaly.kind.as_str()).collect();
            let info = finding_info(envelope, "container is sick", &message, Some(&json!(types)));
            finding(CREATE, severity(alert.severity), NEW, message, info)
        }
        Data::RemediationNeeded(needed) => {
            let types: Vec<_> = needed.kinds.iter().map(|kind| kind.as_str()).collect();
            let mut own = finding_info(envelope, "repair is planned", &message, Some(&json!(types)));
            own["remediation"] = json!({ "desc": needed.plan.action.kind().as_str() });
            own["confidence_score"] = json!(percent(needed.verdict.confidence));
            finding(UPDATE, severity(needed.severity), IN_PROGRESS, message, own)
        }
        Data::FalseAlarm(alarm) => {
            let types: Vec<_> = alarm.kinds.iter().map(|kind| kind.as_str()).collect();
            let mut own = finding_info(envelope, "no action is taken", &message, Some(&json!(types)));
            own["confidence_score"] = json!(percent(alarm.verdict.confidence));
            finding(UPDATE, INFORMATIONAL, SUPPRESSED, message, own)
        }
        Data::HealthRecovered(recovered) => {
            let title = match recovered.reason {
                Recovery::Cleared => "container recovered",
                Recovery::Stopped => "container was stopped",
                Recovery::Removed => "container was removed",
            };
            let types: Vec<_> = recovered.kinds.iter().map(|kind| kind.as_str()).collect();
            let own = finding_info(envelope, title, &message, Some(&json!(types)));
            finding(CLOSE, INFORMATIONAL, RESOLVED, message, own)
        }
        Data::RemediationStarted(started) => {
            let own = api(envelope, operation(&started.action), &json!({ "uid": started.plan }), None);
            call(act(&started.action), INFORMATIONAL, UNKNOWN, message, own)
        }
        Data::RemediationComplete(done) => {
            let (status, error) = match &done.outcome {
                Outcome::Success => (SUCCESS, None),
                Outcome::Failed { error } => (FAILURE, Some(error.as_str())),
                Outcome::Rejected { rejection, .. } => (FAILURE, Some(rejection.as_str())),
                Outcome::NotApplicable { detail } => (FAILURE, Some(detail.as_str())),
                Outcome::Unknown { detail } => (UNKNOWN, Some(detail.as_str())),
            };
            let own = api(envelope, operation(&done.action), &json!({ "uid": done.plan }), error);
            call(
                act(&done.action),
                if status == FAILURE { MEDIUM } else { INFORMATIONAL },
                status,
                message,
                own,
            )
        }
        Data::RemediationVerified(verified) => {
            let status = match verified.verdict {
                Verification::Verified => SUCCESS,
                Verification::NotFixed => FAILURE,
                Verification::Unknown => UNKNOWN,
            };
            let own = api(envelope, "container.verify", &json!({ "uid": verified.plan }), None);
            call(READ, if status == FAILURE { MEDIUM } else { INFORMATIONAL }, status, message, own)
        }
        Data::OperatorCommand(order) => {
            let operation = match &order.command {
                Command::Approve { .. } => "plan.approve",
                Command::Deny { .. } => "plan.deny",
                Command::Silence { .. } => "container.silence",
                Command::Pause { .. } => "actions.pause",
                Command::Resume => "actions.resume",
                Command::Redrive { .. } => "dead_letter.redrive",
                Command::Act { action, .. } => operation(action),
                Command::Redact { .. } => "archive.redact",
                Command::Hold { .. } => "archive.hold",
                Command::Release { .. } => "archive.release",
            };
            let mut own = api(envelope, operation, &json!({ "uid": envelope.id }), None);
            own["actor"]["user"] = json!({ "name": order.by });
            call(CHANGE, INFORMATIONAL, SUCCESS, message, own)
        }
        Data::ContainerChanged(changed) => process(envelope, changed, message)?,
        Data::ContainerSample(_) | Data::Diagnosis(_) | Data::Notification(_) | Data::DeadLetter(_) => {
            return None;
        }
    })
}

// Activities of a finding.
const CREATE: u64 = 1;
const UPDATE: u64 = 2;
const CLOSE: u64 = 3;
// Activities of a call.
const READ: u64 = 2;
const CHANGE: u64 = 3;
const DELETE: u64 = 4;
// Activities of a process.
const LAUNCH: u64 = 1;
const TERMINATE: u64 = 2;
// Severities.
const INFORMATIONAL: u64 = 1;
const MEDIUM: u64 = 3;
// Statuses of a finding.
const NEW: u64 = 1;
const IN_PROGRESS: u64 = 2;
const SUPPRESSED: u64 = 3;
const RESOLVED: u64 = 4;
// Statuses of a call.
const UNKNOWN: u64 = 0;
const SUCCESS: u64 = 1;
const FAILURE: u64 = 2;

fn finding(activity: u64, severity: u64, status: u64, message: String, own: Value) -> Mapped {
    Mapped { class: FINDING, activity, severity, status, message, own }
}

fn call(activity: u64, severity: u64, status: u64, message: String, own: Value) -> Mapped {
    Mapped { class: API, activity, severity, status, message, own }
}

/// One finding is one incident: what comes later about it updates it.
fn finding_info(envelope: &Envelope, title: &str, message: &str, types: Option<&Value>) -> Value {
    let uid = envelope.incident.map_or_else(|| envelope.id.to_string(), |incident| incident.to_string());
    let mut info = json!({ "uid": uid, "title": title, "desc": message });
    if let Some(types) = types {
        info["types"] = types.clone();
    }
    json!({ "finding_info": info })
}

fn api(envelope: &Envelope, operation: &str, request: &Value, error: Option<&str>) -> Value {
    let mut api = json!({
        "operation": operation,
        "service": { "name": "container engine" },
        "request": request,
    });
    if let Some(error) = error {
        api["response"] = json!({ "error": "not done", "error_message": error });
    }
    json!({
        "api": api,
        "actor": { "app_name": "HemoStat", "app_uid": envelope.source.uri() },
        "src_endpoint": { "hostname": envelope.host, "name": envelope.source.uri() },
    })
}

/// The first process of a container has begun or ended; `None` for every other change.
fn process(envelope: &Envelope, changed: &ContainerChanged, message: String) -> Option<Mapped> {
    let (activity, severity, exit_code) = match changed.change {
        Change::Started => (LAUNCH, INFORMATIONAL, None),
        Change::Stopped { exit_code } | Change::Died { exit_code: exit_code @ 0 } => {
            (TERMINATE, INFORMATIONAL, Some(exit_code))
        }
        Change::Died { exit_code } => (TERMINATE, MEDIUM, Some(exit_code)),
        // Of a kill for memory the engine does not say which process; its end is an event of its own.
        Change::OomKilled
        | Change::Discovered { .. }
        | Change::HealthChanged { .. }
        | Change::Paused { .. }
        | Change::Removed => return None,
    };
    let ContainerRef { id, name, image, .. } = &changed.container;
    let actor = match changed.by {
        Actor::Engine => "container engine",
        Actor::Operator => "client of the container engine",
        Actor::Hemostat => "HemoStat",
    };
    let mut own = json!({
        "actor": { "app_name": actor },
        // What kind of machine the host is, nobody knows here.
        "device": { "hostname": envelope.host, "type_id": 0 },
        "process": { "uid": id, "name": name, "container": { "uid": id, "name": name, "image": { "uid": image } } },
    });
    if let Some(exit_code) = exit_code {
        own["exit_code"] = json!(exit_code);
    }
    Some(Mapped { class: PROCESS, activity, severity, status: SUCCESS, message, own })
}

fn operation(action: &Action) -> &'static str {
    match action {
        Action::Restart { .. } => "container.restart",
        Action::Scale { .. } => "service.scale",
        Action::Cleanup => "container.remove",
        Action::Exec { .. } => "container.exec",
        Action::Escalate => "incident.escalate",
    }
}

fn act(action: &Action) -> u64 {
    if matches!(action, Action::Cleanup) { DELETE } else { CHANGE }
}

fn severity(severity: Severity) -> u64 {
    match severity {
        Severity::Info => INFORMATIONAL,
        Severity::Warning => MEDIUM,
        Severity::High => 4,
        Severity::Critical => 5,
    }
}

/// A confidence of 0 to 1 as OCSF has it, 0 to 100.
fn percent(confidence: f64) -> u64 {
    (confidence * 100.0).round() as u64
}

/// The container.
fn resource(event: &Event) -> Option<Value> {
    let subject = event.envelope.subject.as_ref();
    let container: Option<&ContainerRef> = event.data.container();
    if subject.is_none() && container.is_none() {
        return None;
    }
    let mut resource = json!({ "type": "container" });
    if let Some(subject) = subject {
        resource["name"] = json!(subject);
    }
    if let Some(container) = container {
        resource["uid"] = json!(container.id);
        resource["labels"] = json!([format!("image:{}", container.image)]);
    }
    Some(resource)
}
