//! Counters of an agent begin with 0: one that is absent until something happens hides the first time from `rate`.

use hemostat_core::project::metrics::OUTCOMES;
use hemostat_event::{ActionKind, AnomalyKind, EventType, Role, Severity, Verification};

use super::{Telemetry, verdict_word};

/// What an engine is asked for, as far as failures of it are counted.
pub(super) const ENGINE_OPERATIONS: [&str; 8] =
    ["disk usage", "events", "info", "inspect", "list", "read counters", "read the log", "restart"];

impl Telemetry {
    /// An agent of this process starts.
    pub fn begin(&self, role: Role) {
        let label = [role.as_str()];
        for counter in [
            &self.inputs,
            &self.input_failures,
            &self.dead_letters,
            &self.conflicts,
            &self.fenced,
            &self.early,
            &self.log_errors,
            &self.agent_restarts,
        ] {
            counter.with_label_values(&label);
        }
        self.input_seconds.with_label_values(&label);
        if matches!(role, Role::Monitor | Role::Responder) {
            for operation in ENGINE_OPERATIONS {
                self.engine_errors.with_label_values(&[operation]);
            }
        }
        match role {
            Role::Monitor => {
                for severity in Severity::ALL {
                    self.alerts.with_label_values(&[severity.as_str()]);
                }
                for kind in AnomalyKind::ALL {
                    self.anomalies.with_label_values(&[kind.as_str()]);
                }
            }
            Role::Responder => {
                for action in ActionKind::ALL {
                    for outcome in OUTCOMES {
                        self.actions.with_label_values(&[action.as_str(), outcome]);
                    }
                    self.action_seconds.with_label_values(&[action.as_str()]);
                }
                for verdict in Verification::ALL {
                    self.verified.with_label_values(&[verdict_word(verdict)]);
                }
            }
            Role::Bridge => self.bridge.begin(),
            Role::Analyzer | Role::Alert | Role::Operator | Role::Archiver => {}
        }
    }

    /// The janitor of this process stands by.
    pub(crate) fn begin_cleaning(&self) {
        self.log_errors.with_label_values(&["janitor"]);
        for kind in EventType::ALL {
            self.trimmed.with_label_values(&[kind.as_str()]);
        }
    }
}
