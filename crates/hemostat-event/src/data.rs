//! The thirteen event types and what each of them says.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Actor, AnomalyKind, Change, ContainerId, ContainerPolicy, ContainerRef, EventId, Health, IncidentId,
    Role, RunState, Sample, Severity, Subject, Timestamp, TrendPoint,
};

/// Declares the event types once: the wire name, the payload and the schema version that this code writes.
macro_rules! event_types {
    ($($(#[$doc:meta])* $variant:ident($name:literal, $version:literal);)*) => {
        /// The type of an event, as it appears in stream names and in `CloudEvents`' `type`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum EventType {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl EventType {
            /// Every type, in the order of the loop.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// The wire name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The schema version that this code writes, and the highest it reads.
            #[must_use]
            pub const fn version(self) -> u32 {
                match self { $(Self::$variant => $version,)* }
            }

            /// Reads a payload of this type.
            pub(crate) fn read<'de, D: serde::Deserializer<'de>>(self, payload: D) -> Result<Data, D::Error> {
                match self { $(Self::$variant => $variant::deserialize(payload).map(Data::$variant),)* }
            }

            /// The JSON Schema of a payload of this type.
            pub(crate) fn payload_schema(self, generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                match self { $(Self::$variant => generator.subschema_for::<$variant>(),)* }
            }
        }

        /// The payload of an event.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum Data {
            $($(#[$doc])* $variant($variant),)*
        }

        impl Data {
            /// The type of the event that carries this payload.
            #[must_use]
            pub const fn event_type(&self) -> EventType {
                match self { $(Self::$variant(_) => EventType::$variant,)* }
            }
        }

        $(impl From<$variant> for Data {
            fn from(payload: $variant) -> Self {
                Self::$variant(payload)
            }
        })*
    };
}

event_types! {
    /// One measurement of one container.
    ContainerSample("container_sample", 1);
    /// Something happened to a container.
    ContainerChanged("container_changed", 1);
    /// A container is sick.
    HealthAlert("health_alert", 1);
    /// An incident's symptoms are gone.
    HealthRecovered("health_recovered", 1);
    /// What a language model answered.
    Diagnosis("diagnosis", 1);
    /// A plan to repair.
    RemediationNeeded("remediation_needed", 1);
    /// No real issue, and why not.
    FalseAlarm("false_alarm", 1);
    /// The intent, before the engine is called.
    RemediationStarted("remediation_started", 1);
    /// The outcome of a plan.
    RemediationComplete("remediation_complete", 1);
    /// Whether the repair worked.
    RemediationVerified("remediation_verified", 1);
    /// What people were told.
    Notification("notification", 1);
    /// What a person ordered.
    OperatorCommand("operator_command", 1);
    /// An event that could not be handled.
    DeadLetter("dead_letter", 1);
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is not an event type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an event type of this version")]
pub struct UnknownType(pub String);

impl FromStr for EventType {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, UnknownType> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| UnknownType(text.to_owned()))
    }
}

impl Data {
    /// The container the payload is about, where it is about one.
    #[must_use]
    pub fn container(&self) -> Option<&ContainerRef> {
        match self {
            Self::ContainerSample(data) => Some(&data.container),
            Self::ContainerChanged(data) => Some(&data.container),
            Self::HealthAlert(data) => Some(&data.container),
            Self::HealthRecovered(data) => Some(&data.container),
            Self::Diagnosis(data) => Some(&data.container),
            Self::RemediationNeeded(data) => Some(&data.container),
            Self::FalseAlarm(data) => Some(&data.container),
            Self::RemediationStarted(data) => Some(&data.container),
            Self::RemediationComplete(data) => Some(&data.container),
            Self::RemediationVerified(data) => Some(&data.container),
            Self::Notification(data) => data.container.as_ref(),
            Self::OperatorCommand(_) | Self::DeadLetter(_) => None,
        }
    }
}

/// One measurement of one container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerSample {
    /// The container.
    pub container: ContainerRef,
    /// The figures.
    pub sample: Sample,
}

/// Something happened to a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerChanged {
    /// The container.
    pub container: ContainerRef,
    /// What happened.
    #[serde(flatten)]
    pub change: Change,
    /// Who did it.
    pub by: Actor,
    /// When the engine says it happened.
    pub at: Timestamp,
}

/// A container is sick: all its present symptoms, the measurement that shows them and the evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HealthAlert {
    /// The container.
    pub container: ContainerRef,
    /// The worst severity among the anomalies.
    pub severity: Severity,
    /// Every symptom of the open incident, by kind.
    pub anomalies: Vec<Anomaly>,
    /// The measurement at the time of the alert.
    pub sample: Sample,
    /// When the incident opened.
    pub opened_at: Timestamp,
    /// The engine event that showed it first, where it was one and not a measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_event_at: Option<Timestamp>,
    /// Ends of this container that nobody asked for, within the last ten minutes.
    #[serde(default)]
    pub deaths_recent: u32,
    /// Whether the engine's own restart policy starts the container again without us.
    #[serde(default)]
    pub engine_restarts: bool,
    /// What there is to see.
    #[serde(default)]
    pub evidence: Evidence,
    /// What the container's labels allow.
    pub policy: ContainerPolicy,
}

/// One symptom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Anomaly {
    /// What kind of symptom.
    pub kind: AnomalyKind,
    /// How bad.
    pub severity: Severity,
    /// What was measured; the unit is the kind's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<f64>,
    /// The level it had to reach, in the same unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// Since when.
    pub since: Timestamp,
    /// The same in words.
    pub detail: String,
}

/// What there is to see about an incident, with secrets taken out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Evidence {
    /// Pieces of text, each with an id that a verdict can cite.
    pub items: Vec<EvidenceItem>,
    /// The recent past, oldest first.
    pub trend: Vec<TrendPoint>,
    /// Secrets that were taken out of the texts.
    pub redactions: u32,
}

/// One piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EvidenceItem {
    /// Unique within the alert: `log`, `health`, `change-1`, …
    pub id: String,
    /// Where it comes from.
    pub kind: EvidenceKind,
    /// What it says.
    pub text: String,
}

/// Where a piece of evidence comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceKind {
    /// The last lines the container wrote.
    LogTail,
    /// What the last health check printed.
    HealthOutput,
    /// What the engine knows of the container: image, limits, restart policy.
    Inspection,
    /// Something that changed lately.
    RecentChange,
}

/// An incident's symptoms are gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealthRecovered {
    /// The container.
    pub container: ContainerRef,
    /// The symptoms it had.
    pub kinds: Vec<AnomalyKind>,
    /// Why the incident is over.
    pub reason: Recovery,
    /// When the incident opened.
    pub opened_at: Timestamp,
    /// How long the symptoms lasted, in milliseconds.
    pub lasted_ms: u64,
}

/// Why an incident is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Recovery {
    /// Every symptom is below its clear level.
    Cleared,
    /// A person stopped the container.
    Stopped,
    /// The container is gone.
    Removed,
}

/// The root cause, from a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The memory limit was reached.
    MemoryLimit,
    /// Memory rises steadily towards the limit.
    MemoryLeak,
    /// CPU time near the quota for long.
    CpuSaturation,
    /// The first process failed (an exit code of its own choice).
    ApplicationError,
    /// Native code crashed: segmentation fault, abort, bus error, illegal instruction.
    NativeCrash,
    /// The command cannot be run: not found, not executable, wrong architecture.
    BadCommand,
    /// Killed from outside.
    KilledFromOutside,
    /// Ended because somebody asked for it.
    IntendedStop,
    /// Dies again and again; another restart does not help.
    CrashLoop,
    /// The health check fails while the process lives.
    Unresponsive,
    /// The writable layer or a volume is full.
    DiskFull,
    /// Something it depends on is down.
    Dependency,
    /// Too many processes.
    ProcessLeak,
    /// A short spike that passed or has no weight.
    TransientSpike,
    /// The facts do not say.
    Unknown,
}

/// How a confidence came about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "method")]
pub enum Basis {
    /// A rule of the rule engine.
    Rule {
        /// Its name.
        rule: String,
    },
    /// A language model, within what the rules allow.
    Model {
        /// Who answered.
        provider: String,
        /// Which model.
        model: String,
    },
}

/// What a language model answered, recorded before anything is decided on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnosis {
    /// The container.
    pub container: ContainerRef,
    /// Who answered.
    pub provider: String,
    /// Which model.
    pub model: String,
    /// The root cause it chose.
    pub cause: Cause,
    /// Whether it holds the issue to be real.
    pub real_issue: bool,
    /// The action it proposes, where it proposes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ActionKind>,
    /// Its own word for how sure it is, 0 to 1; never a safety signal.
    pub stated_confidence: f64,
    /// Ids of the evidence it relies on.
    pub cited: Vec<String>,
    /// Its reasons.
    pub explanation: String,
    /// Digest of what it was asked, in hexadecimal.
    pub prompt_digest: String,
    /// How long it took, in milliseconds.
    pub latency_ms: u64,
}

/// A plan to repair, complete in itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RemediationNeeded {
    /// The container.
    pub container: ContainerRef,
    /// What to do.
    pub plan: Plan,
    /// How bad the alert was.
    pub severity: Severity,
    /// Whether the reason is in the alert's symptoms: their kinds.
    pub kinds: Vec<AnomalyKind>,
    /// The verdict behind it.
    pub verdict: Verdict,
}

/// What to do, to what, and until when it still makes sense.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// The action with its parameters.
    pub action: Action,
    /// The engine's id of the target: a container that was replaced meanwhile is not the target.
    pub target: ContainerId,
    /// What the container's labels allow.
    pub policy: ContainerPolicy,
    /// After this time the plan is stale and must not be carried out.
    pub expires_at: Timestamp,
}

/// An action with its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Stop and start the container.
    Restart {
        /// Seconds between SIGTERM and SIGKILL; the engine's default when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stop_timeout_secs: Option<u32>,
    },
    /// Run more or fewer replicas of the service.
    Scale {
        /// The service.
        service: String,
        /// Replicas wanted.
        replicas: u32,
    },
    /// Remove stopped containers of the same project.
    Cleanup,
    /// Run an allowed command inside the container.
    Exec {
        /// Program and arguments; no shell.
        command: Vec<String>,
    },
    /// Do nothing to the container: a person has to look.
    Escalate,
}

/// The kind of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// Stop and start the container.
    Restart,
    /// Run more or fewer replicas of the service.
    Scale,
    /// Remove stopped containers of the same project.
    Cleanup,
    /// Run an allowed command inside the container.
    Exec,
    /// Do nothing to the container: a person has to look.
    Escalate,
}

impl Action {
    /// The kind of this action.
    #[must_use]
    pub const fn kind(&self) -> ActionKind {
        match self {
            Self::Restart { .. } => ActionKind::Restart,
            Self::Scale { .. } => ActionKind::Scale,
            Self::Cleanup => ActionKind::Cleanup,
            Self::Exec { .. } => ActionKind::Exec,
            Self::Escalate => ActionKind::Escalate,
        }
    }
}

impl ActionKind {
    /// The word used in logs, metrics and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Scale => "scale",
            Self::Cleanup => "cleanup",
            Self::Exec => "exec",
            Self::Escalate => "escalate",
        }
    }
}

/// What the analyzer holds to be true.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The root cause.
    pub cause: Cause,
    /// How sure, 0 to 1.
    pub confidence: f64,
    /// How the confidence came about.
    pub basis: Basis,
    /// Ids of the evidence and kinds of the anomalies it rests on.
    pub cited: Vec<String>,
    /// The same in a sentence.
    pub reason: String,
}

/// No real issue, and why not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FalseAlarm {
    /// The container.
    pub container: ContainerRef,
    /// The symptoms of the alert.
    pub kinds: Vec<AnomalyKind>,
    /// Why not.
    pub verdict: Verdict,
}

/// The intent, written before the engine is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RemediationStarted {
    /// The container.
    pub container: ContainerRef,
    /// The plan that is being carried out: the id of its event.
    pub plan: EventId,
    /// The action with its parameters.
    pub action: Action,
    /// The engine's id of the target.
    pub target: ContainerId,
    /// 1 for the first action within the budget's window.
    pub attempt: u32,
    /// Actions the budget allows in its window.
    pub budget: u32,
    /// Whether this is the single probe of a half-open breaker.
    #[serde(default)]
    pub probe: bool,
    /// Nothing is really done.
    pub dry_run: bool,
}

/// How a plan ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RemediationComplete {
    /// The container.
    pub container: ContainerRef,
    /// The plan: the id of its event.
    pub plan: EventId,
    /// The action with its parameters.
    pub action: Action,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Nothing was really done.
    pub dry_run: bool,
    /// How long the action took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// The plan's reason.
    pub reason: String,
    /// The plan's confidence, 0 to 1.
    pub confidence: f64,
}

/// How a plan ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// The engine did it (or, in a dry run, would have been asked to).
    Success,
    /// The engine did not do it.
    Failed {
        /// What it answered.
        error: String,
    },
    /// The policy did not allow it.
    Rejected {
        /// Why not.
        rejection: Rejection,
        /// When it could be allowed again, in milliseconds from now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        remaining_ms: Option<u64>,
    },
    /// There is nothing to do, or nothing to do it to.
    NotApplicable {
        /// Why not.
        detail: String,
    },
    /// It is not known whether the engine did it: the responder died in between and the engine cannot tell.
    Unknown {
        /// What was seen.
        detail: String,
    },
}

/// Why the policy did not allow an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rejection {
    /// The last action is too recent.
    CooldownActive,
    /// As many actions as the window allows were taken.
    BudgetSpent,
    /// Too many actions in a row did not help.
    CircuitBreakerOpen,
    /// The container's mode does not allow it.
    ModeForbids,
    /// The confidence is below the threshold.
    ConfidenceTooLow,
    /// The plan is older than its expiry.
    PlanExpired,
    /// Another action on the container has not ended yet.
    ActionInProgress,
}

impl Rejection {
    /// The word used in logs, metrics and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CooldownActive => "cooldown_active",
            Self::BudgetSpent => "budget_spent",
            Self::CircuitBreakerOpen => "circuit_breaker_open",
            Self::ModeForbids => "mode_forbids",
            Self::ConfidenceTooLow => "confidence_too_low",
            Self::PlanExpired => "plan_expired",
            Self::ActionInProgress => "action_in_progress",
        }
    }
}

/// Whether a repair worked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RemediationVerified {
    /// The container.
    pub container: ContainerRef,
    /// The plan: the id of its event.
    pub plan: EventId,
    /// The kind of the action.
    pub action: ActionKind,
    /// What was found.
    pub verdict: Verification,
    /// What was seen, in words.
    pub detail: String,
    /// State of the container at the end of the window, where the engine answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<RunState>,
    /// Health at the end of the window, where the engine answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Time from the intent to this verdict, in milliseconds.
    pub elapsed_ms: u64,
}

/// What verification found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verification {
    /// It runs, is not unhealthy, and has not ended since the action.
    Verified,
    /// It is as sick as before.
    NotFixed,
    /// The engine could not be asked, or the container is gone or was replaced.
    Unknown,
}

/// What people were told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Notification {
    /// The container, where the news is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerRef>,
    /// What the news is.
    pub kind: NotificationKind,
    /// Through which channel.
    pub channel: Channel,
    /// What became of it.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// Container and kind: within the window the same key is told once.
    pub dedup_key: String,
}

/// What a notification tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotificationKind {
    /// A person has to look.
    Escalation,
    /// An action was taken.
    Remediated,
    /// An action failed.
    RemediationFailed,
    /// The policy did not allow an action.
    RemediationRejected,
    /// The repair worked.
    Verified,
    /// The repair did not work, or nobody knows.
    NotFixed,
    /// The incident is over.
    Recovered,
    /// An event could not be handled.
    DeadLetter,
}

impl NotificationKind {
    /// The word used in logs, metrics and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Escalation => "escalation",
            Self::Remediated => "remediated",
            Self::RemediationFailed => "remediation_failed",
            Self::RemediationRejected => "remediation_rejected",
            Self::Verified => "verified",
            Self::NotFixed => "not_fixed",
            Self::Recovered => "recovered",
            Self::DeadLetter => "dead_letter",
        }
    }
}

/// A way to reach people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Slack incoming webhook.
    Slack,
    /// Generic webhook.
    Webhook,
    /// The terminal or the log of the alert agent.
    Terminal,
}

impl Channel {
    /// The word used in logs, metrics and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Webhook => "webhook",
            Self::Terminal => "terminal",
        }
    }
}

/// What became of a notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "delivery", rename_all = "snake_case")]
pub enum Delivery {
    /// The channel took it.
    Sent {
        /// 1 when it went at the first try.
        attempt: u32,
    },
    /// The same was told within the window.
    Deduplicated,
    /// It was joined to another message.
    Grouped {
        /// The notification that carries it.
        into: EventId,
    },
    /// The channel will not take it.
    Failed {
        /// Tries made.
        attempt: u32,
        /// What the channel answered.
        error: String,
    },
}

/// What a person ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OperatorCommand {
    /// The order.
    #[serde(flatten)]
    pub command: Command,
    /// By whom.
    pub by: String,
}

/// An order of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Carry out a plan that waits for approval.
    Approve {
        /// The plan: the id of its event.
        plan: EventId,
    },
    /// Do not carry it out.
    Deny {
        /// The plan: the id of its event.
        plan: EventId,
        /// Why not.
        reason: String,
    },
    /// Tell nobody about a container for a while.
    Silence {
        /// The container.
        target: Subject,
        /// Until when.
        until: Timestamp,
    },
    /// Act on nothing.
    Pause {
        /// Until when; for ever when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// Act again.
    Resume,
    /// Hand a dead letter to its group once more.
    Redrive {
        /// The dead event.
        event: EventId,
    },
    /// Carry out an action now.
    Act {
        /// The container.
        target: Subject,
        /// The action.
        action: Action,
    },
}

/// An event that could not be handled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetter {
    /// The stream it stood in.
    pub stream: String,
    /// Its entry id there.
    pub entry: String,
    /// The group that could not handle it.
    pub group: Role,
    /// Its own id, where it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventId>,
    /// Its incident, where it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentId>,
    /// Why it could not be handled: the errors from the outermost to the root.
    pub errors: Vec<String>,
    /// How often it was delivered.
    pub attempts: u32,
    /// The entry's fields as they stood, each value in hexadecimal where it is not UTF-8.
    pub original: std::collections::BTreeMap<String, String>,
}
