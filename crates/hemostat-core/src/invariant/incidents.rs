//! D-1: a container has at most one open incident; it opens with an alert and ends with a recovery.

use std::collections::BTreeMap;

use hemostat_event::cloudevents::Position;
use hemostat_event::{Data, Event, IncidentId, Role, Subject};

use super::{Invariant, Scope, Violation};

#[derive(Debug)]
pub(super) struct Incidents {
    from_start: bool,
    /// The latest incident of each container.
    latest: BTreeMap<Subject, Latest>,
}

#[derive(Debug)]
struct Latest {
    id: IncidentId,
    at: Position,
    open: bool,
}

impl Incidents {
    pub(super) fn new(scope: &Scope) -> Self {
        Self { from_start: scope.from_start, latest: BTreeMap::new() }
    }

    pub(super) fn take_in(&mut self, position: Position, event: &Event, found: &mut Vec<Violation>) {
        // The old agents know no incidents, and nobody tells when one of theirs is over.
        if event.envelope.source.role == Role::Bridge {
            return;
        }
        let opens = match &event.data {
            Data::HealthAlert(_) => true,
            Data::HealthRecovered(_) => false,
            _ => return,
        };
        let mut broken = |at: &[Position], detail: &str| {
            found.push(Violation::new(Invariant::OneIncident, at.iter().copied(), detail.to_owned()));
        };
        let (Some(subject), Some(id)) = (&event.envelope.subject, event.envelope.incident) else {
            broken(&[position], "it names no container or no incident");
            return;
        };
        let latest = self.latest.get(subject);
        match (latest, opens) {
            (Some(latest), true) if latest.open && latest.id != id => {
                broken(&[latest.at, position], "a second incident while one is open");
            }
            (Some(latest), true) if !latest.open && latest.id == id => {
                broken(&[latest.at, position], "an alert of an incident that is over");
            }
            (Some(latest), false) if !latest.open => {
                broken(&[latest.at, position], "a recovery, and no incident is open");
            }
            (Some(latest), false) if latest.id != id => {
                broken(&[latest.at, position], "a recovery of another incident than the open one");
            }
            (None, false) if self.from_start => broken(&[position], "a recovery, and no incident is open"),
            _ => {}
        }
        self.latest.insert(subject.clone(), Latest { id, at: position, open: opens });
    }
}
