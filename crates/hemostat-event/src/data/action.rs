//! What can be done to a container.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

impl ActionKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Restart, Self::Scale, Self::Cleanup, Self::Exec, Self::Escalate];

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
