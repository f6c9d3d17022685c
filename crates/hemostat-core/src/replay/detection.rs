//! Detection once more under other settings: which incidents there would have been, beside those that there were.
//!
//! An incident of the one side is the same as one of the other where both are about one container and were open at one
//! time. Those that were not are followed to their end ([`supposed`](super::supposed)); of those that would not have been,
//! everything that was recorded of them goes.

use std::collections::{BTreeMap, BTreeSet};

use hemostat_event::cloudevents::Position;
use hemostat_event::{
    AnomalyKind, Data, Envelope, Event, EventId, EventType, IncidentId, Role, Subject, Timestamp,
};
use serde::Serialize;

use super::Rules;
use super::supposed::Supposed;
use crate::detect::Again;
use crate::invariant::Redrives;

/// An incident, as it was or as it would have been.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Incident {
    /// The container.
    pub subject: Subject,
    /// Which.
    pub incident: IncidentId,
    /// When it opened, in log time.
    pub opened_at: Timestamp,
    /// When it was over; absent where the log ends before.
    pub ended_at: Option<Timestamp>,
    /// Every symptom that it had.
    pub kinds: BTreeSet<AnomalyKind>,
    /// Alerts.
    pub alerts: u64,
    /// Whether the log tells what the container's labels allow. Where it does not, nothing is supposed to be done.
    pub is_policy_known: bool,
    /// What would have followed; nothing for an incident that was.
    #[serde(skip)]
    pub followed: Vec<Data>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// Incidents that were.
    pub recorded: Vec<Incident>,
    /// Incidents that would have been.
    pub detected: Vec<Incident>,
    /// Of `recorded`, those that would not have been.
    pub gone: Vec<IncidentId>,
    /// Of `detected`, those that were not.
    pub new: Vec<IncidentId>,
}

/// Reads a log and detects again.
pub struct Detection {
    redrives: Redrives,
    again: Again,
    supposed: Supposed,
    recorded: Side,
    detected: Side,
    /// What was detected and is to be followed, by container.
    ahead: BTreeMap<Subject, Vec<Event>>,
}

/// The incidents of one side, by container, in the order in which they opened.
#[derive(Debug, Default)]
struct Side {
    incidents: BTreeMap<Subject, Vec<Incident>>,
}

impl Detection {
    /// Detects, and decides what follows, by `rules`.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            redrives: Redrives::default(),
            again: Again::new(rules.monitor.clone()),
            supposed: Supposed::new(rules),
            recorded: Side::default(),
            detected: Side::default(),
            ahead: BTreeMap::new(),
        }
    }

    /// Takes in the next event of its partition, samples too.
    pub fn event(&mut self, position: Position, event: &Event) {
        if self.redrives.take_in(position, event) {
            return;
        }
        let Some(subject) = &event.envelope.subject else { return };
        if event.event_type() == EventType::ContainerSample {
            self.follow(subject);
        } else {
            self.supposed.recorded(event);
            self.recorded.take_in(event, true);
        }
        for emit in self.again.event(event) {
            let id = EventId::derive(event.envelope.id, Role::Monitor, &emit.step(), 0);
            let envelope = Envelope { id, incident: emit.incident, cause: None, ..event.envelope.clone() };
            let detected = Event { envelope, data: emit.data };
            self.detected.take_in(&detected, self.again.policy(subject).is_some());
            self.ahead.entry(subject.clone()).or_default().push(detected);
        }
    }

    /// Follows what was detected of a container, unless it is of an incident that was. What the monitor wrote of the same
    /// sample has come by now.
    fn follow(&mut self, subject: &Subject) {
        for event in self.ahead.remove(subject).unwrap_or_default() {
            let recorded = self.recorded.last(subject);
            let Some(detected) = self.detected.last(subject) else { continue };
            if recorded.is_none_or(|recorded| !recorded.overlaps(detected)) {
                detected.followed.extend(self.supposed.follow(event));
            }
        }
    }

    /// Ends the log: both sides beside each other.
    #[must_use]
    pub fn finish(mut self) -> Found {
        for subject in self.ahead.keys().cloned().collect::<Vec<_>>() {
            self.follow(&subject);
        }
        let missing = |these: &Side, those: &Side| {
            let all = these.incidents.iter().flat_map(|(subject, incidents)| {
                let others = those.incidents.get(subject).map_or(&[][..], Vec::as_slice);
                incidents.iter().filter(|incident| !others.iter().any(|other| incident.overlaps(other)))
            });
            all.map(|incident| incident.incident).collect()
        };
        Found {
            gone: missing(&self.recorded, &self.detected),
            new: missing(&self.detected, &self.recorded),
            recorded: self.recorded.incidents.into_values().flatten().collect(),
            detected: self.detected.incidents.into_values().flatten().collect(),
        }
    }
}

impl Incident {
    fn overlaps(&self, other: &Self) -> bool {
        let begins_before_end =
            |one: &Self, two: &Self| two.ended_at.is_none_or(|ended| one.opened_at <= ended);
        begins_before_end(self, other) && begins_before_end(other, self)
    }
}

impl Side {
    fn take_in(&mut self, event: &Event, is_policy_known: bool) {
        let (Some(subject), Some(id)) = (&event.envelope.subject, event.envelope.incident) else { return };
        match &event.data {
            Data::HealthAlert(alert) => {
                let incidents = self.incidents.entry(subject.clone()).or_default();
                if incidents.last().is_none_or(|last| last.incident != id) {
                    incidents.push(Incident {
                        subject: subject.clone(),
                        incident: id,
                        opened_at: alert.opened_at,
                        ended_at: None,
                        kinds: BTreeSet::new(),
                        alerts: 0,
                        is_policy_known,
                        followed: Vec::new(),
                    });
                }
                let incident = incidents.last_mut().expect("it was put there");
                incident.alerts += 1;
                incident.kinds.extend(alert.anomalies.iter().map(|anomaly| anomaly.kind));
            }
            Data::HealthRecovered(_) => {
                if let Some(last) = self.last(subject).filter(|last| last.incident == id) {
                    last.ended_at = Some(event.envelope.time);
                }
            }
            _ => {}
        }
    }

    fn last(&mut self, subject: &Subject) -> Option<&mut Incident> {
        self.incidents.get_mut(subject)?.last_mut()
    }
}

#[cfg(test)]
mod tests;
