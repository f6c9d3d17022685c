//! The states of all roles, folded from the log as the agents fold them.

use std::collections::BTreeSet;

use hemostat_core::diagnose::Analyzer;
use hemostat_core::invariant::Folds;
use hemostat_core::notify::Alerter;
use hemostat_core::remediate::Responder;
use hemostat_core::{detect, diagnose, notify, remediate};
use hemostat_event::cloudevents::Position;
use hemostat_event::{Event, Role, Subject};
use serde::Serialize;
use serde_json::Value;

/// The states of all roles for the containers of one partition.
pub(super) struct States {
    monitor: Folds<detect::State>,
    analyzer: Folds<diagnose::State>,
    responder: Folds<remediate::State>,
    alert: Folds<notify::State>,
    subjects: BTreeSet<Subject>,
}

/// What every role knew of one container; absent where a role has never said anything of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(super) struct Known {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitor: Option<Versioned<detect::State>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analyzer: Option<Versioned<diagnose::State>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub responder: Option<Versioned<remediate::State>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<Versioned<notify::State>>,
}

/// A state, and how many events it was folded from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Versioned<S> {
    pub version: u64,
    pub state: S,
}

impl Default for States {
    fn default() -> Self {
        Self {
            monitor: Folds::of_monitor(),
            analyzer: Folds::of::<Analyzer>(),
            responder: Folds::of::<Responder>(),
            alert: Folds::of::<Alerter>(),
            subjects: BTreeSet::new(),
        }
    }
}

impl States {
    /// Takes in the next event of the partition.
    pub(super) fn fold(&mut self, position: Position, event: &Event) {
        if let Some(subject) = &event.envelope.subject
            && !self.subjects.contains(subject)
        {
            self.subjects.insert(subject.clone());
        }
        self.monitor.event(position, event);
        self.analyzer.event(position, event);
        self.responder.event(position, event);
        self.alert.event(position, event);
    }

    /// What is known of each container.
    pub(super) fn known(&self) -> impl Iterator<Item = (Subject, Known)> + '_ {
        self.subjects.iter().map(|subject| {
            let known = Known {
                monitor: versioned(&self.monitor, subject),
                analyzer: versioned(&self.analyzer, subject),
                responder: versioned(&self.responder, subject),
                alert: versioned(&self.alert, subject),
            };
            (subject.clone(), known)
        })
    }
}

impl Known {
    /// The states as JSON, with role and version.
    pub(super) fn roles(&self) -> Vec<(Role, u64, Value)> {
        fn of<S: Serialize>(role: Role, known: Option<&Versioned<S>>) -> Option<(Role, u64, Value)> {
            let known = known?;
            let state =
                serde_json::to_value(&known.state).expect("a state has only values that JSON can write");
            Some((role, known.version, state))
        }
        [
            of(Role::Monitor, self.monitor.as_ref()),
            of(Role::Analyzer, self.analyzer.as_ref()),
            of(Role::Responder, self.responder.as_ref()),
            of(Role::Alert, self.alert.as_ref()),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

fn versioned<S: Default + Clone + PartialEq>(folds: &Folds<S>, subject: &Subject) -> Option<Versioned<S>> {
    folds.state(subject).map(|(version, state)| Versioned { version, state: state.clone() })
}
