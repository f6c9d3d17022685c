//! Incidents as people read them.
//!
//! A projection: [`Incidents`] is a pure fold over the events of a log in the order of their positions. It has no
//! rule that an agent acts on and no clock; the same log gives the same incidents on every machine.
//!
//! Invariants:
//! - P-1: an event is part of at most one incident, and folding it again changes nothing.
//! - P-2: an event that names no incident belongs to that of its cause, or of the plan or event it speaks of.
//! - P-3: a log whose beginning was trimmed gives the incidents that its rest tells of.

pub mod metrics;
mod status;
mod summary;
#[cfg(test)]
mod tests;
mod timeline;

use std::collections::{BTreeMap, BTreeSet};

use hemostat_event::cloudevents::Position;
use hemostat_event::{
    AnomalyKind, Cause, Command, ContainerRef, Data, Event, EventId, EventType, IncidentId, Severity,
    Subject, Timestamp, Verdict,
};

pub use status::Status;
pub use summary::{span, summary, visible};
pub use timeline::{Detail, Phase, Spans, Step, Timeline, timeline};

use status::Progress;

/// Every incident that a log tells of, in the order in which they opened.
#[derive(Debug, Clone, Default)]
pub struct Incidents {
    incidents: Vec<Incident>,
    index: BTreeMap<IncidentId, usize>,
    /// The incident of every event that belongs to one: what is caused by such an event belongs there too.
    members: BTreeMap<EventId, IncidentId>,
}

/// One incident: everything from the first symptom of a container to its recovery.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    /// Its identity.
    pub id: IncidentId,
    /// The container, as the log names it.
    pub subject: Subject,
    /// The container, as people know it.
    pub container: ContainerRef,
    /// When the first symptom was seen.
    pub opened_at: Timestamp,
    /// When the symptoms were gone; absent while it is open.
    pub closed_at: Option<Timestamp>,
    /// The worst severity of any of its alerts.
    pub severity: Severity,
    /// Every symptom it had at any time.
    pub kinds: BTreeSet<AnomalyKind>,
    /// Alerts so far.
    pub alerts: u32,
    /// What happened, in log order.
    pub events: Vec<Line>,
    cause: Option<Cause>,
    progress: Progress,
}

/// One event of an incident in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it stands in the log.
    pub position: Position,
    /// Its id.
    pub id: EventId,
    /// The event that caused it.
    pub cause: Option<EventId>,
    /// Its type.
    pub kind: EventType,
    /// When it happened, in log time.
    pub time: Timestamp,
    /// What it says.
    pub summary: String,
}

impl Incidents {
    /// Takes in the next event of the log. Events that belong to no incident are passed over.
    pub fn fold(&mut self, event: &Event, position: Position) {
        let envelope = &event.envelope;
        if self.members.contains_key(&envelope.id) {
            return;
        }
        let Some(id) = self.incident_of(event) else { return };
        let place = match self.index.get(&id) {
            Some(place) => *place,
            None => {
                let Some(incident) = Incident::begin(id, event) else { return };
                self.incidents.push(incident);
                self.index.insert(id, self.incidents.len() - 1);
                self.incidents.len() - 1
            }
        };
        self.members.insert(envelope.id, id);
        self.incidents[place].take_in(event, position);
    }

    /// Every incident, the one that opened first at the front.
    pub fn iter(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.iter()
    }

    /// The incident with this id.
    #[must_use]
    pub fn get(&self, id: IncidentId) -> Option<&Incident> {
        self.index.get(&id).map(|place| &self.incidents[*place])
    }

    /// The incident an event belongs to.
    fn incident_of(&self, event: &Event) -> Option<IncidentId> {
        let spoken_of = match &event.data {
            Data::DeadLetter(letter) => {
                if letter.incident.is_some() {
                    return letter.incident;
                }
                letter.event
            }
            Data::OperatorCommand(order) => match &order.command {
                Command::Approve { plan } | Command::Deny { plan, .. } => Some(*plan),
                Command::Redrive { event } => Some(*event),
                Command::Silence { .. }
                | Command::Pause { .. }
                | Command::Resume
                | Command::Act { .. }
                // What becomes of the archive is no part of an incident.
                | Command::Redact { .. }
                | Command::Hold { .. }
                | Command::Release { .. } => None,
            },
            _ => None,
        };
        let member = |id: EventId| self.members.get(&id).copied();
        let envelope = &event.envelope;
        envelope.incident.or_else(|| envelope.cause.and_then(member)).or_else(|| spoken_of.and_then(member))
    }
}

impl Incident {
    /// The root cause as last judged: that of the latest plan or, where there is none, of the latest false alarm.
    #[must_use]
    pub const fn cause(&self) -> Option<Cause> {
        self.cause
    }

    /// How far it has come.
    #[must_use]
    pub fn status(&self) -> Status {
        self.progress.status()
    }

    /// An incident whose first known event is `event`; none where that event names no container.
    fn begin(id: IncidentId, event: &Event) -> Option<Self> {
        Some(Self {
            id,
            subject: event.envelope.subject.clone()?,
            container: event.data.container()?.clone(),
            opened_at: event.envelope.time,
            closed_at: None,
            severity: Severity::Info,
            kinds: BTreeSet::new(),
            alerts: 0,
            events: Vec::new(),
            cause: None,
            progress: Progress::default(),
        })
    }

    fn take_in(&mut self, event: &Event, position: Position) {
        let envelope = &event.envelope;
        match &event.data {
            Data::HealthAlert(alert) => {
                self.opened_at = alert.opened_at;
                self.alerts = self.alerts.saturating_add(1);
                self.severity = self.severity.max(alert.severity);
                self.kinds.extend(alert.anomalies.iter().map(|anomaly| anomaly.kind));
            }
            Data::HealthRecovered(recovered) => {
                self.opened_at = recovered.opened_at;
                self.closed_at = Some(envelope.time);
                self.kinds.extend(&recovered.kinds);
            }
            Data::RemediationNeeded(needed) => {
                self.severity = self.severity.max(needed.severity);
                self.kinds.extend(&needed.kinds);
                self.cause = Some(needed.verdict.cause);
            }
            Data::FalseAlarm(alarm) => {
                self.kinds.extend(&alarm.kinds);
                self.judged_harmless(&alarm.verdict);
            }
            _ => {}
        }
        self.progress.take_in(&event.data);
        self.events.push(Line {
            position,
            id: envelope.id,
            cause: envelope.cause,
            kind: event.event_type(),
            time: envelope.time,
            summary: summary(event),
        });
    }

    /// A later false alarm does not take back what a plan was made for.
    fn judged_harmless(&mut self, verdict: &Verdict) {
        if !self.progress.has_plan() {
            self.cause = Some(verdict.cause);
        }
    }
}
