//! The states of all roles, folded from the log as the agents fold them.

use std::collections::{BTreeMap, BTreeSet};

use hemostat_agent::log;
use hemostat_core::diagnose::Analyzer;
use hemostat_core::invariant::Folds;
use hemostat_core::notify::Alerter;
use hemostat_core::remediate::Responder;
use hemostat_core::role::{Decide as _, Timer};
use hemostat_core::{detect, diagnose, notify, remediate};
use hemostat_event::cloudevents::Position;
use hemostat_event::{Event, Role, Subject};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::latest::Measured;

/// The states of all roles for the containers of one partition.
pub(crate) struct States {
    monitor: Folds<detect::State>,
    analyzer: Folds<diagnose::State>,
    responder: Folds<remediate::State>,
    alert: Folds<notify::State>,
}

/// What every role knew of one container; absent where a role has never said anything of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(crate) struct Known {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitor: Option<Versioned<detect::State>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analyzer: Option<Versioned<diagnose::State>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub responder: Option<Versioned<remediate::State>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<Versioned<notify::State>>,
    /// What was measured last, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<Measured>,
}

/// A state, and how many events it was folded from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Versioned<S> {
    pub version: u64,
    pub state: S,
}

impl<S: Serialize> Versioned<S> {
    fn stored(&self) -> log::Versioned {
        log::Versioned::of(self.version, &self.state)
    }
}

impl Default for States {
    fn default() -> Self {
        Self {
            monitor: Folds::of_monitor(),
            analyzer: Folds::of::<Analyzer>(),
            responder: Folds::of::<Responder>(),
            alert: Folds::of::<Alerter>(),
        }
    }
}

impl States {
    /// Takes in the next event of the partition.
    pub(crate) fn fold(&mut self, position: Position, event: &Event) {
        self.monitor.event(position, event);
        self.analyzer.event(position, event);
        self.responder.event(position, event);
        self.alert.event(position, event);
    }

    /// The states as the log stores them.
    pub(crate) fn stored(&self) -> BTreeMap<(Role, Subject), log::Versioned> {
        let mut stored = BTreeMap::new();
        for (subject, known) in self.known() {
            let mut put = |role, state: Option<log::Versioned>| {
                stored.extend(state.map(|state| ((role, subject.clone()), state)));
            };
            put(Role::Monitor, known.monitor.as_ref().map(Versioned::stored));
            put(Role::Analyzer, known.analyzer.as_ref().map(Versioned::stored));
            put(Role::Responder, known.responder.as_ref().map(Versioned::stored));
            put(Role::Alert, known.alert.as_ref().map(Versioned::stored));
        }
        stored
    }

    /// Whether a stored state says the same as these states, in whatever words of this or an earlier version.
    pub(crate) fn say(&self, role: Role, subject: &Subject, stored: &log::Versioned) -> bool {
        fn same<S: DeserializeOwned + Default + Clone + PartialEq>(
            folds: &Folds<S>,
            subject: &Subject,
            stored: &log::Versioned,
        ) -> bool {
            let read = rmp_serde::from_slice::<S>(&stored.bytes).ok();
            folds.state(subject).is_some_and(|(version, state)| {
                version == stored.version && read.is_some_and(|read| read == *state)
            })
        }
        match role {
            Role::Monitor => same(&self.monitor, subject, stored),
            Role::Analyzer => same(&self.analyzer, subject, stored),
            Role::Responder => same(&self.responder, subject, stored),
            Role::Alert => same(&self.alert, subject, stored),
            Role::Operator | Role::Archiver | Role::Bridge => false,
        }
    }

    /// The deadlines that these states wait for.
    pub(crate) fn deadlines(&self, responder: &Responder) -> Vec<(Role, Timer)> {
        let of_one = |subject: &Subject| {
            let known = self.responder.state(subject);
            let timers = known.map(|(_, state)| responder.deadlines(subject, state)).unwrap_or_default();
            timers.into_iter().map(|timer| (Role::Responder, timer))
        };
        // The other roles set none.
        let subjects: BTreeSet<&Subject> = self.responder.subjects().collect();
        subjects.into_iter().flat_map(of_one).collect()
    }

    /// What is known of each container.
    pub(super) fn known(&self) -> impl Iterator<Item = (Subject, Known)> + '_ {
        let mut subjects: BTreeSet<&Subject> = self.monitor.subjects().collect();
        subjects.extend(self.analyzer.subjects());
        subjects.extend(self.responder.subjects());
        subjects.extend(self.alert.subjects());
        subjects.into_iter().map(|subject| {
            let known = Known {
                monitor: versioned(&self.monitor, subject),
                analyzer: versioned(&self.analyzer, subject),
                responder: versioned(&self.responder, subject),
                alert: versioned(&self.alert, subject),
                sample: None,
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
