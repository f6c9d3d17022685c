//! What the analyzer holds to be true, and what it wants done about it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Action, ActionKind, AnomalyKind, ContainerId, ContainerPolicy, ContainerRef, Severity, Timestamp,
};

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

/// What the analyzer holds to be true.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The root cause.
    pub cause: Cause,
    /// How sure, 0 to 1.
    #[serde(with = "crate::figure::confidence")]
    #[schemars(with = "f64", range(min = 0, max = 1))]
    pub confidence: f64,
    /// How the confidence came about.
    pub basis: Basis,
    /// Ids of the evidence and kinds of the anomalies it rests on.
    pub cited: Vec<String>,
    /// The same in a sentence.
    pub reason: String,
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
    #[serde(with = "crate::figure::confidence")]
    #[schemars(with = "f64", range(min = 0, max = 1))]
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

/// A plan to repair, complete in itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RemediationNeeded {
    /// The container.
    pub container: ContainerRef,
    /// What to do.
    pub plan: Plan,
    /// How bad the alert was.
    pub severity: Severity,
    /// The symptoms of the alert, by kind.
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
